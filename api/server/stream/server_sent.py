"""The stream as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

import msgspec
from fastapi import Response
from starlette.types import Receive, Scope, Send

from api.server.credentials import Credential
from api.server.services import Services
from api.server.stream.client import Client, first_of
from api.server.stream.hub import Hub
from api.server.stream.messages import EventTexts, problem_text, text_of
from api.server.stream_errors import resume_id
from engine.access import Caller
from engine.errors import ChorusError
from engine.events import Batch

__all__ = ["EventStream", "Wanted"]

_RETRY_MS: Final = 2000
_FAREWELL_S: Final = 1.0
_PIECE: Final = 64 * 1024
"""Characters that are sent at once, roughly."""


class Wanted(msgspec.Struct, frozen=True):
    """What a client asked for.

    Attributes:
        topics: As for `Interest`.
        strategies: As for `Interest`.
        after: Id of the last event it knows; None: from now on.
    """

    topics: frozenset[str]
    strategies: frozenset[str] | None
    after: str | None


class EventStream(Response):
    """A response that goes on until its client has gone, or `StreamLimits.longest_s` is over.

    What can be refused is refused before the response begins, as any other problem. Later an
    ``end`` event says why, with the id to go on from.
    """

    media_type = "text/event-stream"

    def __init__(
        self, services: Services, hub: Hub, caller: Caller, credential: Credential, wanted: Wanted
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._services = services
        self._hub = hub
        self._caller = caller
        self._credential = credential
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events."""
        del scope
        with (
            self._hub.connection(),
            self._hub.client(self._services, self._caller, self._credential) as client,
        ):
            wanted = self._wanted
            await client.feed.follow(wanted.topics, wanted.strategies, wanted.after)
            first = await client.feed.next(0.0)  # tells whether the log still has it
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            last = ""
            try:
                await first_of(
                    self._talk(client, first, send), _disconnected(receive), client.watch()
                )
            except ChorusError as error:
                last = _event("end", problem_text("end", error, id=resume_id(error) or None))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    await send({"type": "http.response.body", "body": last.encode()})

    async def _talk(self, client: Client, batch: Batch | None, send: Send) -> None:
        now = asyncio.get_running_loop().time
        ends = now() + self._hub.limits.longest_s
        await self._send(client, send, f"retry: {_RETRY_MS}\n\n")
        while True:
            for piece in _pieces(batch, self._hub.texts):
                await self._send(client, send, piece)
            if batch is None or not batch.events:
                # Also at first: its id is for a client that will have seen no event yet.
                await self._send(client, send, f": heartbeat\nid: {client.feed.position}\n\n")
            if (left_s := ends - now()) <= 0:
                return
            batch = await client.next(at_most_s=left_s)

    async def _send(self, client: Client, send: Send, text: str) -> None:
        with client.sending():
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def _pieces(batch: Batch | None, texts: EventTexts) -> Iterator[str]:
    """Return the text of what comes next, in pieces that do not fill the memory."""
    if batch is None:
        return
    waiting = [_event("lost", text_of("lost", lost=batch.lost))] if batch.lost else []
    size = 0
    for event in batch.events:
        waiting.append(f"id: {event.id}\ndata: {texts.of(event)}\n\n")
        size += len(waiting[-1])
        if size > _PIECE:
            yield "".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting)


def _event(kind: str, text: str) -> str:
    return f"event: {kind}\ndata: {text}\n\n"


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
