"""Serving the API: an address that is taken early, a server that ends when it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from api.server.serving import Server
from engine.errors import ChorusError, ConfigError

__all__ = ["bound", "serving", "serving_meanwhile"]

_BACKLOG = 2048
_STARTS_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.01
_QUIET: Final[dict[str, Any]] = {
    "log_config": None,
    "access_log": False,
    "server_header": False,
}


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Take an address for the length of a `with` block.

    Args:
        host: Name or address.
        port: 0: any that is free.

    Raises:
        ConfigError: It cannot be had.
    """
    try:
        # With its protocol: only then does asyncio send small packets at once, else an answer in
        # two parts takes 40 ms.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(f"--host {host}: no address of this machine: {error}") from error
    with contextlib.closing(listener):
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError as error:
            raise ConfigError(
                f"{host}:{port}: cannot be listened at: {error.strerror}; end who does, or name "
                "another with --port (0: any that is free)"
            ) from error
        listener.set_inheritable(False)
        yield listener


@contextlib.contextmanager
def serving(app: FastAPI, listener: socket.socket) -> Iterator[None]:
    """Serve the API in a thread of its own for the length of a `with` block.

    Raises:
        ChorusError: It does not start.
    """
    with _running(Server(app, **_QUIET), listener):
        yield


@contextlib.contextmanager
def serving_meanwhile(app: FastAPI, listener: socket.socket) -> Iterator[None]:
    """Serve something else at an address, for as long as the API does not do so itself.

    Raises:
        ChorusError: It does not start.
    """
    config = uvicorn.Config(app, **_QUIET)
    with listener.dup() as own, _running(uvicorn.Server(config), own):
        yield


@contextlib.contextmanager
def _running(server: uvicorn.Server, listener: socket.socket) -> Iterator[None]:
    thread = threading.Thread(target=server.run, args=([listener],), name="chorus-http")
    thread.start()
    try:
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise ChorusError("the API has not started; see the log")
            time.sleep(_LOOK_EVERY_S)
        yield
    finally:
        server.should_exit = True
        thread.join()
