"""The StrategyActor: one instance, alone in its process."""

from __future__ import annotations

import gc
import time
from decimal import Decimal
from typing import Any

import msgspec
import zmq

from actors.control import AskOutcome, CatchUp, ControlLine, GoLive, Recover, Repeat, Request
from actors.services import call_service
from actors.wire import (
    MARK_TOPIC,
    Endpoints,
    attached_topic,
    codec,
    connect,
    identity,
    is_readable,
    payload_of,
    receive_all,
    start_name,
    stream_topic,
)
from engine.catalog import load_file
from engine.config import StrategyConfig
from engine.errors import PluginError, start_failure
from engine.instance import Instance, build
from engine.money import Instrument
from engine.report import StrategyOutcome, outcome_of, status_of
from engine.sequencing import Answer, CandleBatch, InstanceRunner, Mark, Past, Release
from engine.status import StrategyStatus

__all__ = ["StrategyActor", "StrategySpec"]

SLICE_OF_WORK_NS = 100_000_000
"""Longest stretch of candles processed before progress is reported (one candle may exceed it)."""

STATUS_EVERY_NS = 250_000_000
STATUS_AT_LEAST_EVERY_NS = 1_000_000_000

QUIET_MS = 25
IDLE_MS = 250


class StrategySpec(msgspec.Struct, frozen=True):
    """What a StrategyActor is started with.

    Attributes:
        config: The strategy.
        plugin_file: File its type is loaded from.
        instruments: Trading rules of its symbols.
        capital: What it may use, quote currency.
        uncovered: Streams whose candles may miss prices their symbol's orders are matched on.
        epoch: Number of this start.
        endpoints: The engine's data plane.
    """

    config: StrategyConfig
    plugin_file: str
    instruments: dict[str, Instrument]
    capital: Decimal
    uncovered: tuple[str, ...]
    epoch: int
    endpoints: Endpoints


