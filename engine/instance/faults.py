"""The contained exceptions of an instance: counted, the newest kept with their traces."""

from __future__ import annotations

import traceback
from collections import deque
from typing import Any

import msgspec

__all__ = ["MAX_CONSECUTIVE", "Fault", "FaultLog"]

MAX_CONSECUTIVE = 3
"""Candles in a row whose exception ends an instance."""

_KEPT = 20
_TRACE_FRAMES = 20
_MESSAGE_CHARACTERS = 500


class Fault(msgspec.Struct, frozen=True):
    """One contained exception.

    Attributes:
        hook: Hook of the strategy it came from.
        stream, seq: Candle it happened at; seq -1 before the first.
        error: Type and message.
        trace: The traceback as text, innermost frames.
    """

    hook: str
    stream: str
    seq: int
    error: str
    trace: str


class FaultLog:
    """Counts exceptions and keeps the newest twenty.

    Attributes:
        total: Exceptions so far.
        consecutive: Exceptions since the last candle without one.
    """

    __slots__ = ("_kept", "consecutive", "total")

    def __init__(self) -> None:
        self.total = 0
        self.consecutive = 0
        self._kept: deque[Fault] = deque(maxlen=_KEPT)

    def add(self, hook: str, stream: str, seq: int, error: BaseException) -> Fault:
        """Record an exception."""
        self.total += 1
        self.consecutive += 1
        text = f"{type(error).__name__}: {_text(error)}"[:_MESSAGE_CHARACTERS]
        frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[-_TRACE_FRAMES:])
        fault = Fault(hook, stream, seq, text, "".join(frames) + text)
        self._kept.append(fault)
        return fault

    def recent(self) -> tuple[Fault, ...]:
        """Return the newest faults, oldest first."""
        return tuple(self._kept)

    def state(self) -> dict[str, Any]:
        """Return everything a restore needs."""
        return {
            "total": self.total,
            "consecutive": self.consecutive,
            "kept": [msgspec.to_builtins(fault) for fault in self._kept],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.total = state["total"]
        self.consecutive = state["consecutive"]
        self._kept = deque(msgspec.convert(state["kept"], list[Fault]), maxlen=_KEPT)


def _text(error: BaseException) -> str:
    """Return the message; an exception whose own `__str__` raises must not escape."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - strategy code once more: its exception class
        return "(its message cannot be shown)"
