"""The client of B-STREAM finds every event, however the bytes are cut."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any

import pytest

from benchmarks.raw_websocket import RawClient
from engine.errors import ChorusError


class Wire:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


def frame(text: bytes, kind: int = 0x81) -> bytes:
    if len(text) < 126:
        return bytes([kind, len(text)]) + text
    if len(text) < 65_536:
        return bytes([kind, 126]) + struct.pack("!H", len(text)) + text
    return bytes([kind, 127]) + struct.pack("!Q", len(text)) + text


def events(count: int, sent: int) -> bytes:
    each = b'{"id":"x","data":{"close":1.5,"sent":%d}}' % sent
    return frame(b'{"type":"events","events":[' + b",".join([each] * count) + b"]}")


@pytest.mark.parametrize("step", [1, 7, 1000, 10**6])
def test_every_event_is_noted(step: int) -> None:
    async def run() -> None:
        client, wire = RawClient("key"), Wire()
        made: Any = wire
        client.connection_made(made)
        assert b"X-API-Key: key" in wire.written[0]
        ago = time.monotonic_ns() - 5_000_000
        said = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + frame(b'{"type":"welcome"}')
        said += events(1, ago) + frame(b"ping", 0x89) + events(30, ago) + events(3000, ago)
        said += frame(b'{"type":"heartbeat"}') + events(2, ago)
        for start in range(0, len(said), step):
            client.data_received(said[start : start + step])
        assert len(client.delays_ms) == 3033
        assert min(client.delays_ms) >= 5.0
        assert wire.written[1] == bytes([0x8A, 0x84, 0, 0, 0, 0]) + b"ping"

    asyncio.run(run())


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 401 Unauthorized\r\n\r\n",
     b"HTTP/1.1 101 x\r\n\r\n" + frame(b'{"type":"lost","lost":{"metrics":1}}'),
     b"HTTP/1.1 101 x\r\n\r\n" + frame(b"\x11\x31too slow", 0x88)],
)  # fmt: skip
def test_a_client_that_does_not_get_everything_is_a_failure(said: bytes) -> None:
    async def run() -> None:
        client = RawClient("key")
        wire: Any = Wire()
        client.connection_made(wire)
        with pytest.raises(ChorusError, match="B-STREAM: a client was"):
            client.data_received(said)

    asyncio.run(run())
