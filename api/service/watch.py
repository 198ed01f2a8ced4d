"""Watches the engine: its newest state for whoever asks, and events for whoever follows."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from engine.errors import ChorusError
from engine.events import EventLog
from engine.money import canonical_symbol, to_decimal
from engine.recording import Owner, Whose
from engine.status import EngineStatus, StrategyStatus
from engine.types import Candle, StreamId

__all__ = ["CandleWatch", "StatusWatch", "Tap", "Watch", "failure_of"]

_log = logging.getLogger(__name__)

_EVERY_S: Final = 0.5
_S_PER_STRATEGY: Final = 0.0005
"""Looking at thousands takes a while; looking shall take a small part of the time."""

_NEWEST_ONLY_BEYOND: Final = 256
"""Candles at once beyond which only the newest of each stream is published."""


class Tap(Protocol):
    """Where candles come from."""

    def take(self, timeout_s: float) -> list[Candle]:
        """Return what has come since; waits for the first one."""
        ...


class Watch(ABC):
    """A thread that does one thing again and again, whatever goes wrong."""

    def __init__(self, name: str) -> None:
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._what = name

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; waits for what is under way."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    @abstractmethod
    def look(self) -> float:
        """Do it once; returns how long to wait before the next time, in seconds."""

    def _run(self) -> None:
        is_away = False
        while not self._closing.is_set():
            try:
                pause_s = self.look()
                is_away = False
            except Exception as error:  # noqa: BLE001 - the loop of a thread; all is logged
                if not is_away:
                    _log.warning("%s: %s", self._what, failure_of(error))
                is_away, pause_s = True, _EVERY_S
            if pause_s:
                self._closing.wait(pause_s)


def failure_of(error: Exception) -> str:
    """Return what to say of a failure: what is meant to be read, or what has a name at least."""
    return str(error) if isinstance(error, ChorusError) else f"{type(error).__name__}: {error}"


def _nobody_looks(_last: StrategyStatus | None, _now: StrategyStatus) -> None:
    """Nobody wants to know."""


class StatusWatch(Watch):
    """Looks at all strategies now and then.

    What has changed goes out as ``metrics``; a strategy that has come into another state, as
    ``status``, too.

    Args:
        status: Asks the engine.
        events: Where it is published.
        whose: Tells whose a strategy is; None: nobody's that is on record.
        on_change: Called with what a strategy was like and is like now; None: it is new.

    Attributes:
        newest: The engine as last seen; None before the first time.
    """

    def __init__(
        self,
        status: Callable[[], EngineStatus],
        events: EventLog,
        whose: Whose,
        *,
        on_change: Callable[[StrategyStatus | None, StrategyStatus], None] = _nobody_looks,
    ) -> None:
        super().__init__("chorus-status")
        self._status = status
        self._events = events
        self._whose = whose
        self._on_change = on_change
        self._known: dict[str, StrategyStatus] = {}
        self.newest: EngineStatus | None = None

    def of(self, strategy_id: str) -> StrategyStatus | None:
        """Return a strategy as last seen; None if the engine does not know it."""
        return self._known.get(strategy_id)

    def look(self) -> float:
        """Look once.

        Raises:
            ChorusError: The engine does not answer.
        """
        before = time.monotonic()
        newest = self._status()
        self.newest = newest
        known = {status.id: status for status in newest.strategies}
        for status in newest.strategies:
            last = self._known.get(status.id)
            if last != status:
                owner = self._whose(status.id)  # may fail: what is told below is told once
                self._known[status.id] = status
                self._on_change(last, status)
                is_new_state = last is None or last.status != status.status
                self._publish(status, owner, is_new_state=is_new_state)
        self._known = known
        took_s = time.monotonic() - before
        return max(_EVERY_S, len(known) * _S_PER_STRATEGY, 5 * took_s)

    def _publish(self, status: StrategyStatus, owner: Owner | None, *, is_new_state: bool) -> None:
        if owner is None:
            return
        data: dict[str, Any] = msgspec.to_builtins(status)
        if is_new_state:
            state = {"strategy": status.id, "status": status.status, "cause": status.cause}
            self._events.publish("status", state, strategy_id=status.id, owner_id=owner.owner_id)
        self._events.publish("metrics", data, strategy_id=status.id, owner_id=owner.owner_id)


class CandleWatch(Watch):
    """Publishes candles as ``candles:<stream>``; of a feed that rushes, the newest ones.

    Args:
        tap: Where they come from.
        events: Where they are published.

    Attributes:
        marks: The newest close by symbol, quote currency.
    """

    def __init__(self, tap: Tap, events: EventLog) -> None:
        super().__init__("chorus-candles")
        self._tap = tap
        self._events = events
        self.marks: dict[str, Decimal] = {}

    def look(self) -> float:
        """Publish what has come; waits for it a moment."""
        candles = self._tap.take(_EVERY_S)
        if len(candles) > _NEWEST_ONLY_BEYOND:
            candles = list({candle.stream: candle for candle in candles}.values())
        for candle in candles:
            symbol = canonical_symbol(StreamId.parse(candle.stream).symbol)
            self.marks[symbol] = to_decimal(candle.close)
            self._events.publish(f"candles:{candle.stream}", _shown(candle))
        return 0.0


def _shown(candle: Candle) -> dict[str, Any]:
    return {
        "seq": candle.seq,
        "openTime": candle.open_time,
        "closeTime": candle.close_time,
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "volume": candle.volume,
    }
