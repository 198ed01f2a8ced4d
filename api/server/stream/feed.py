"""What one client follows, awaited by a task of an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

from engine.access import Caller
from engine.events import (
    Batch,
    Broadcaster,
    EventLogUnavailableError,
    Interest,
    Subscriber,
)

__all__ = ["Chime", "Feed"]

_AGAIN_S: Final = 0.5
_PAGE: Final = 256

_NOTHING: Final = Batch([], {})


class Chime:
    """Wakes tasks of one event loop from other threads, all that are due at once.

    Telling the loop of each one would be a system call, at which threads change turns: the thread
    that offers events to many clients would wait for the loop after each of them.

    Args:
        loop: Where the tasks run.
        gather_s: How long the first one waits for others.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, gather_s: float) -> None:
        self.loop = loop
        self._gather_s = gather_s
        self._lock = threading.Lock()
        self._due: set[asyncio.Event] = set()

    def ring(self, event: asyncio.Event) -> None:
        """Set an event soon; any thread may do that."""
        with self._lock:
            is_first = not self._due
            self._due.add(event)
        if is_first:
            # The loop of a server that was ended has no tasks left to wake.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.loop.call_later, self._gather_s, self._strike)

    def _strike(self) -> None:
        with self._lock:
            due, self._due = self._due, set()
        for event in due:
            event.set()


class Feed:
    """The events of one client; used by its task only, but for `rouse`.

    Args:
        broadcaster: Whose events.
        caller: Who follows them.
        chime: Of the loop the client's task runs in.
        readers: Threads that read what was missed.
        capacity: Events that wait at most.
        away_s: How long it waits for a log that is away.
    """

    def __init__(
        self,
        broadcaster: Broadcaster,
        caller: Caller,
        *,
        chime: Chime,
        readers: Executor,
        capacity: int,
        away_s: float,
    ) -> None:
        self._broadcaster = broadcaster
        self._caller = caller
        self._chime = chime
        self._readers = readers
        self._capacity = capacity
        self._awake = asyncio.Event()  # also while there is more than was taken
        self._lock = threading.Lock()
        self._subscriber: Subscriber | None = None
        self._is_closed = False
        self._away_s = away_s
        self._away_since: float | None = None
        self.topics: frozenset[str] = frozenset()
        self.strategies: frozenset[str] | None = None

    @property
    def position(self) -> str:
        """Id to begin again from; empty before the first `follow`."""
        return "" if self._subscriber is None else self._subscriber.position

    async def follow(
        self, topics: frozenset[str], strategies: frozenset[str] | None, after: str | None = None
    ) -> None:
        """Follow these instead of what was followed before, nothing missed in between.

        Args:
            topics: As for `Interest`.
            strategies: As for `Interest`.
            after: Id of the last event the client knows; None: where it is, at first from now on.

        Raises:
            EventError: A topic is not known, or `after` is no id; nothing has changed.
            EventLogUnavailableError: The log cannot be reached; nothing has changed.
        """
        interest = Interest(caller=self._caller, topics=topics, strategies=strategies)
        start = after if after is not None else self.position or None
        await self._in_thread(self._replace, interest, start)
        self._awake.set()
        self.topics, self.strategies = topics, strategies

    async def next(self, timeout_s: float) -> Batch:
        """Wait for what comes next; nothing after the time, or once roused.

        Raises:
            SlowSubscriberError: The client was too slow.
            EventsLostError: The log does not keep what the client asked for.
            EventLogUnavailableError: The log has been away for long.
        """
        if not self._awake.is_set():
            # Not `asyncio.timeout`: that takes as long as all the rest.
            alarm = self._chime.loop.call_later(timeout_s, self._awake.set)
            try:
                await self._awake.wait()
            finally:
                alarm.cancel()
        return await self._take()

    def rouse(self) -> None:
        """Let `next` return; for the tasks of its loop."""
        self._awake.set()

    def close(self) -> None:
        """Be offered nothing more."""
        with self._lock:
            self._is_closed = True
            if self._subscriber is not None:
                self._broadcaster.unsubscribe(self._subscriber)

    def _replace(self, interest: Interest, after: str | None) -> None:
        made = self._broadcaster.subscribe(
            interest,
            after=after,
            capacity=self._capacity,
            wake=lambda: self._chime.ring(self._awake),
        )
        with self._lock:
            # The client may have gone meanwhile, and nobody waits for this thread.
            unwanted, self._subscriber = self._subscriber, made
            if self._is_closed:
                unwanted = made
        if unwanted is not None:
            self._broadcaster.unsubscribe(unwanted)

    async def _take(self) -> Batch:
        self._awake.clear()  # before looking: what comes after is rung for
        subscriber = self._subscriber
        if subscriber is None:
            return _NOTHING
        batch = subscriber.take(_PAGE, reads=False)
        if not batch.events and subscriber.is_behind:
            try:
                batch = await self._in_thread(subscriber.take, _PAGE)
            except EventLogUnavailableError:
                now = self._chime.loop.time()
                if self._away_since is None:
                    self._away_since = now
                if now - self._away_since >= self._away_s:
                    raise
                await asyncio.sleep(min(_AGAIN_S, self._away_s))
            else:
                self._away_since = None
            if subscriber.is_behind:
                self._awake.set()
        elif len(batch.events) == _PAGE:
            self._awake.set()
        if batch.events and self._awake.is_set():
            await asyncio.sleep(0)  # others have their turn, although there is more
        return batch

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        return await self._chime.loop.run_in_executor(self._readers, call, *args)
