"""What every host does: one participant of the data plane, alone in its process.

`StrategyActor` (dedicated) and `StrategyHost` (pooled) differ in how many instances they carry.
"""

from __future__ import annotations

import contextlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import zmq

from actors.building import InstanceBuilder
from actors.control import ControlLine
from actors.host_spec import HostSpec, Prepared, Runner
from actors.processes import settle_memory, uncollected
from actors.reliving import Reliving
from actors.requests import (
    Admit,
    AskOutcomes,
    Begin,
    CatchUp,
    Dismiss,
    GoLive,
    Hello,
    Obey,
    Recover,
    Repeat,
    Reply,
    Request,
    StrategySpec,
)
from actors.services import call_service
from actors.snapshots import StateKeeper, says_what_it_keeps
from actors.wire import (
    MARK_TOPIC,
    attached_topic,
    codec,
    connect,
    first_epoch,
    identity,
    is_readable,
    payload_of,
    receive_all,
    start_name,
    stream_topic,
)
from engine.config import StrategyConfig
from engine.crash_points import ARMED, CrashPoint, reach
from engine.errors import ChorusError, LifecycleError
from engine.instance import Command, Instance, Pause, SaidLine
from engine.report import outcome_of
from engine.sequencing import (
    Answer,
    CandleBatch,
    Mark,
    Release,
    SeatState,
    SliceEvent,
    Stored,
)
from engine.status import StrategyStatus

__all__ = ["Host"]

SLICE_OF_WORK_NS = 100_000_000
"""Longest stretch of candles processed before progress is reported (one candle may exceed it)."""

QUIET_MS = 50
IDLE_MS = 250


