"""What the code of a strategy says to whoever runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

if TYPE_CHECKING:
    from engine.instance.services import MarketDataServices

__all__ = ["LogServices", "SaidLine"]

_MOST: Final = 20
_LONGEST: Final = 500

Level = Literal["debug", "info", "warning", "error"]


class SaidLine(msgspec.Struct, frozen=True, array_like=True):
    """A line of a strategy's own.

    Attributes:
        instance: Whose.
        level: ``debug``, ``info``, ``warning`` or ``error``.
        candle_ms: Close of the candle its code was at, milliseconds UTC; -1 before the first.
        text: What.
    """

    instance: str
    level: Level
    candle_ms: int
    text: str


class LogServices:
    """The log of a strategy: lines for people, which decide nothing.

    Twenty lines of 500 characters wait at most; more are counted and left out, until those were
    fetched, which an engine does several times a second. A backtest fetches none. Nothing of it is
    part of a snapshot, and nothing can be read back, so that a strategy decides the same whether
    somebody listens or not. What is said while an instance lives through its past again is said
    to nobody.
    """

    __slots__ = ("_instance", "_left_out", "_lines", "_market")

    def __init__(self, instance: str, market: MarketDataServices) -> None:
        self._instance = instance
        self._market = market
        self._lines: list[SaidLine] = []
        self._left_out = 0

    def debug(self, text: Any) -> None:
        """Say what helps to follow the code."""
        self._say("debug", text)

    def info(self, text: Any) -> None:
        """Say what happens."""
        self._say("info", text)

    def warning(self, text: Any) -> None:
        """Say what somebody should look at."""
        self._say("warning", text)

    def error(self, text: Any) -> None:
        """Say what is wrong."""
        self._say("error", text)

    def _say(self, level: Level, text: Any) -> None:
        if len(self._lines) >= _MOST:
            self._left_out += 1
            return
        last = self._market.last
        at = -1 if last is None else last.close_time
        # Half a surrogate pair cannot be sent; it must not end the host of many others.
        sendable = str(text)[:_LONGEST].encode(errors="replace").decode()
        self._lines.append(SaidLine(self._instance, level, at, sendable))

    def take(self) -> list[SaidLine]:
        """Return the lines that wait, and forget them; for whoever drives the instance."""
        if not self._lines:
            return []
        lines, left_out = self._lines, self._left_out
        self._lines, self._left_out = [], 0
        if left_out:
            text = f"{left_out} more lines were left out: there were too many at once"
            lines.append(SaidLine(self._instance, "warning", lines[-1].candle_ms, text))
        return lines
