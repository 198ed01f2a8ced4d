"""Deletes now and then what is kept for some time only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from api.service.watch import Watch
from engine.errors import StoppedError
from engine.recording.retention import Retention
from engine.store import Store

__all__ = ["Housekeeping"]

_EVERY_S: Final = 3600.0


class Housekeeping(Watch):
    """Applies the rules of retention at the start and every hour.

    Args:
        store: Of which.
        clock: Milliseconds UTC.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        super().__init__("chorus-housekeeping")
        self._retention = Retention(store, clock, rest=self._rest)

    def look(self) -> float:
        """Delete what is too old; may take minutes, but ends when it is closed."""
        try:
            self._retention.purge()
        except StoppedError:
            return 0.0
        return _EVERY_S

    def _rest(self, seconds: float) -> None:
        if self._closing.wait(seconds):
            raise StoppedError("housekeeping: the service stops; the next one goes on")
