"""A server on a port of its own, and clients that follow its stream."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from api.server import Services, create_app
from api.server.serving import Server
from api.server.stream import Hub, StreamLimits
from engine.events import MemoryEventLog

__all__ = ["Place", "Talk", "a_server"]

WITHIN_S = 10.0


class Talk:
    """A WebSocket whose messages are JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, kind: str, **fields: Any) -> None:
        self.connection.send(json.dumps({"type": kind, **fields}))

    def hear(self, *, heartbeats: bool = False) -> dict[str, Any]:
        deadline = time.monotonic() + WITHIN_S
        while True:
            heard: dict[str, Any] = json.loads(self.connection.recv(deadline - time.monotonic()))
            if heartbeats or heard["type"] != "heartbeat":
                return heard

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Say something, and return what is heard next."""
        self.say(kind, **fields)
        return self.hear()

    def events(self, count: int) -> list[dict[str, Any]]:
        """Return so many events, which is all that is heard meanwhile."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            heard = self.hear()
            assert heard["type"] == "events", heard
            found += heard["events"]
        assert len(found) == count
        return found

    def end(self) -> tuple[int, str]:
        """Wait for the end, and return its code and reason."""
        with suppress(ConnectionClosed):
            deadline = time.monotonic() + WITHIN_S
            while True:
                self.connection.recv(deadline - time.monotonic())
        return self.connection.close_code or 0, self.connection.close_reason or ""


class Place(msgspec.Struct):
    """Where a server is, and what it works with."""

    port: int
    hub: Hub
    log: MemoryEventLog
    services: Services
    server: Server
    thread: threading.Thread

    @contextmanager
    def talk(self, key: str | None = None, **options: Any) -> Iterator[Talk]:
        headers = options.pop("additional_headers", {})
        # Without end: else a client does not see that it is closed before it has read all.
        options.setdefault("max_queue", None)
        if key is not None:
            headers = {"X-API-Key": key, **headers}
        with connect(
            f"ws://127.0.0.1:{self.port}/api/v1/stream",
            additional_headers=headers,
            proxy=None,
            **options,
        ) as connection:
            yield Talk(connection)

    @contextmanager
    def welcomed(self, key: str, *topics: str, **fields: Any) -> Iterator[Talk]:
        """Talk as the holder of a key, who follows some topics already."""
        with self.talk(key) as talk:
            assert talk.hear()["type"] == "welcome"
            if topics:
                assert talk.ask("subscribe", topics=topics, **fields)["type"] == "subscribed"
            yield talk

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(WITHIN_S)
        assert not self.thread.is_alive()


@contextmanager
def a_server(services: Services, log: MemoryEventLog, limits: StreamLimits) -> Iterator[Place]:
    """Serve an application in a thread; its port takes connections at once."""
    app = create_app(services, streams=limits)
    server = Server(app, log_config=None, access_log=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        port = listener.getsockname()[1]
        place = Place(port, app.state.hub, log, services, server, thread)
        try:
            yield place
        finally:
            place.stop()
