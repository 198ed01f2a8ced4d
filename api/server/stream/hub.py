"""All clients of the stream in one process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

from fastapi import WebSocket
from fastapi.concurrency import run_in_threadpool

from api.server.credentials import Credential
from api.server.services import Services
from api.server.stream.client import Client
from api.server.stream.feed import Chime, Feed
from api.server.stream.limits import StreamLimits
from api.server.stream.messages import EventTexts
from api.server.stream.sign_ins import SignIns
from api.server.stream_errors import ServerStopsError, TooManyStreamsError
from engine.access import Caller

__all__ = ["Admit", "Hub", "sign_in"]

_READERS: Final = 4
"""Threads that read what clients missed; when many come back at once they take turns."""


Admit = Callable[[WebSocket, Credential], Awaitable[Caller]]
"""Signs somebody in who opens a WebSocket; raises `AuthenticationError`, and others."""


async def sign_in(socket: WebSocket, credential: Credential) -> Caller:
    """Return who signs in, by nothing but the credential.

    Raises:
        AuthenticationError: Nobody who is let in.
        StoreError: The store is away.
    """
    services = cast("Services", socket.app.state.services)
    return await run_in_threadpool(credential.caller, services.users)


class Hub:
    """Counts clients, and ends them when the server stops.

    Args:
        limits: How much each may have.
        admit: Signs clients in.

    Attributes:
        limits: How much each may have.
        admit: Signs clients in.
        texts: Events as they are sent.
    """

    def __init__(self, limits: StreamLimits, *, admit: Admit = sign_in) -> None:
        self.limits = limits
        self.admit = admit
        self.texts = EventTexts()
        self._sign_ins = SignIns(limits.recheck_s / 2)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="chorus-stream-readers")
        self._lock = threading.Lock()
        self._connections = 0
        self._of_user: Counter[str | None] = Counter()
        self._clients: set[Client] = set()
        self._chime: Chime | None = None
        self._stops = False

    def __len__(self) -> int:
        """Return how many clients there are."""
        return len(self._clients)

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        """Count a connection, whoever it is.

        Raises:
            ServerStopsError: The server stops.
            TooManyStreamsError: There are too many.
        """
        with self._lock:
            if self._stops:
                raise ServerStopsError
            if self._connections >= self.limits.connections:
                raise TooManyStreamsError("all users together", self.limits.connections)
            self._connections += 1
        try:
            yield
        finally:
            with self._lock:
                self._connections -= 1

    @contextlib.contextmanager
    def client(
        self, services: Services, caller: Caller, credential: Credential
    ) -> Iterator[Client]:
        """Return a client that follows nothing yet; it is gone once the context ends.

        Raises:
            ServerStopsError: The server stops.
            TooManyStreamsError: Its user has too many.
        """
        limits = self.limits
        made = Client(
            Feed(
                services.broadcaster,
                caller,
                chime=self._chime_of(asyncio.get_running_loop()),
                readers=self._readers,
                capacity=limits.queue,
                away_s=limits.away_s,
            ),
            caller,
            credential,
            recheck=lambda used: self._sign_ins.recheck(used, services.users),
            limits=limits,
        )
        with self._lock:
            if self._stops:
                raise ServerStopsError
            if self._of_user[caller.user_id] >= limits.connections_per_user:
                raise TooManyStreamsError("one user", limits.connections_per_user)
            self._of_user[caller.user_id] += 1
            self._clients.add(made)
        try:
            yield made
        finally:
            made.feed.close()
            with self._lock:
                self._clients.remove(made)
                self._of_user -= Counter([caller.user_id])  # drops those with none
            made.is_gone.set()

    async def close(self, within_s: float = 5.0) -> None:
        """End all clients, and take no more. Called in the loop they run in.

        Args:
            within_s: How long one may take to be told so.
        """
        with self._lock:
            self._stops = True
            clients = list(self._clients)
        for client in clients:
            client.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for client in clients:
                    await client.is_gone.wait()
        self._readers.shutdown(wait=False)
        self._sign_ins.close()

    def _chime_of(self, loop: asyncio.AbstractEventLoop) -> Chime:
        if self._chime is None or self._chime.loop is not loop:
            self._chime = Chime(loop, self.limits.gather_s)
        return self._chime
