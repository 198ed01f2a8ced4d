"""The OrderManager actor: answers in, releases out, one ledger."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import zmq

from actors.wire import (
    SLICES_TOPIC,
    Endpoints,
    Mailbox,
    attached_topic,
    bind,
    codec,
    connect,
    identity,
    payload_of,
    receive_addressed,
    receive_all,
)
from engine.config import RunConfig, StrategyConfig
from engine.latency import LatencyHistogram
from engine.report import LedgerExtract, extract_of
from engine.sequencing import Answer, Coordinator, Release, SliceBatch, SliceEvent
from engine.trading import Ledger, OrderManager

__all__ = ["ORDER_MANAGER", "DecisionProgress", "OrderManagerActor", "StalledHost"]

ORDER_MANAGER = "#order-manager"
"""Participant name of the order manager on the candle fan-out."""

CREDIT_EVERY_SLICES = 128
IDLE_MS = 250

_CONTROL_TIMEOUT_S = 30.0

T = TypeVar("T")


class StalledHost(msgspec.Struct, frozen=True):
    """A participant that has owed an answer for longer than the arbitration window."""

    host: str
    epoch: int
    slice: int
    waited_s: float


class DecisionProgress(msgspec.Struct, frozen=True):
    """How far deciding has come. `candles` are the base candles decided."""

    decided: int
    candles: int
    finished: bool
    elapsed_s: float
    stalled: list[StalledHost]
    latency_ms: dict[str, float]


class OrderManagerActor:
    """Collects the answers of all participants and decides slice by slice.

    `run` owns the order manager, its ledger and the coordinator; the other methods are control
    calls carried out by `run` between two messages.
    """

    def __init__(
        self, config: RunConfig, base_streams: Mapping[str, str], endpoints: Endpoints
    ) -> None:
        self._config = config
        self._base_streams = dict(base_streams)
        self._window_ns = config.arbitration.window_ms * 1_000_000
        self._base = frozenset(base_streams.values())
        self._epochs: dict[str, int] = {}
        self._met: set[tuple[str, int]] = set()
        self._latency = LatencyHistogram()
        self._candles = 0
        self._undecided: deque[tuple[int, int]] = deque()
        self._answered_ns: dict[str, int] = {}
        self._in_hand = -1
        self._in_hand_since_ns = 0
        self._credit_given = -1
        self._started_ns = 0
        self._finished_ns = 0
        self._ended = False
        self._stopping = False
        self._mailbox = Mailbox()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = bind(context, zmq.ROUTER, endpoints.answers)
        self._credit = connect(context, zmq.PUSH, endpoints.credit)
        self._subscriber = connect(context, zmq.SUB, endpoints.candles)
        self._subscriber.subscribe(SLICES_TOPIC)
        self._subscriber.subscribe(attached_topic(ORDER_MANAGER))
        self._answer = codec(Answer)
        self._release = codec(Release)
        self._slices = codec(SliceBatch)

    def open(self) -> None:
        """Make accounts and instruments; called first.

        Raises:
            ConfigError: An instrument cannot be used.
        """
        self._manager = OrderManager(self._config, base_streams=self._base_streams, ledger=Ledger())
        self._coordinator = Coordinator(self._manager)

    def register(self, strategies: Sequence[StrategyConfig]) -> None:
        """Let strategies take part in risk and arbitration, withdrawn ones again.

        Raises:
            ConfigError: A strategy's account does not hold its quote currency.
        """

        def call() -> None:
            for strategy in strategies:
                self._manager.register(strategy)

        self._ask(call)

    def has_met(self, host: str, epoch: int) -> bool:
        """Tell whether a start of a participant has said hello, so that it can be written to."""
        return (host, epoch) in self._met

    def past(self, instances: Sequence[str]) -> tuple[int, list[SliceEvent]]:
        """Return the newest decided slice and the instances' order events up to it."""

        def call() -> tuple[int, list[SliceEvent]]:
            decided = self._coordinator.decided
            return decided, [e for e in self._history(instances) if e.slice <= decided]

        return self._ask(call)

    def _history(self, instances: Sequence[str]) -> list[SliceEvent]:
        return [event for name in instances for event in self._coordinator.history(name)]

    def join(
        self, host: str, epoch: int, instances: Sequence[str], streams: Sequence[str]
    ) -> tuple[int, list[SliceEvent]]:
        """Add a participant.

        Returns:
            First slice it takes part in, and the order events of its instances so far.
        """

        def call() -> tuple[int, list[SliceEvent]]:
            live_from = self._coordinator.join(
                host, epoch=epoch, instances=instances, streams=streams
            )
            self._epochs[host] = epoch
            return live_from, self._history(instances)

        return self._ask(call)

    def leave(self, host: str, instances: Sequence[str], reason: str) -> None:
        """Remove a participant: its working entries are cancelled, its protection stays."""

        def call() -> None:
            self._coordinator.leave(host)
            self._epochs.pop(host, None)
            known = set(self._manager.strategies)
            for instance in known.intersection(instances):
                self._send(self._coordinator.post(self._manager.withdraw(instance, reason)))

        self._ask(call)

    def progress(self) -> DecisionProgress:
        """Return how far deciding has come and who holds it up."""
        return self._ask(self._progress)

    def extract(self) -> LedgerExtract:
        """Return the ledger's hashes, signals, fills and account states for the report."""
        return self._ask(lambda: extract_of(self._manager))

    def stop(self) -> None:
        """End `run`."""
        self._stopping = True
        self._mailbox.post(lambda: None)

    def run(self) -> None:
        """Decide slices until stopped."""
        gc.freeze()  # as in the strategy actors: nothing built so far goes away
        poller = zmq.Poller()
        for source in (self._router, self._subscriber, self._mailbox.fileno()):
            poller.register(source, zmq.POLLIN)
        while not self._stopping:
            for source, _ in poller.poll(IDLE_MS):
                if source is self._router:
                    self._take_answers()
                elif source is self._subscriber:
                    self._take_slices()
                else:
                    self._mailbox.drain()
            self._send(self._coordinator.advance())
            self._account_progress()

    def _ask(self, call: Callable[[], T]) -> T:
        return self._mailbox.ask(call, timeout_s=_CONTROL_TIMEOUT_S)

    def _take_answers(self) -> None:
        coordinator = self._coordinator
        for payload in receive_addressed(self._router):
            answer = self._answer.decode(payload)
            now = time.monotonic_ns()
            if answer.through < 0:
                self._met.add((answer.host, answer.epoch))
            elif coordinator.on_answer(answer):
                self._answered_ns[answer.host] = now
                if answer.published_ns:
                    self._latency.add((now - answer.published_ns) / 1e6)

    def _take_slices(self) -> None:
        for frame in receive_all(self._subscriber):
            batch = self._slices.decode(payload_of(frame))
            if not self._started_ns:
                self._started_ns = time.monotonic_ns()
            self._coordinator.add_slices(batch.slices)
            for market_slice in batch.slices:
                base = sum(candle.stream in self._base for candle in market_slice.candles)
                self._undecided.append((market_slice.number, base))
            self._ended = self._ended or batch.last

    def _send(self, releases: Sequence[tuple[str, Release]]) -> None:
        for host, release in releases:
            address = identity(host, self._epochs[host])
            self._router.send_multipart([address, self._release.encode(release)])

    def _account_progress(self) -> None:
        """Count what was decided, give credit for it and notice the end of the feed."""
        coordinator = self._coordinator
        decided = coordinator.decided
        undecided = self._undecided
        while undecided and undecided[0][0] <= decided:
            self._candles += undecided.popleft()[1]
        if coordinator.matched != self._in_hand:
            self._in_hand = coordinator.matched
            self._in_hand_since_ns = time.monotonic_ns()
        if decided >= self._credit_given + CREDIT_EVERY_SLICES:
            self._credit.send(decided.to_bytes(8, "big"))
            self._credit_given = decided
        if self._ended and not self._finished_ns and decided == coordinator.received:
            self._finished_ns = time.monotonic_ns()
            self._send(coordinator.farewell())

    def _progress(self) -> DecisionProgress:
        now = time.monotonic_ns()
        stalled = []
        for stall in self._coordinator.stalls():
            since = max(self._in_hand_since_ns, self._answered_ns.get(stall.host, 0))
            if now - since > self._window_ns:
                waited_s = (now - since) / 1e9
                epoch = self._epochs[stall.host]
                stalled.append(StalledHost(stall.host, epoch, stall.slice, waited_s))
        until = self._finished_ns or now
        return DecisionProgress(
            decided=self._coordinator.decided,
            candles=self._candles,
            finished=bool(self._finished_ns),
            elapsed_s=(until - self._started_ns) / 1e9 if self._started_ns else 0.0,
            stalled=stalled,
            latency_ms=self._latency.percentiles(),
        )
