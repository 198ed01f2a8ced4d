"""A WebSocket client that does as little as possible, so that 200 of them need no machine."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import Sequence
from typing import Any, Final

from engine.errors import ChorusError

__all__ = ["RawClient"]

_SENT: Final = re.compile(rb'"sent":(\d+)')
_EVENTS: Final = b'{"type":"events"'
_TEXT: Final = 0x81
_CLOSE: Final = 0x88
_PING: Final = 0x89
_PONG: Final = 0x8A
_LENGTH_IN_2: Final = 126
_LENGTH_IN_8: Final = 127


class RawClient(asyncio.Protocol):
    """Follows topics, and notes how old each event is when it arrives (RFC 6455).

    Args:
        key: An API key.

    Attributes:
        delays_ms: Of all events so far.
    """

    def __init__(self, key: str) -> None:
        self.delays_ms: list[float] = []
        self._key = key
        self._buffer = bytearray()
        self._is_open = False
        self._told = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Follow topics; returns once the server says so."""
        await self._told
        self._told = asyncio.get_running_loop().create_future()
        self._write(_TEXT, json.dumps({"type": "subscribe", "topics": topics}).encode())
        await self._told

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        """Ask for a WebSocket."""
        self._transport = transport
        nonce = base64.b64encode(os.urandom(16)).decode()
        lines = (
            "GET /api/v1/stream HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket",
            "Connection: Upgrade", f"Sec-WebSocket-Key: {nonce}", "Sec-WebSocket-Version: 13",
            f"X-API-Key: {self._key}", "", "",
        )  # fmt: skip
        transport.write("\r\n".join(lines).encode())

    def data_received(self, data: bytes) -> None:
        """Note what has arrived."""
        now = time.monotonic_ns()
        self._buffer += data
        if not self._is_open:
            head, mark, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not mark:
                return
            if b" 101 " not in head:
                raise ChorusError(f"B-STREAM: a client was refused: {head[:200]!r}")
            self._is_open, self._buffer = True, bytearray(rest)
        start = 0
        while (frame := self._frame(start)) is not None:
            kind, payload, start = frame
            self._take(kind, payload, now)
        del self._buffer[:start]

    def _frame(self, start: int) -> tuple[int, bytes, int] | None:
        """Return kind and payload of a frame and where it ends; None: it is not all there."""
        buffer, at = self._buffer, start + 2
        if len(buffer) < at:
            return None
        size = buffer[start + 1]
        if size >= _LENGTH_IN_2:
            width = 8 if size == _LENGTH_IN_8 else 2
            size = int.from_bytes(buffer[at : at + width], "big")
            at += width
        if len(buffer) < at + size:
            return None
        return buffer[start], bytes(buffer[at : at + size]), at + size

    def _take(self, kind: int, payload: bytes, now: int) -> None:
        if kind == _TEXT and payload.startswith(_EVENTS):
            self.delays_ms += [(now - int(sent)) / 1e6 for sent in _SENT.findall(payload)]
        elif kind == _TEXT and b'"heartbeat"' not in payload:
            if b'"error"' in payload or b'"lost"' in payload:
                raise ChorusError(f"B-STREAM: a client was told {payload!r}")
            self._told.set_result(None)
        elif kind == _PING:
            self._write(_PONG, payload)
        elif kind == _CLOSE:
            raise ChorusError(f"B-STREAM: a client was sent away: {payload!r}")

    def _write(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes([kind, 0x80 | size]) if size < _LENGTH_IN_2 else bytes([kind, 0x80 | 126])
        length = b"" if size < _LENGTH_IN_2 else size.to_bytes(2, "big")
        # A mask of zeros is one, too.
        self._transport.write(head + length + bytes(4) + payload)
