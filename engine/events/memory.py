"""An event log in the memory of one process."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec

from engine.events.errors import EventsLostError
from engine.events.event import Event, check_id, event_id, make_draft
from engine.events.log import EventLogHealth

__all__ = ["MemoryEventLog"]

_OVERHEAD_BYTES = 500
"""Of an event beside its data, roughly."""

_TIDY_AFTER = 1024


class MemoryEventLog:
    """Keeps the newest events of this process, as an `EventLog`.

    It begins anew with each process. Ids start from the clock, so one of an earlier process is
    recognised as lost instead of being taken for a place in this log.

    Args:
        now_ms: Tells the time, in milliseconds since 1970.
        keep_events: How many events are kept at most.
        keep_bytes: How large they may be together, roughly, as JSON.
    """

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        keep_events: int = 100_000,
        keep_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._now_ms = now_ms
        self._keep_events = keep_events
        self._keep_bytes = keep_bytes
        self._changed = threading.Condition()
        # Lists, because readers look near the end of many events, where a deque is slow. What
        # comes before `_first` is gone, and is cut off now and then.
        self._events: list[Event] = []
        self._sizes: list[int] = []
        self._first = 0
        self._bytes = 0
        self._place = (now_ms(), 0)
        self._oldest = self._newest = event_id(*self._place)

    def publish(
        self, topic: str, data: dict[str, Any], *, strategy_id: str = "", owner_id: str = ""
    ) -> None:
        """Append an event; see `EventLog`."""
        with self._changed:
            draft, size = make_draft(
                topic, data, strategy_id=strategy_id, owner_id=owner_id, at_ms=self._now_ms()
            )
            ms, number = self._place
            # A clock that was set back must not turn the order of ids.
            self._place = (draft.at_ms, 0) if draft.at_ms > ms else (ms, number + 1)
            self._newest = event_id(*self._place)
            self._events.append(Event(id=self._newest, **msgspec.structs.asdict(draft)))
            self._sizes.append(size + _OVERHEAD_BYTES)
            self._bytes += self._sizes[-1]
            self._forget()
            self._changed.notify_all()

    def read(self, after: str | None, limit: int) -> list[Event]:
        """Return events in order; see `EventLog`."""
        with self._changed:
            start = self._first
            if after is not None:
                if not self._oldest <= check_id(after) <= self._newest:
                    raise EventsLostError(after, self._oldest)
                start = bisect_right(self._events, after, start, key=attrgetter("id"))
            return self._events[start : start + limit]

    def newest(self) -> str:
        """Return the id of the newest event, or the one before the first."""
        with self._changed:
            return self._newest

    def wait(self, after: str, timeout_s: float) -> bool:
        """Wait for something to read; see `EventLog`."""
        check_id(after)
        with self._changed:
            return self._changed.wait_for(lambda: self._newest != after, timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Return True: what is published is in the log."""
        del timeout_s
        return True

    def health(self) -> EventLogHealth:
        """Return that all is well."""
        return EventLogHealth()

    def close(self, timeout_s: float = 5.0) -> None:
        """Do nothing: the log goes with its last user."""
        del timeout_s

    def _forget(self) -> None:
        """Let the oldest events go that are more than should be kept; the newest always stays."""
        end = len(self._events) - 1
        while self._first < end and (
            end - self._first >= self._keep_events or self._bytes > self._keep_bytes
        ):
            self._oldest = self._events[self._first].id
            self._bytes -= self._sizes[self._first]
            self._first += 1
        if self._first > max(_TIDY_AFTER, end // 8):
            del self._events[: self._first]
            del self._sizes[: self._first]
            self._first = 0
