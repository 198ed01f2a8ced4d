"""Changes told within one process."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable

from engine.changes.change import Change, Kind

__all__ = ["LocalChanges"]

_log = logging.getLogger(__name__)

_Heard = Callable[[Change], None]


class LocalChanges:
    """As `Changes`, for those who listen in the same process.

    Args:
        now_ms: Tells the time, in milliseconds since 1970.

    Attributes:
        origin: Of what is published here.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.origin = secrets.token_hex(8)
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._listening: tuple[_Listening, ...] = ()

    def publish(self, kind: Kind, object_id: str = "", version: int | None = None) -> None:
        """Tell a change that is on record; see `Changes`."""
        self.tell(self.change(kind, object_id, version))

    def change(self, kind: Kind, object_id: str = "", version: int | None = None) -> Change:
        """Return a change as it is told from here, now."""
        return Change(
            kind=kind, id=object_id, version=version, origin=self.origin, at_ms=self._now_ms()
        )

    def tell(self, change: Change) -> None:
        """Tell a change of whatever origin to those who listen here."""
        for each in self._listening:
            try:
                each.heard(change)
            except Exception as error:  # noqa: BLE001 - of others; what was changed is on record
                _log.warning(
                    "changes: %r %r not taken up: %s: %s",
                    change.kind,
                    change.id,
                    type(error).__name__,
                    error,
                )

    def listen(self, heard: _Heard) -> _Listening:
        """Have changes told; see `Changes`."""
        listening = _Listening(heard, self._forget)
        with self._lock:
            self._listening += (listening,)
        return listening

    def close(self) -> None:
        """Listen to nobody any more."""
        with self._lock:
            self._listening = ()

    def _forget(self, listening: _Listening) -> None:
        with self._lock:
            self._listening = tuple(each for each in self._listening if each is not listening)


class _Listening:
    """As `Listening`."""

    def __init__(self, heard: _Heard, forget: Callable[[_Listening], None]) -> None:
        self.heard = heard
        self._forget = forget

    def close(self) -> None:
        self._forget(self)
