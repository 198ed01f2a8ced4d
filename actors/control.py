"""Control calls to strategy actors, over a socket of their own.

While a strategy actor plays, its `run` occupies the actor's one thread, so ordinary calls to it
would wait for ever. Giving the actor more threads is the obvious way out and an expensive one: the
main thread of an idle Ray worker looks for signals a hundred times a second, which costs 0.6 % of a
core and the interpreter lock, in each of hundreds of processes. So Ray starts, ends and watches the
actors, and what is said to them in between travels here: requests one way, replies and status the
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
from engine.instance import Command
from engine.report import StrategyOutcome
from engine.sequencing import Past, SliceEvent
from engine.status import StrategyStatus

__all__ = [
    "AskOutcome",
    "CatchUp",
    "ControlHub",
    "ControlLine",
    "GoLive",
    "Recover",
    "Repeat",
    "Request",
]


_LOOK_EVERY_S = 0.25


class AskOutcome(msgspec.Struct, frozen=True, tag="outcome", tag_field="kind"):
    """Return state, metrics and errors, once order events are heard through a slice.

    The end of a run is decided while the last releases are still under way; asking for the
    outcome through the last slice is what makes it complete. -1 asks for it as it is now.
    """

    through: int = -1


class CatchUp(msgspec.Struct, frozen=True, tag="catch_up", tag_field="kind"):
    """Read what was published so far and live through it up to a slice.

    `events` are the instance's order events of earlier starts up to and including that slice.
    """

    through: int
    events: list[SliceEvent]


class GoLive(msgspec.Struct, frozen=True, tag="go_live", tag_field="kind"):
    """Take part from a slice on; `events` are all order events of earlier starts."""

    live_from: int
    events: list[SliceEvent]


class Recover(msgspec.Struct, frozen=True, tag="recover", tag_field="kind"):
    """Live through everything again and go on where the process before left off."""

    past: Past


class Repeat(msgspec.Struct, frozen=True, tag="repeat", tag_field="kind"):
    """Tell the order manager again what it may have lost, in its present life."""

    reign: int


Request = Command | AskOutcome | CatchUp | GoLive | Recover | Repeat


class _Call(msgspec.Struct, frozen=True, array_like=True, tag=True):
    number: int
    request: Request


class _Reply(msgspec.Struct, frozen=True, array_like=True, tag=True):
    number: int
    error: str
    outcome: StrategyOutcome | None


class _Report(msgspec.Struct, frozen=True, array_like=True, tag=True):
    epoch: int
    status: StrategyStatus


_Upward = _Reply | _Report


class ControlLine:
    """A strategy actor's end of the line; its `run` loop owns it."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints, host: str, epoch: int
    ) -> None:
        self.socket = connect(
            context, zmq.DEALER, endpoints.control, identity=identity(host, epoch)
        )
        self._calls = codec(_Call)
        self._encode = msgspec.msgpack.Encoder().encode
        self._deferred: list[_Call] = []
        self._epoch = epoch

    def serve(
        self,
        handle: Callable[[Request], StrategyOutcome | None],
        *,
        is_due: Callable[[Request], bool],
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
            outcome, error = None, ""
            try:
                outcome = handle(call.request)
            except ChorusError as problem:
                error = str(problem)
            self.socket.send(self._encode(_Reply(call.number, error, outcome)))

    @property
    def has_deferred(self) -> bool:
        """Tell whether a request waits for its time."""
        return bool(self._deferred)

    def report(self, status: StrategyStatus) -> None:
        """Send a status; nobody answers."""
        self.socket.send(self._encode(_Report(self._epoch, status)))


class ControlHub:
    """The manager's end of all lines, served by a thread of its own.

    Args:
        endpoints: The engine's data plane.
        on_status: Called by the hub's thread with the epoch and every status that arrives.
    """

    def __init__(
        self, endpoints: Endpoints, on_status: Callable[[int, StrategyStatus], None]
    ) -> None:
        self._on_status = on_status
        self._mailbox = Mailbox()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[StrategyOutcome | None]] = {}
        self._router = bind(zmq.Context(), zmq.ROUTER, endpoints.control)
        self._upward = msgspec.msgpack.Decoder(_Upward)
        self._encode = msgspec.msgpack.Encoder().encode
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def ask(
        self,
        host: str,
        epoch: int,
        request: Request,
        *,
        timeout_s: float,
        is_gone: Callable[[], bool],
    ) -> StrategyOutcome | None:
        """Have a strategy actor carry out a request between two candles; any thread may ask.

        Args:
            host: Participant id.
            epoch: Number of its start.
            request: What to do.
            timeout_s: How long to wait.
            is_gone: Asked now and then; True gives up, its process has ended.

        Raises:
            ServiceAwayError: Its process has ended.
            ChorusError: It refused, or did not answer in time: its own code does not return.
        """
        number = next(self._numbers)
        reply: Future[StrategyOutcome | None] = Future()

        def send() -> None:
            self._waiting[number] = reply
            call = self._encode(_Call(number, request))
            self._router.send_multipart([identity(host, epoch), call])

        self._mailbox.post(send)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return reply.result(_LOOK_EVERY_S)
            except TimeoutError:
                gone = is_gone()
                if not gone and time.monotonic() < deadline:
                    continue
            self._mailbox.post(lambda: self._waiting.pop(number, None))
            if gone:
                raise ServiceAwayError(f"strategy {host!r}: its process has ended")
            raise ChorusError(f"strategy {host!r}: no answer within {timeout_s:g} s")

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._mailbox.fileno(), zmq.POLLIN)
        while True:
            poller.poll()
            self._mailbox.drain()
            for payload in receive_addressed(self._router):
                message = self._upward.decode(payload)
                if isinstance(message, _Report):
                    self._on_status(message.epoch, message.status)
                else:
                    self._settle(message)

    def _settle(self, message: _Reply) -> None:
        reply = self._waiting.pop(message.number, None)
        if reply is None:
            return
        if message.error:
            reply.set_exception(ChorusError(message.error))
        else:
            reply.set_result(message.outcome)
