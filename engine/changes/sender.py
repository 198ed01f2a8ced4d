"""The thread that tells other processes what has changed."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from engine.changes.change import Change
from engine.errors import ChorusError

__all__ = ["ChangeSender", "Outbox"]

_log = logging.getLogger(__name__)

_MOST_WAIT: Final = 1000
_FIRST_RETRY_S: Final = 0.05
_LAST_RETRY_S: Final = 2.0


class Outbox:
    """Changes that have yet to be told, in order.

    Those that cannot be are given up for one that says that everything may have changed. It is told
    when that is possible again, so that nobody who has heard on meanwhile misses anything.

    Args:
        everything: Makes such a change.
        capacity: How many wait at most.
    """

    def __init__(self, everything: Callable[[], Change], capacity: int = _MOST_WAIT) -> None:
        self._everything = everything
        self._capacity = capacity
        self._waiting: deque[Change] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, change: Change) -> None:
        """Have a change wait, or all give up waiting."""
        if len(self._waiting) < self._capacity:
            self._waiting.append(change)
        else:
            self.give_up()

    def take(self) -> Change:
        """Take out the change that has waited longest."""
        return self._waiting.popleft()

    def give_up(self) -> None:
        """Say of all that wait, and of the one that was taken last, that they could not be told."""
        self._waiting.clear()
        self._waiting.append(self._everything())


class ChangeSender:
    """Sends changes in order; whoever has them sent neither waits nor sees it fail.

    Args:
        send: Sends one, or raises; called by the sender's own thread.
        everything: Makes the change that says that everything may have changed.
    """

    def __init__(self, send: Callable[[Change], None], everything: Callable[[], Change]) -> None:
        self._send = send
        self._outbox = Outbox(everything)
        self._news = threading.Condition()
        self._is_away = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="chorus-change-sender", daemon=True)
        self._thread.start()

    def put(self, change: Change) -> None:
        """Have a change sent."""
        with self._news:
            self._outbox.put(change)
            self._news.notify_all()

    def close(self, timeout_s: float) -> None:
        """Send what waits, unless it cannot be sent, and end."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        pause_s = _FIRST_RETRY_S
        while (change := self._next()) is not None:
            try:
                self._send(change)
            except Exception as error:  # noqa: BLE001 - the loop of a thread; all is logged
                self._note_failure(error)
                if self._is_closing_within(pause_s):
                    return
                pause_s = min(2 * pause_s, _LAST_RETRY_S)
            else:
                self._note_success()
                pause_s = _FIRST_RETRY_S

    def _next(self) -> Change | None:
        """Wait for a change to send; None: there will be none."""
        with self._news:
            self._news.wait_for(lambda: self._outbox or self._closing)
            return self._outbox.take() if self._outbox else None

    def _is_closing_within(self, pause_s: float) -> bool:
        with self._news:
            self._outbox.give_up()
            return self._news.wait_for(lambda: self._closing, pause_s)

    def _note_failure(self, error: Exception) -> None:
        if not self._is_away:
            _log.warning(
                "changes: not told to other processes, which see them when they look at the store: "
                "%s",
                error if isinstance(error, ChorusError) else f"{type(error).__name__}: {error}",
            )
        self._is_away = True

    def _note_success(self) -> None:
        if self._is_away:
            _log.warning("changes: told to other processes again")
        self._is_away = False
