"""Serving the API: an address that is taken early, a server that ends when it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from fastapi import FastAPI

from api.server.serving import Server
from engine.errors import ChorusError, ConfigError

__all__ = ["bound", "serving"]

_BACKLOG = 2048
_STARTS_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.01


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
    """Serve an application in a thread of its own for the length of a `with` block.

    Raises:
        ChorusError: It does not start.
    """
    server = Server(app, log_config=None, access_log=False, server_header=False)
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