class StrategyActor:
    """Runs one instance on the data plane, in the actor's only thread.

    The manager calls `prepare`, `attach` and `run`, in this order. `run` never returns; requests
    arrive over the control line and are carried out between two candles. The process is ended
    from outside, which can harm nobody else: all it owns is this one instance.
    """

    def __init__(self, spec: StrategySpec, market: Any) -> None:
        self._spec = spec
        self._market = market
        self._is_caught_up = False
        self._is_live = False
        self._status_sent_ns = 0
        self._work_until_ns = 0
        self._last_status: StrategyStatus | None = None
        self._candles = codec(CandleBatch)
        self._marks = codec(Mark)
        self._releases = codec(Release)
        self._answers = codec(Answer)

    def prepare(self) -> None:
        """Load the strategy type and build the instance; called first.

        Raises:
            PluginError: The plugin or the configuration cannot be used; the message is the cause
                that is reported and written to the ledger.
        """
        spec = self._spec
        try:
            loaded = load_file(spec.plugin_file)
            self._instance: Instance = build(
                spec.config, loaded, instruments=spec.instruments, capital=spec.capital
            )
        except (Exception, SystemExit) as error:
            raise PluginError(start_failure(error)) from error

    def attach(self) -> None:
        """Connect to the data plane and say hello; called once, before `run`."""
        spec = self._spec
        host = spec.config.id
        streams = spec.config.streams
        self._runner = InstanceRunner(
            self._instance,
            host=host,
            epoch=spec.epoch,
            streams=streams,
            uncovered=spec.uncovered,
            is_live=False,
        )
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._dealer = connect(
            context, zmq.DEALER, spec.endpoints.answers, identity=identity(host, spec.epoch)
        )
        self._control = ControlLine(context, spec.endpoints, host, spec.epoch)
        self._subscriber = connect(context, zmq.SUB, spec.endpoints.candles)
        for stream in streams:
            self._subscriber.subscribe(stream_topic(stream))
        if len(streams) > 1:
            self._subscriber.subscribe(MARK_TOPIC)
        self._subscriber.subscribe(attached_topic(start_name(host, spec.epoch)))
        # A message to a peer that is not connected yet is lost without a word. What arrives from
        # here proves to the order manager and to the manager that they can write back.
        self._dealer.send(self._answers.encode(Answer(host, spec.epoch, -1, -1, 0, [])))
        self._control.report(status_of(self._instance))

    def run(self) -> None:
        """Process candles until the process is ended."""
        # Order events are for an instance that knows its past: until it is live they wait unread.
        preparing = _poller(self._control.socket, self._subscriber)
        orders_only = _poller(self._dealer, self._control.socket)
        everything = _poller(self._dealer, self._control.socket, self._subscriber)
        runner = self._runner
        more = True
        # Everything imported and built so far stays. Looking through it again and again would cost
        # tens of milliseconds each time, in the middle of some candle.
        gc.freeze()
        while True:
            is_held = runner.awaits_release
            poller = (orders_only if is_held else everything) if self._is_live else preparing
            ready = poller.poll(0 if more else QUIET_MS)
            if not ready and not more:
                self._report_status(STATUS_EVERY_NS)
                # A socket nobody asks does not subscribe again when market data comes back.
                is_readable(self._subscriber)
                ready = poller.poll(IDLE_MS)
            for source, _ in ready:
                self._receive(source)
            if is_held and not runner.awaits_release and is_readable(self._subscriber):
                self._take_candles()
            self._work_until_ns = time.monotonic_ns() + SLICE_OF_WORK_NS
            more = runner.run(may_continue=self._may_continue)
            self._send_answer()
            self._report_status(STATUS_AT_LEAST_EVERY_NS)

    def _send_answer(self) -> None:
        answer = self._runner.answer()
        if answer is not None:
            self._dealer.send(self._answers.encode(answer))

    def _receive(self, source: Any) -> None:
        if source is self._subscriber:
            self._take_candles()
            return
        if source is self._dealer:
            for payload in receive_all(self._dealer):
                self._runner.release(self._releases.decode(payload))
            if not self._control.has_deferred:
                return
        self._control.serve(self._handle, is_due=self._is_due)

    def _may_continue(self) -> bool:
        return time.monotonic_ns() < self._work_until_ns

    def _take_candles(self) -> None:
        # One message a time: asking whether there is another costs every actor more, on every
        # candle, than going round once more does where there is one.
        frame = self._subscriber.recv()
        if not self._is_caught_up:
            return  # `CatchUp` reads it from the log, in the order of slices
        if frame[:1] == MARK_TOPIC[:1]:
            self._runner.mark(self._marks.decode(payload_of(frame)).through)
            return
        batch = self._candles.decode(payload_of(frame))
        gap = self._runner.offer(batch)
        if gap is not None:
            # The fan-out did not bring it; the log has it.
            lost = call_service(self._market.replay, batch.stream, *gap)
            self._runner.offer(self._candles.decode(lost))
            self._runner.offer(batch)

    def _read_log(self) -> None:
        """Queue everything that was published so far."""
        streams = list(self._spec.config.streams)
        published, payloads = call_service(self._market.replay_all, streams)
        for payload in payloads:
            self._runner.offer(self._candles.decode(payload))
        self._runner.mark(published)
        self._is_caught_up = True

    def _recover(self, past: Past) -> None:
        self._read_log()
        self._runner.recover(past)
        self._is_live = True

    def _report_status(self, every_ns: int) -> None:
        """Send the status if the last one is old enough.

        Nobody waits for a status, everybody for answers: in a quiet moment it goes out often,
        between two candles of a burst seldom.
        """
        now = time.monotonic_ns()
        if now - self._status_sent_ns < every_ns:
            return
        self._status_sent_ns = now
        status = status_of(self._instance, lag=self._runner.queued)
        if status != self._last_status:
            self._last_status = status
            self._control.report(status)

    def _is_due(self, request: Request) -> bool:
        return not isinstance(request, AskOutcome) or self._runner.matched >= request.through

    def _handle(self, request: Request) -> StrategyOutcome | None:
        if isinstance(request, AskOutcome):
            return outcome_of(self._instance)
        if isinstance(request, CatchUp):
            self._read_log()
            self._runner.relive(request.through, request.events)
        elif isinstance(request, GoLive):
            self._runner.go_live(request.live_from, request.events)
            self._is_caught_up = self._is_live = True
        elif isinstance(request, Recover):
            self._recover(request.past)
        elif isinstance(request, Repeat):
            repeated = self._runner.repeat(request.reign)
            self._dealer.send(self._answers.encode(repeated))
        else:
            self._runner.command(request)
            # On record before anybody is told that it was obeyed.
            self._send_answer()
        return None


def _poller(*sockets: zmq.Socket[bytes]) -> zmq.Poller:
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    return poller
