"""The data plane: where the sockets are and what travels on them.

One PUB/SUB fan-out of candles, one ROUTER/DEALER pair per participant for answers and releases,
two PUSH/PULL lines for flow control and status. Payloads are msgpack of the structs in
`engine.sequencing`; nothing on the wire can run code.
"""

from __future__ import annotations

import contextlib
import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import zmq

__all__ = [
    "MARK_TOPIC",
    "SLICES_TOPIC",
    "Codec",
    "Endpoints",
    "Mailbox",
    "attached_topic",
    "bind",
    "codec",
    "connect",
    "first_epoch",
    "identity",
    "is_readable",
    "payload_of",
    "publish",
    "receive_addressed",
    "receive_all",
    "start_name",
    "start_of",
    "stream_topic",
]

MARK_TOPIC = b"#mark|"
SLICES_TOPIC = b"#slices|"

_TOPIC_END = b"|"
_UNIX_PATH_LIMIT = 107
_EPOCHS_PER_START = 1 << 20

# Plain integers: arithmetic on the library's flag enumerations costs as much as a message.
_EVENTS = int(zmq.EVENTS)
_READABLE = int(zmq.POLLIN)

T = TypeVar("T")


def stream_topic(stream: str) -> bytes:
    """Return the topic of a stream; the terminator keeps one from being another's prefix."""
    return stream.encode() + b"|"


def attached_topic(name: str) -> bytes:
    """Return the topic one start of a participant subscribes to last.

    ZeroMQ keeps the order of one peer's subscriptions, so its arrival at the publisher proves
    that all the others are in force: nothing is published before everybody listens.
    """
    return b"@" + name.encode() + b"|"


def start_name(host: str, start: int) -> str:
    """Return the name of one start of a participant."""
    return f"{host}#{start}"


def identity(host: str, start: int) -> bytes:
    """Return the address of one start of a participant."""
    return start_name(host, start).encode()


def first_epoch(start: int) -> int:
    """Return the epoch a start of a participant speaks under first.

    Every time its instances change it gets the next one; the address stays that of the start.
    """
    return start * _EPOCHS_PER_START


def start_of(epoch: int) -> int:
    """Return the start an epoch belongs to."""
    return epoch // _EPOCHS_PER_START


class Endpoints(msgspec.Struct, frozen=True):
    """Addresses of one engine's data plane."""

    candles: str
    answers: str
    credit: str
    control: str

    @classmethod
    def in_folder(cls, folder: Path) -> Endpoints:
        """Return ipc endpoints inside a folder only its owner may enter.

        Raises:
            ValueError: The path is too long for a Unix socket (107 bytes).
        """
        names = ("candles", "answers", "credit", "control")
        if len(os.fsencode(folder / max(names, key=len))) > _UNIX_PATH_LIMIT:
            raise ValueError(
                f"folder {str(folder)!r} is too long for a Unix socket; set TMPDIR to a short path"
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(**{name: f"ipc://{folder / name}" for name in names})


class Codec(Generic[T]):
    """Msgpack encoder and typed decoder of one message type."""

    def __init__(self, message_type: type[T]) -> None:
        self.encode: Callable[[T], bytes] = msgspec.msgpack.Encoder().encode
        self.decode: Callable[[bytes | memoryview], T] = msgspec.msgpack.Decoder(
            message_type
        ).decode


def codec(message_type: type[T]) -> Codec[T]:
    """Return a codec; one per loop, they are not shared between threads."""
    return Codec(message_type)


class Mailbox:
    """Hands calls from control threads to the loop that owns the state.

    A loop registers `fileno()` with its poller and calls `drain()` when it is readable. Whatever
    a control call does therefore happens between two candles, never inside one.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a call waits."""
        return self._reader

    def post(self, call: Callable[[], T]) -> Future[T]:
        """Queue a call for the loop; any thread may do so."""
        future: Future[T] = Future()
        self._calls.put((call, future))
        # A full pipe already means "readable".
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"x")
        return future

    def ask(self, call: Callable[[], T], *, timeout_s: float) -> T:
        """Run a call in the loop and return its result.

        Raises:
            TimeoutError: The loop did not come round in time.
        """
        return self.post(call).result(timeout_s)

    def drain(self) -> None:
        """Run the queued calls; the owning loop only."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)
        while True:
            try:
                call, future = self._calls.get_nowait()
            except queue.Empty:
                return
            try:
                future.set_result(call())
            except Exception as error:  # noqa: BLE001 - handed to the caller, whose call it was
                future.set_exception(error)

    def close(self) -> None:
        """Release the pipe; later calls would never be answered."""
        os.close(self._reader)
        os.close(self._writer)


def is_readable(socket: zmq.Socket[bytes]) -> bool:
    """Tell whether a message is there."""
    events: int = socket.get(_EVENTS)  # type: ignore[assignment]  # an integer for this option
    return bool(events & _READABLE)


def receive_all(socket: zmq.Socket[bytes]) -> Iterator[bytes]:
    """Yield the one-frame messages that are there now; never waits.

    Asks before it receives: finding nothing by way of an exception costs more than the message.
    """
    while is_readable(socket):
        yield socket.recv()


def receive_addressed(router: zmq.Socket[bytes]) -> Iterator[bytes]:
    """Yield the messages at a ROUTER socket that are there now, without their address."""
    while is_readable(router):
        router.recv()
        yield router.recv()


def publish(publisher: zmq.Socket[bytes], topic: bytes, payload: bytes) -> None:
    """Send a topic and its payload in one frame; a second frame costs every receiver again."""
    publisher.send(topic + payload)


def payload_of(frame: bytes) -> memoryview:
    """Return what follows the topic of a published frame."""
    return memoryview(frame)[frame.index(_TOPIC_END) + 1 :]


def bind(context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str) -> zmq.Socket[bytes]:
    """Bind a socket that never drops a message: no high-water mark, the window bounds memory."""
    socket = context.socket(kind)
    socket.set_hwm(0)
    socket.linger = 0
    socket.bind(endpoint)
    return socket


def connect(
    context: zmq.Context[zmq.Socket[bytes]],
    kind: int,
    endpoint: str,
    *,
    identity: bytes | None = None,
) -> zmq.Socket[bytes]:
    """Connect a socket that never drops a message (see `bind`)."""
    socket = context.socket(kind)
    socket.set_hwm(0)
    socket.linger = 0
    if identity is not None:
        socket.setsockopt(zmq.IDENTITY, identity)
    socket.connect(endpoint)
    return socket
