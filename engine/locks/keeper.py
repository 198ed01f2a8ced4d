"""Keeps a lock that is held, and says when it is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from engine.locks.lock import LeaderLock

__all__ = ["LeaderKeeper"]

_log = logging.getLogger(__name__)

_LOOKS_PER_RENEWAL: Final = 4


class LeaderKeeper:
    """Renews a lock again and again, in a thread, and watches in another one whether it is lost.

    Renewing may hang for longer than the lock is had: a name that is looked up, a server that has
    stopped in the middle of an answer.

    Args:
        lock: It is held.
        every_s: How often, seconds: a few times per lease.
        on_lost: Called once, from a thread, when it is lost; it must not take long to stop whatever
            only the holder may do.
    """

    def __init__(self, lock: LeaderLock, *, every_s: float, on_lost: Callable[[], None]) -> None:
        self._lock = lock
        self._every_s = every_s
        self._on_lost = on_lost
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=f"chorus-leader{target.__name__}", daemon=True)
            for target in (self._renew, self._watch)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End; waits for what is under way."""
        self._closing.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _watch(self) -> None:
        while not self._closing.wait(self._every_s / _LOOKS_PER_RENEWAL):
            if self._lock.is_lost():
                self._on_lost()
                return

    def _renew(self) -> None:
        is_away = False
        while not self._closing.wait(self._every_s):
            try:
                self._lock.renew()
                is_away = False
            except Exception as error:  # noqa: BLE001 - the loop of a thread; all is logged
                if not is_away:
                    text = str(error) or type(error).__name__
                    _log.warning("leader: not renewed, will try again: %s", text)
                is_away = True
