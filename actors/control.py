"""Control calls to the strategies' actors, over a socket of their own.

While such an actor plays, its `run` occupies the actor's one thread, so ordinary calls to it would
wait for ever. Giving the actor more threads is the obvious way out and an expensive one: the main
thread of an idle Ray worker looks for signals a hundred times a second, which costs 0.6 % of a core
and the interpreter lock, in each of hundreds of processes. So Ray starts, ends and watches the
actors, and what is said to them in between travels here: requests one way, replies and reports the
other, all msgpack.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import msgspec
import zmq

from actors.requests import Reply, Request
from actors.services import ServiceAwayError
from actors.wire import (
    Endpoints,
    Mailbox,
    bind,
    codec,
    connect,
    identity,
    receive_addressed,
    receive_all,
)
from engine.errors import ChorusError
from engine.instance import SaidLine
from engine.status import StrategyStatus

__all__ = ["ControlHub", "ControlLine", "HostReport"]

_LOOK_EVERY_S = 0.25


class _Call(msgspec.Struct, frozen=True, array_like=True, tag=True):
    number: int
    request: Request


class _Reply(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """An answer to a call. `is_away`: market data or the order manager was away; ask again."""

    number: int
    error: str
    is_away: bool
    reply: Reply


class HostReport(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A sign of life of one start of a host, and what has changed or was said since the last."""

    host: str
    start: int
    epoch: int
    statuses: list[StrategyStatus]
    lines: list[SaidLine] = []


_Upward = _Reply | HostReport


class ControlLine:
    """A host's end of the line; its `run` loop owns it."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints, host: str, start: int
    ) -> None:
        self.socket = connect(
            context, zmq.DEALER, endpoints.control, identity=identity(host, start)
        )
        self._calls = codec(_Call)
        self._encode = msgspec.msgpack.Encoder().encode
        self._deferred: list[_Call] = []
        self._host = host
        self._start = start

    def serve(
        self, handle: Callable[[Request], Reply], *, is_due: Callable[[Request], bool]
    ) -> None:
        """Carry out the requests that are there and due; an error goes back to whoever asked.

        A request that is not due yet waits for the next call.
        """
        arrived = [self._calls.decode(payload) for payload in receive_all(self.socket)]
        calls, self._deferred = self._deferred + arrived, []
        for call in calls:
            if not is_due(call.request):
                self._deferred.append(call)
                continue
            reply, error, is_away = Reply(), "", False
            try:
                reply = handle(call.request)
            except ChorusError as problem:
                error, is_away = str(problem), isinstance(problem, ServiceAwayError)
            except Exception as problem:  # noqa: BLE001 - one request must not end thousands
                error = f"{type(problem).__name__}: {problem}"
            self.socket.send(self._encode(_Reply(call.number, error, is_away, reply)))

    @property
    def has_deferred(self) -> bool:
        """Tell whether a request waits for its time."""
        return bool(self._deferred)

    def report(
        self, epoch: int, statuses: list[StrategyStatus], lines: list[SaidLine] | None = None
    ) -> None:
        """Give a sign of life, with what has changed; nobody answers.

        Args:
            epoch: Under which the host takes part; 0 if it does not yet.
            statuses: Of its instances.
            lines: What their code has said.
        """
        report = HostReport(self._host, self._start, epoch, statuses, lines or [])
        self.socket.send(self._encode(report))


class ControlHub:
    """The manager's end of all lines, served by a thread of its own.

    Args:
        endpoints: The engine's data plane.
        on_report: Called by the hub's thread with every report that arrives.
    """

    def __init__(self, endpoints: Endpoints, on_report: Callable[[HostReport], None]) -> None:
        self._on_report = on_report
        self._mailbox = Mailbox()
        # A reply to an earlier life of the manager must not be taken for one to this.
        self._numbers = itertools.count(time.monotonic_ns())
        self._waiting: dict[int, Future[Reply]] = {}
        self._router = bind(zmq.Context(), zmq.ROUTER, endpoints.control)
        self._upward = msgspec.msgpack.Decoder(_Upward)
        self._encode = msgspec.msgpack.Encoder().encode
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def post(self, host: str, start: int, request: Request) -> Future[Reply]:
        """Have a host carry out a request between two candles, without waiting for it.

        Any thread may do so; a host carries out what is posted in that order.

        Args:
            host: Participant id; it has said something to this hub.
            start: Number of its start.
            request: What to do.

        Returns:
            The reply, or why it was refused; neither comes if the process ends before. Cancelling
            it only ends waiting: the request is carried out all the same.
        """
        number = next(self._numbers)
        reply: Future[Reply] = Future()

        def send() -> None:
            self._waiting[number] = reply
            call = self._encode(_Call(number, request))
            self._router.send_multipart([identity(host, start), call])

        def forget(reply: Future[Reply]) -> None:
            if reply.cancelled():
                self._mailbox.post(lambda: self._waiting.pop(number, None))

        self._mailbox.post(send)
        reply.add_done_callback(forget)
        return reply

    def ask(
        self,
        host: str,
        start: int,
        request: Request,
        *,
        timeout_s: float,
        is_gone: Callable[[], bool],
    ) -> Reply:
        """Have a host carry out a request between two candles; any thread may ask.

        Args:
            host: Participant id.
            start: Number of its start.
            request: What to do.
            timeout_s: How long to wait.
            is_gone: Asked now and then; True gives up, its process has ended.

        Raises:
            ServiceAwayError: Its process has ended, or market data or the order manager was away.
            ChorusError: It refused, or did not answer in time: its own code does not return.
        """
        reply = self.post(host, start, request)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return reply.result(_LOOK_EVERY_S)
            except TimeoutError:
                gone = is_gone()
                if not gone and time.monotonic() < deadline:
                    continue
            reply.cancel()
            if gone:
                raise ServiceAwayError(f"host {host!r}: its process has ended")
            raise ChorusError(f"host {host!r}: no answer within {timeout_s:g} s")

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._mailbox.fileno(), zmq.POLLIN)
        while True:
            poller.poll()
            self._mailbox.drain()
            for payload in receive_addressed(self._router):
                message = self._upward.decode(payload)
                if isinstance(message, HostReport):
                    self._on_report(message)
                else:
                    self._settle(message)

    def _settle(self, message: _Reply) -> None:
        future = self._waiting.pop(message.number, None)
        if future is None or not future.set_running_or_notify_cancel():
            return
        if message.error:
            kind = ServiceAwayError if message.is_away else ChorusError
            future.set_exception(kind(message.error))
        else:
            future.set_result(message.reply)
