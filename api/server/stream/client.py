"""One client of the stream, however it is connected."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

from api.server.credentials import Credential
from api.server.stream.feed import Feed
from api.server.stream.limits import StreamLimits
from api.server.stream_errors import ServerStopsError, StuckClientError
from engine.access import Caller
from engine.errors import StoreError
from engine.events import Batch
from engine.users import AuthenticationError

__all__ = ["Client", "first_of"]

_log = logging.getLogger(__name__)


class Client:
    """Its feed, and what can end it from outside: a sign-in that is over, a stop, no progress.

    Args:
        feed: What it follows.
        caller: Who it is.
        credential: What it signed in with.
        recheck: Tells who holds a credential now.
        limits: How long it may take for what.

    Attributes:
        feed: What it follows.
        caller: Who it is.
        credential: What it signed in with; another of the same user may take its place.
        is_gone: Set once its connection is closed.
    """

    def __init__(
        self,
        feed: Feed,
        caller: Caller,
        credential: Credential,
        *,
        recheck: Callable[[Credential], Awaitable[Caller]],
        limits: StreamLimits,
    ) -> None:
        self.feed = feed
        self.caller = caller
        self.credential = credential
        self.is_gone = asyncio.Event()
        self._recheck = recheck
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._stops = asyncio.Event()
        self._spoke = self._loop.time()
        self._sending_since: float | None = None

    def stop(self) -> None:
        """Let `watch` raise `ServerStopsError`."""
        self._stops.set()

    async def next(self, at_most_s: float = math.inf) -> Batch | None:
        """Return what comes next, perhaps nothing; None: it is time for a heartbeat.

        Args:
            at_most_s: Return something after that time.

        Raises:
            SlowSubscriberError: The client was too slow.
            EventsLostError: The log does not keep what the client asked for.
            EventLogUnavailableError: The log has been away for long.
        """
        due = self._spoke + self._limits.heartbeat_s
        batch = await self.feed.next(min(max(0.0, due - self._loop.time()), at_most_s))
        return None if not batch.events and self._loop.time() >= due else batch

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Note, while something is sent, since when."""
        self._sending_since = self._loop.time()
        yield
        self._spoke = self._loop.time()
        self._sending_since = None

    async def watch(self) -> None:
        """Wait for what ends the stream from outside, and raise it.

        Raises:
            AuthenticationError: It is not let in any more, or may see something else now.
            StuckClientError: It took nothing for too long.
            ServerStopsError: The server stops.
        """
        limits = self._limits
        turn_s = min(limits.recheck_s, limits.send_within_s / 2)
        checked = self._loop.time()
        while not await self._stops_within(turn_s):
            now = self._loop.time()
            since = self._sending_since
            if since is not None and now - since >= limits.send_within_s:
                raise StuckClientError(now - since)
            if now - checked >= limits.recheck_s:
                await self._check()
                checked = self._loop.time()
        raise ServerStopsError

    async def _stops_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._stops.wait()
        return False

    async def _check(self) -> None:
        try:
            caller = await self._recheck(self.credential)
        except StoreError as error:
            # Nobody was found to be shut out; whoever sees events need not suffer with the store.
            _log.warning("event stream: sign-ins could not be checked again: %s", error)
            return
        if caller != self.caller:
            raise AuthenticationError("authentication: your rights have changed; connect again")


async def first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one returns or raises, and end the others; raises what the first did."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if task in done:
            task.result()
