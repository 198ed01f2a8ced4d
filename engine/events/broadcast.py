"""One reader of the log for all clients of a process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from operator import methodcaller

from engine.events.errors import EventLogError, EventsLostError
from engine.events.log import EventLog
from engine.events.subscriber import Interest, Subscriber

__all__ = ["Broadcaster"]

_PAGE = 512
_LOOK_AGAIN_S = 0.2
"""How soon `close` is noticed, and a log that could not be reached is read again."""

_log = logging.getLogger(__name__)


class Broadcaster:
    """Follows a log with one thread and offers each event to every subscriber.

    However many clients a process has, the log is read once, and by each client only for what it
    missed. While the log cannot be reached subscribers wait. When the thread itself falls behind
    what the log keeps, or the log was replaced, each subscriber looks for itself what it missed.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._subscribers: frozenset[Subscriber] = frozenset()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="chorus-events", daemon=True)
        self._thread.start()

    def subscribe(
        self,
        interest: Interest,
        *,
        after: str | None = None,
        capacity: int = 1000,
        wake: Callable[[], None] | None = None,
    ) -> Subscriber:
        """Return a new subscriber; `unsubscribe` it when its client goes. May wait for the log.

        Args:
            interest: What the client wants.
            after: Id of the last event it knows; None: from now on.
            capacity: Events that wait at most, see `EventQueue`.
            wake: Called when there may be something to take, see `Subscriber`.

        Raises:
            EventError: `after` is no id.
            EventLogUnavailableError: The log cannot be reached.
        """
        start = self._log.newest() if after is None else after
        subscriber = Subscriber(self._log, interest, after=start, capacity=capacity, wake=wake)
        with self._lock:
            self._subscribers |= {subscriber}
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Offer it nothing any more. May be done twice."""
        with self._lock:
            self._subscribers -= {subscriber}

    def close(self) -> None:
        """End the thread; waits for it."""
        self._closing.set()
        self._thread.join()

    def _follow(self) -> None:
        at, is_away = "", False
        while not self._closing.is_set():
            try:
                if not at:
                    at = self._log.newest()
                    self._tell(Subscriber.look_back)
                at = self._pass_on(at)
                is_away = False
            except EventsLostError:
                at = ""
            except EventLogError as error:
                if not is_away:
                    _log.warning("events: clients wait: %s", error)
                is_away = True
                self._closing.wait(_LOOK_AGAIN_S)

    def _pass_on(self, at: str) -> str:
        """Offer what comes after an id; returns the id of the last event offered."""
        if not self._log.wait(at, _LOOK_AGAIN_S):
            return at
        for event in self._log.read(at, _PAGE):
            self._tell(methodcaller("offer", event))
            at = event.id
        return at

    def _tell(self, what: Callable[[Subscriber], None]) -> None:
        for subscriber in self._subscribers:
            try:
                what(subscriber)
            except Exception:  # noqa: BLE001 - its `wake` is anybody's code; others must not suffer
                _log.exception("events: a client could not be woken, and is offered nothing more")
                self.unsubscribe(subscriber)
