"""The stream over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final
from urllib.parse import urlsplit

from fastapi import WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketDisconnected

from api.server.credentials import Credential
from api.server.problems import refusal, status_of
from api.server.services import Services
from api.server.stream.client import Client, first_of
from api.server.stream.hub import Hub
from api.server.stream.messages import (
    ClientMessage,
    Hello,
    Ping,
    Subscribe,
    Unsubscribe,
    problem_text,
    read_message,
    text_of,
)
from api.server.stream_errors import (
    ClientMessageError,
    ClientMessageTooLargeError,
    ForeignOriginError,
    ServerStopsError,
    resume_id,
)
from engine.access import Caller
from engine.errors import ChorusError, StoreError
from engine.events import EventError, EventLogUnavailableError
from engine.users import AuthenticationError

__all__ = ["serve_websocket"]

_PROTOCOL: Final = "chorus.v1"
_TOKEN_PROTOCOL: Final = "chorus.token."  # noqa: S105 - what comes before one
_CODES: Final[list[tuple[type[ChorusError], int]]] = [
    (ClientMessageTooLargeError, 1009),
    (ServerStopsError, 1012),
    (EventLogUnavailableError, 1013),
    (StoreError, 1013),
]
"""Those of RFC 6455 and its registry; the others are 4000 and an HTTP status, as in 4401."""

_INTERNAL_ERROR: Final = 1011

_WAITING: Final = 16
"""Messages of a client that wait for their turn; then it is not read from any more."""

_FAREWELL_S: Final = 1.0


async def serve_websocket(socket: WebSocket, services: Services, hub: Hub) -> None:
    """Talk with one client until either side ends it."""
    try:
        _check_origin(socket, hub.limits.origins)
        with hub.connection():
            credential = _credential_of(socket)
            caller = None
            if credential is not None:
                caller = await hub.admit(socket, credential)
            offered = socket.scope["subprotocols"]
            await socket.accept(_PROTOCOL if _PROTOCOL in offered else None)
            with contextlib.suppress(WebSocketDisconnect):
                await _Conversation(socket, services, hub).run(credential, caller)
    except ChorusError as error:  # nothing was accepted yet
        await socket.send_denial_response(refusal(socket, error))


def _check_origin(socket: WebSocket, allowed: frozenset[str]) -> None:
    """Refuse pages of other places: a browser lets them connect to us.

    Raises:
        ForeignOriginError: It comes from one.
    """
    origin = socket.headers.get("origin")
    if origin is None or origin in allowed:  # no browser
        return
    if urlsplit(origin).netloc.lower() != socket.headers.get("host", "").lower():
        raise ForeignOriginError(origin)


def _credential_of(socket: WebSocket) -> Credential | None:
    for protocol in socket.scope["subprotocols"]:
        if protocol.startswith(_TOKEN_PROTOCOL):
            return Credential(protocol.removeprefix(_TOKEN_PROTOCOL))
    return Credential.of(socket.headers)


def _close_code(error: ChorusError) -> int:
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    status = status_of(error)[0]
    is_clients = 400 <= status < 500  # noqa: PLR2004 - as HTTP has it
    return 4000 + status if is_clients else _INTERNAL_ERROR


class _Conversation:
    """What is said after the handshake.

    Every message of the client gets one answer, in order; in between come events. One task reads,
    one answers and sends events, one watches over both.
    """

    def __init__(self, socket: WebSocket, services: Services, hub: Hub) -> None:
        self._socket = socket
        self._services = services
        self._hub = hub
        self._limits = hub.limits
        self._waiting: asyncio.Queue[ClientMessage | ChorusError] = asyncio.Queue(_WAITING)
        self._told = ""

    async def run(self, credential: Credential | None, caller: Caller | None) -> None:
        """Talk until either side ends it."""
        try:
            if credential is None or caller is None:
                credential, caller = await self._await_hello()
            with self._hub.client(self._services, caller, credential) as client:
                await self._converse(client)
        except ChorusError as error:
            await self._say_goodbye(error)

    async def _converse(self, client: Client) -> None:
        try:
            await client.feed.follow(frozenset(), None)
            await self._send(client, self._welcome(client))
            await first_of(self._listen(client), self._talk(client), client.watch())
        except ChorusError as error:
            await self._say_goodbye(error)

    async def _await_hello(self) -> tuple[Credential, Caller]:
        try:
            async with asyncio.timeout(self._limits.hello_within_s):
                message = await self._receive()
        except (TimeoutError, ClientMessageError):
            raise AuthenticationError from None
        if not isinstance(message, Hello):
            raise AuthenticationError
        credential = Credential(message.token)
        return credential, await self._hub.admit(self._socket, credential)

    def _welcome(self, client: Client) -> str:
        return text_of(
            "welcome",
            user=client.caller.user_id,
            role=client.caller.role,
            heartbeatS=self._limits.heartbeat_s,
            id=client.feed.position,
        )

    # ------------------------------------------------------------------ what the client says

    async def _listen(self, client: Client) -> None:
        while True:
            try:
                message: ClientMessage | ChorusError = await self._receive()
            except ClientMessageError as error:
                message = error
            await self._waiting.put(message)
            client.feed.rouse()

    async def _receive(self) -> ClientMessage:
        received = await self._socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received["code"])
        text = received.get("text")
        if text is None:
            raise ClientMessageError("message: must be text, got bytes; send JSON as text")
        return read_message(text, self._limits.message_bytes)

    async def _answer(self, client: Client, message: ClientMessage | ChorusError) -> str:
        try:
            match message:
                case Subscribe():
                    await self._subscribe(client, message)
                case Unsubscribe():
                    topics = client.feed.topics - set(message.topics)
                    await client.feed.follow(topics, client.feed.strategies)
                case Hello():
                    await self._renew(client, Credential(message.token))
                    return self._welcome(client)
                case Ping():
                    return text_of("pong")
                case ChorusError():
                    raise message
        except (ClientMessageError, EventError) as error:
            return problem_text("error", error)
        feed = client.feed
        self._told = feed.position
        chosen = None if feed.strategies is None else sorted(feed.strategies)
        return text_of("subscribed", topics=sorted(feed.topics), strategies=chosen, id=self._told)

    async def _subscribe(self, client: Client, message: Subscribe) -> None:
        feed, limits = client.feed, self._limits
        if message.after is not None and feed.topics:
            raise ClientMessageError(
                "after: only for the first topics of a connection; unsubscribe from "
                f"{len(feed.topics)} first, or open another connection"
            )
        topics = feed.topics | set(message.topics)
        strategies = feed.strategies
        if message.strategies is None:
            strategies = None
        elif isinstance(message.strategies, list):
            strategies = frozenset(message.strategies)
        for name, found, most in (
            ("topics", topics, limits.topics),
            ("strategies", strategies or (), limits.strategies),
        ):
            if len(found) > most:
                raise ClientMessageError(
                    f"{name}: a connection follows at most {most}, not {len(found)}; "
                    f"follow all with '*' or None, or open another connection"
                )
        await feed.follow(topics, strategies, message.after)

    async def _renew(self, client: Client, credential: Credential) -> None:
        caller = await self._hub.admit(self._socket, credential)
        if caller != client.caller:
            raise AuthenticationError
        client.credential = credential

    # ------------------------------------------------------------------ what the server says

    async def _talk(self, client: Client) -> None:
        while True:
            while not self._waiting.empty():
                await self._send(client, await self._answer(client, self._waiting.get_nowait()))
            batch = await client.next()
            if batch is None:
                self._told = client.feed.position
                await self._send(client, text_of("heartbeat", id=self._told))
                continue
            if batch.lost:
                await self._send(client, text_of("lost", lost=batch.lost))
            for text, last in self._hub.texts.pieces(batch.events):
                await self._send(client, text)
                self._told = last.id

    async def _send(self, client: Client, text: str) -> None:
        with client.sending():
            await self._socket.send({"type": "websocket.send", "text": text})

    async def _say_goodbye(self, error: ChorusError) -> None:
        """Say why it ends, to a client that may not listen any more."""
        go_on_after = resume_id(error) or self._told
        reason = status_of(error)[1] + (f"; go on after {go_on_after}" if go_on_after else "")
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, WebSocketDisconnected):
            async with asyncio.timeout(_FAREWELL_S):
                text = problem_text("error", error, id=go_on_after or None)
                await self._socket.send({"type": "websocket.send", "text": text})
                await self._socket.close(_close_code(error), reason)