class Host(ABC):
    """Runs instances on the data plane, in the actor's only thread.

    The manager calls `prepare`, `attach` and `run`, in this order. `run` never returns; requests
    arrive over the control line and are carried out between two candles. The process is ended from
    outside, which can harm nobody else: all it owns are its instances.
    """

    _runner: Runner
    _applied: ClassVar[CrashPoint]

    def __init__(self, spec: HostSpec, market: Any) -> None:
        self._spec = spec
        self._market = market
        self._builder = InstanceBuilder(spec.instruments, self._say_who_runs)
        self._instances = self._builder.instances
        self._keeper = StateKeeper(spec.state, spec.host, self._states_of)
        self._listens_to: set[str] = set()
        self._newcomers: list[str] = []
        self._reliving = Reliving(self._relive)
        self._log_read = -1
        self._is_caught_up = False
        self._is_live = False
        self._has_spoken = False
        self._work_until_ns = 0
        self._candles = codec(CandleBatch)
        self._marks = codec(Mark)
        self._releases = codec(Release)
        self._answers = codec(Answer)
        self._handlers: dict[type, Callable[[Any], Reply | None]] = {
            AskOutcomes: self._return_outcomes,
            Obey: self._obey,
            Repeat: self._repeat,
            Hello: lambda _: self._say_hello(),
            Begin: lambda request: Reply(left=self._builder.start(request.instances)),
            CatchUp: self._catch_up,
            GoLive: self._take_part,
            Recover: self._go_on,
            Admit: self._admit,
            Dismiss: self._let_go,
        }

    # ------------------------------------------------------------------ what the two kinds add

    @abstractmethod
    def _seat(self, instance: Instance, streams: Sequence[str], /) -> None:
        """Give an instance a runner; it is not live yet."""

    @abstractmethod
    def _relive(self, name: str, through: int, events: Sequence[SliceEvent], /) -> None: ...

    @abstractmethod
    def _go_live(self, name: str, live_from: int, events: Sequence[SliceEvent], /) -> None: ...

    @abstractmethod
    def _say_who_runs(self, name: str | None, /) -> None:
        """Write down for others whose code is called next; None: nobody's."""

    @abstractmethod
    def _wanted(self) -> dict[str, int]:
        """Return the first seq of each stream that somebody here has not seen."""

    @abstractmethod
    def _command(self, name: str, command: Command, /) -> None: ...

    @abstractmethod
    def _dismiss(self, name: str, /) -> None: ...

    @abstractmethod
    def _states_of(self, names: Sequence[str], /) -> tuple[list[SeatState], dict[str, str]]:
        """Return the present states of instances, and why some have none."""

    @abstractmethod
    def _changed_statuses(self, *, is_quiet: bool) -> list[StrategyStatus] | None:
        """Return statuses that are due; None if not even a sign of life is."""

    # ------------------------------------------------------------------ start

    def prepare(self) -> Prepared:
        """Load the strategy types and build the instances; called first."""
        return Prepared(os.getpid(), self._build(self._spec.strategies))

    def _build(self, specs: Iterable[StrategySpec]) -> dict[str, str]:
        built, failures = self._builder.build(specs)
        self._newcomers += built
        return failures

    def attach(self) -> None:
        """Connect to the data plane and say hello; called once, before `run`."""
        spec = self._spec
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        address = identity(spec.host, spec.start)
        self._dealer = connect(context, zmq.DEALER, spec.endpoints.answers, identity=address)
        self._control = ControlLine(context, spec.endpoints, spec.host, spec.start)
        self._subscriber = connect(context, zmq.SUB, spec.endpoints.candles)
        self._subscribe_newcomers(start_name(spec.host, spec.start))
        self._say_hello()
        self._report(is_quiet=True)

    def _subscribe_newcomers(self, attach_as: str) -> None:
        for name in self._newcomers:
            instance = self._instances[name]
            streams = instance.config.streams
            for stream in streams:
                if stream not in self._listens_to:
                    self._subscriber.subscribe(stream_topic(stream))
                    self._listens_to.add(stream)
            self._seat(instance, streams)
        if len(self._listens_to) > 1:
            self._subscriber.subscribe(MARK_TOPIC)
        self._subscriber.subscribe(attached_topic(attach_as))

    def _say_hello(self) -> None:
        # A message to a peer that is not connected yet is lost without a word. What arrives from
        # here proves to the order manager and to the manager that they can write back.
        spec = self._spec
        hello = Answer(spec.host, first_epoch(spec.start), -1, -1, 0, [])
        self._dealer.send(self._answers.encode(hello))

    # ------------------------------------------------------------------ the loop

    def run(self) -> None:
        """Process candles until the process is ended."""
        self._await_first_instance()
        # Order events are for an instance that knows its past: until it is live they wait unread.
        preparing = _poller(self._control.socket, self._subscriber)
        orders_only = _poller(self._dealer, self._control.socket)
        everything = _poller(self._dealer, self._control.socket, self._subscriber)
        runner = self._runner
        more = True
        settle_memory()
        while True:
            is_held = runner.awaits_release
            poller = (orders_only if is_held else everything) if self._is_live else preparing
            ready = poller.poll(0 if more else QUIET_MS)
            if not ready and not more:
                self._report(is_quiet=True)
                # A socket nobody asks does not subscribe again when market data comes back.
                is_readable(self._subscriber)
                self._take_states()
                ready = poller.poll(IDLE_MS)
            for source, _ in ready:
                self._receive(source)
            if is_held and not runner.awaits_release and is_readable(self._subscriber):
                self._take_candles()
            self._work_until_ns = time.monotonic_ns() + SLICE_OF_WORK_NS
            more = runner.run(may_continue=self._may_continue)
            self._send_answer()
            self._report(is_quiet=False)

    def _take_states(self) -> None:
        """Shorten the way back of some instances, in case this process dies."""
        if self._is_live:
            type_of = self._builder.type_of
            self._keeper.take_some(
                name for name in self._instances if says_what_it_keeps(type_of(name))
            )

    def _await_first_instance(self) -> None:
        """Serve requests until there is an instance: it moves here once this process is up."""
        poller = _poller(self._control.socket)
        while not self._instances:
            if poller.poll(IDLE_MS):
                self._control.serve(self._handle, is_due=lambda _: True)
            self._control.report(0, [])

    def _send_answer(self) -> None:
        answer = self._runner.answer()
        if answer is not None:
            if ARMED:
                reach(self._applied)
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

    def _report(self, *, is_quiet: bool) -> None:
        statuses = self._changed_statuses(is_quiet=is_quiet)
        if statuses is not None:
            epoch = self._runner.epoch if self._is_live else 0
            self._control.report(epoch, statuses, self._said(statuses))

    def _said(self, statuses: list[StrategyStatus]) -> list[SaidLine]:
        """Return what was said by instances whose turn it is, and that live in the present."""
        names: Iterable[str] = [status.id for status in statuses]
        if len(self._instances) == 1:
            names = self._instances
        return [
            line
            for name in names
            if name in self._instances and name not in self._newcomers
            for line in self._instances[name].log.take()
        ]

    # ------------------------------------------------------------------ requests

    def _is_due(self, request: Request) -> bool:
        return not isinstance(request, AskOutcomes) or self._runner.matched >= request.through

    def _handle(self, request: Request) -> Reply:
        handler: Callable[[Any], Reply | None] = self._handlers[type(request)]
        return handler(request) or Reply()

    def _return_outcomes(self, request: AskOutcomes) -> Reply:
        present = (name for name in request.instances if name in self._instances)
        outcomes = [outcome_of(self._instances[name]) for name in present]
        return Reply(outcomes=outcomes, unwritten=self._keeper.unwritten)

    def _obey(self, request: Obey) -> None:
        if request.instance not in self._instances:
            raise ChorusError(f"strategy {request.instance!r}: is not in host {self._spec.host!r}")
        self._command(request.instance, request.command)
        # On record before anybody is told that it was obeyed.
        self._send_answer()

    def _repeat(self, request: Repeat) -> None:
        self._dealer.send(self._answers.encode(self._runner.repeat(request.reign)))

    @uncollected()
    def _catch_up(self, request: CatchUp) -> Reply:
        if request.through > self._log_read or not self._reliving.knows(request.events):
            self._read_log(request.through)
            self._reliving.begin(request.events)
        return Reply(left=self._reliving.go_on(request.through, request.events))

    def _take_part(self, request: GoLive) -> None:
        for name, events in request.events.items():
            self._go_live(name, request.live_from, events)
        self._begin_epoch(request.epoch, request.reign)
        self._settle(request.events)
        for name in request.paused:
            # One that is still warming up may not be; it is as soon as it could trade.
            with contextlib.suppress(LifecycleError):
                self._obey(Obey(name, Pause()))

    @uncollected()
    def _go_on(self, request: Recover) -> None:
        past = request.past
        self._read_log(
            max(past.matched, past.through, *(command.slice for command in past.commands))
        )
        stored = Stored(self._keeper.read(past.joined), self._builder.rebuild)
        self._runner.recover(past, stored)
        self._begin_epoch(request.epoch, request.reign)
        for name in request.past.joined:
            self._instances[name].log.take()  # it was said in the life before
        self._settle(request.past.joined)

    def _begin_epoch(self, epoch: int, reign: int) -> None:
        if self._has_spoken:
            self._runner.renew(epoch, reign)
        else:
            self._runner.epoch = epoch
        self._has_spoken = True

    def _admit(self, request: Admit) -> Reply:
        # One may be left that was to be dismissed when the manager died.
        ids = [StrategyConfig.model_validate_json(spec.config).id for spec in request.strategies]
        self._let_go(Dismiss([name for name in ids if name in self._instances]))
        failures = self._build(request.strategies)
        self._subscribe_newcomers(request.name)
        return Reply(failures=failures)

    def _let_go(self, request: Dismiss) -> None:
        for name in request.instances:
            if self._builder.let_go(name):
                self._dismiss(name)
        if request.instances:
            self._settle(request.instances)

    def _settle(self, names: Iterable[str]) -> None:
        """Note that newcomers take part, or will not."""
        settled = set(names)
        self._reliving.end(settled)
        self._newcomers = [name for name in self._newcomers if name not in settled]
        if not self._newcomers:
            self._is_live = True
            settle_memory()

    def _read_log(self, known: int) -> None:
        """Queue everything that was published so far and somebody here has not seen."""
        published, payloads = call_service(self._market.replay_all, self._wanted(), known)
        for payload in payloads:
            self._runner.offer(self._candles.decode(payload))
        self._runner.mark(published)
        self._log_read = max(self._log_read, known)
        self._is_caught_up = True


def _poller(*sockets: zmq.Socket[bytes]) -> zmq.Poller:
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    return poller
