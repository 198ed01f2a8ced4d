"""Serving the application over HTTP and WebSockets."""

from __future__ import annotations

import gc
import socket
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from api.server.stream import Hub

__all__ = ["Server"]

_STOP_WITHIN_S: Final = 10


class Server(uvicorn.Server):
    """A server that ends the streams of its clients before it waits for their connections.

    Args:
        app: As `create_app` makes it.
        options: As for `uvicorn.Config`.
    """

    def __init__(self, app: FastAPI, **options: Any) -> None:
        self._hub: Hub = app.state.hub
        ours: dict[str, Any] = {
            "ws": "websockets-sansio",
            # What is somewhat too large is refused with an explanation, what is more without.
            "ws_max_size": 2 * self._hub.limits.message_bytes,
            # For each message to each client it would take longer than to send it as it is.
            "ws_per_message_deflate": False,
            "timeout_graceful_shutdown": _STOP_WITHIN_S,
            # Anybody on this machine could say it comes from anywhere, and never be slowed down.
            "proxy_headers": False,
        }
        super().__init__(uvicorn.Config(app, **(ours | options)))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; called by `serve`."""
        # What is there by now stays. Looking through all of it again and again would be the longest
        # pause there is: 100 ms and more, at every tenth long list.
        gc.collect()
        gc.freeze()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; called by `serve` once it is told to exit."""
        await self._hub.close()
        await super().shutdown(sockets)
