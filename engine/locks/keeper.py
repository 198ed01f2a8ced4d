"""Keeps a lock that is held, and says when it is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from engine.locks.errors import LockUnavailableError
from engine.locks.lock import LeaderLock

__all__ = ["LeaderKeeper"]

_log = logging.getLogger(__name__)


class LeaderKeeper:
    """A thread that renews a lock again and again.

    Args:
        lock: It is held.
        every_s: How often, seconds: a few times per lease.
        on_lost: Called once, from the thread, when it is lost; it must not take long to stop
            whatever only the holder may do.
    """

    def __init__(self, lock: LeaderLock, *, every_s: float, on_lost: Callable[[], None]) -> None:
        self._lock = lock
        self._every_s = every_s
        self._on_lost = on_lost
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chorus-leader", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; waits for what is under way."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        is_away = False
        while not self._closing.wait(self._every_s):
            try:
                self._lock.renew()
                is_away = False
            except LockUnavailableError as error:
                if not is_away:
                    _log.warning("leader: not renewed, will try again: %s", error)
                is_away = True
            if self._lock.is_lost():
                self._on_lost()
                return
