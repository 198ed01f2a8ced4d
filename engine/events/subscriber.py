"""What one client follows, at its own speed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from engine.access import Caller
from engine.events.errors import EventLogError, EventsLostError, SlowSubscriberError
from engine.events.event import Event, check_id, check_topic
from engine.events.log import EventLog
from engine.events.queue import EventQueue

__all__ = ["Batch", "Interest", "Subscriber"]

_PAGE = 256
_PAGES_AT_ONCE = 16
"""Read by one `take` in search of something its client wants."""


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants to see, of what it may see.

    Attributes:
        caller: Who asks; sees its own and what belongs to nobody, an admin everything.
        topics: Exact topics; ``*`` stands for all.
        strategies: Of events about strategies only those about these; None: about all. Events
            about no strategy, such as candles, are not affected.

    Raises:
        EventError: A topic is not known.
    """

    caller: Caller
    topics: frozenset[str]
    strategies: frozenset[str] | None = None

    def __post_init__(self) -> None:
        for topic in self.topics - {"*"}:
            check_topic(topic)

    def covers(self, event: Event) -> bool:
        """Tell whether it wants, and may see, an event."""
        return (
            ("*" in self.topics or event.topic in self.topics)
            and (event.owner_id in {"", self.caller.user_id} or self.caller.is_admin)
            and (
                self.strategies is None
                or not event.strategy_id
                or event.strategy_id in self.strategies
            )
        )


class Batch(msgspec.Struct, frozen=True):
    """What a client gets next.

    Attributes:
        events: In the order of the log.
        lost: By topic, how many updates went before and between these, because newer ones came
            before the client took them.
    """

    events: list[Event]
    lost: dict[str, int]


class Subscriber:
    """One client's view of a log: first what it missed, then what comes, each event once.

    While it catches up it reads the log, page by page, as fast as its client takes them. Once a
    read has come to the end of the log, and past all that was offered meanwhile, it is live: then
    it queues what it is offered. When the client is slow, out-of-date candles, metrics and log
    lines go (`EventQueue`) and are counted in `Batch.lost`. When even what must not be lost is too
    much, the subscription ends: `take` raises, with the id to begin again from.

    `Broadcaster` makes them and calls `offer`; one thread or task at a time calls `take`.

    Args:
        log: Read while catching up.
        interest: What the client wants.
        after: Id of the last event the client knows.
        capacity: Events that wait at most, see `EventQueue`.
        wake: Called, by whichever thread makes it so, when there may be something to take; it must
            not block. An event loop passes `call_soon_threadsafe` of something here.
    """

    def __init__(
        self,
        log: EventLog,
        interest: Interest,
        *,
        after: str,
        capacity: int = 1000,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self._log = log
        self._interest = interest
        self._capacity = capacity
        self._wake = wake
        self._changed = threading.Condition()
        self._queue: EventQueue[Event] = EventQueue(capacity)
        self._position = self._looked_at = self._offered = check_id(after)
        self._live = False
        self._look_backs = 0
        self._end: EventLogError | None = None

    @property
    def position(self) -> str:
        """Id to begin again from: what comes after it has not been taken."""
        with self._changed:
            return self._position

    def offer(self, event: Event) -> None:
        """Tell of the next event in the log; does not block. Called in the order of the log."""
        with self._changed:
            self._offered = max(self._offered, event.id)
            if self._live and event.id > self._looked_at:
                self._add(event)
            if not self._has_something():
                return
            self._changed.notify_all()
        if self._wake is not None:
            self._wake()

    def look_back(self) -> None:
        """Read the log again before going on: there may be events that were never offered."""
        with self._changed:
            self._live = False
            self._look_backs += 1
            self._changed.notify_all()
        if self._wake is not None:
            self._wake()

    def wait(self, timeout_s: float) -> bool:
        """Wait until there may be something to take. False: not within the time.

        Returns at once as long as it catches up, also while the log cannot be reached.
        """
        with self._changed:
            return self._changed.wait_for(self._has_something, timeout_s)

    @property
    def is_behind(self) -> bool:
        """Tell whether `take` would read the log, and so may block."""
        with self._changed:
            return not (self._queue or self._live or self._end is not None)

    def take(self, limit: int = _PAGE, *, reads: bool = True) -> Batch:
        """Return what comes next, perhaps nothing. Reads the log, and so may block, at first only.

        Args:
            limit: How many events at most.
            reads: False: only what waits already; never blocks.

        Raises:
            SlowSubscriberError: The client was too slow; the subscription has ended.
            EventsLostError: What the client knows is older than what the log keeps, or is not of
                this log; the subscription has ended.
            EventLogUnavailableError: The log cannot be reached; the subscription goes on.
        """
        for _ in range(_PAGES_AT_ONCE if reads else 0):
            if not self.is_behind:
                break
            self._read_page()
        with self._changed:
            if self._end is not None:
                raise self._end
            events, lost = self._queue.take(limit)
            if not self._queue:
                self._position = self._looked_at
            elif events:
                self._position = events[-1].id
            return Batch(events, lost)

    def _has_something(self) -> bool:
        return bool(self._queue or not self._live or self._end is not None)

    def _read_page(self) -> None:
        with self._changed:
            after, look_backs = self._looked_at, self._look_backs
        size = min(_PAGE, self._capacity)  # so that a page of what must not be lost fits
        try:
            page = self._log.read(after, size)
        except EventsLostError as error:
            with self._changed:
                self._end = error
            return
        with self._changed:
            for event in page:
                self._add(event)
            # What was offered before this read began is in the log, and so in what was read; what
            # was offered since has to be read, too, because it was not queued.
            self._live = (
                len(page) < size
                and self._looked_at >= self._offered
                and look_backs == self._look_backs
            )

    def _add(self, event: Event) -> None:
        if self._end is not None:
            return
        if self._interest.covers(event) and not self._queue.put(event):
            self._end = SlowSubscriberError(self._capacity, self._position)
            self._queue = EventQueue(self._capacity)
            return
        self._looked_at = event.id
        if not self._queue:
            self._position = event.id
