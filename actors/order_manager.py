"""The OrderManager actor: answers in, releases out, one ledger."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import zmq

from actors.services import ServiceAwayError, call_service
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
    start_name,
)
from engine.config import RunConfig, StrategyConfig
from engine.journal import JournalFile
from engine.latency import LatencyHistogram
from engine.report import LedgerExtract, extract_of
from engine.sequencing import (
    Answer,
    Coordinator,
    Past,
    Record,
    Recorder,
    Release,
    SliceBatch,
    SliceEvent,
)
from engine.trading import Ledger, OrderManager
from engine.types import MarketSlice

__all__ = ["ORDER_MANAGER", "DecisionProgress", "OrderManagerActor", "StalledHost"]

ORDER_MANAGER = "#order-manager"
"""Participant name of the order manager on the candle fan-out; its epoch there is its reign."""

REPLAY_SLICES = 4096
"""Slices read from market data in one call."""

CREDIT_EVERY_SLICES = 128
IDLE_MS = 250

_CONTROL_TIMEOUT_S = 30.0

T = TypeVar("T")


class FileRecorder(Recorder):
    """Keeps the coordinator's records in a file."""

    def __init__(self, journal: JournalFile) -> None:
        self._journal = journal
        self._encode = msgspec.msgpack.Encoder().encode

    def add(self, record: Record) -> None:
        """Take a record."""
        self._journal.append(self._encode(record))

    def commit(self) -> None:
        """Write what was taken."""
        self._journal.commit()

    def records(self) -> Iterator[Record]:
        """Return what the file holds."""
        decode = msgspec.msgpack.Decoder(Record).decode
        return map(decode, self._journal.records())


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

    Ray starts it again when its process dies; it is then built again from its journal.

    Args:
        config: The run.
        base_streams: Stream to match each symbol on.
        endpoints: The engine's data plane.
        market: The MarketData actor.
        journal: File for its records.
    """

    def __init__(
        self,
        config: RunConfig,
        base_streams: Mapping[str, str],
        endpoints: Endpoints,
        market: Any,
        journal: str,
    ) -> None:
        self._config = config
        self._market = market
        self._journal = Path(journal)
        self._base_streams = dict(base_streams)
        self._window_ns = config.arbitration.window_ms * 1_000_000
        self._base = frozenset(base_streams.values())
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
        self._is_open = False
        self._ended = False
        self._stopping = False
        self._mailbox = Mailbox()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = bind(context, zmq.ROUTER, endpoints.answers)
        self._credit = connect(context, zmq.PUSH, endpoints.credit)
        self._subscriber = connect(context, zmq.SUB, endpoints.candles)
        self._subscriber.subscribe(SLICES_TOPIC)
        self._answer = codec(Answer)
        self._release = codec(Release)
        self._slices = codec(SliceBatch)

    def open(self, reign: int) -> None:
        """Make accounts and instruments, and live through the journal; called first.

        Args:
            reign: How many lives of the order manager there were before this one.

        Raises:
            ConfigError: An instrument cannot be used.
            JournalError: The journal cannot be read or written.
        """
        self._manager = OrderManager(self._config, base_streams=self._base_streams, ledger=Ledger())
        recorder = FileRecorder(JournalFile(self._journal, kind="orders", sync=False))
        self._coordinator = Coordinator(self._manager, recorder, reign=reign)
        self._coordinator.restore(self._counted(self._replayed(0)), recorder.records())
        self._candles = sum(base for number, base in self._undecided if number <= self._decided)
        while self._undecided and self._undecided[0][0] <= self._decided:
            self._undecided.popleft()
        self._subscriber.subscribe(attached_topic(start_name(ORDER_MANAGER, reign)))
        self._is_open = True

    @property
    def _decided(self) -> int:
        return self._coordinator.decided

    def _replayed(self, start: int) -> Iterator[MarketSlice]:
        """Read published slices from market data."""
        while True:
            payload = call_service(self._market.replay_slices, start, REPLAY_SLICES)
            slices = self._slices.decode(payload).slices
            if not slices:
                return
            yield from slices
            start = slices[-1].number + 1

    def _counted(self, slices: Iterable[MarketSlice]) -> Iterator[MarketSlice]:
        """Note how many base candles each slice has."""
        for market_slice in slices:
            base = sum(candle.stream in self._base for candle in market_slice.candles)
            self._undecided.append((market_slice.number, base))
            yield market_slice

    def catch_up(self) -> None:
        """Take what was published before this process listened; called once it does."""

        def call() -> None:
            self._add(self._replayed(self._coordinator.received + 1))
            self._ended = self._ended or call_service(self._market.progress).finished

        self._ask(call)

    def register(self, strategies: Sequence[StrategyConfig]) -> None:
        """Let strategies take part in risk and arbitration, withdrawn ones again.

        Raises:
            ConfigError: A strategy's account does not hold its quote currency.
        """
        self._ask(lambda: self._coordinator.register(strategies))

    def has_met(self, host: str, epoch: int) -> bool:
        """Tell whether a start of a participant has said hello, so that it can be written to."""
        self._require_open()
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
            wanted = dict.fromkeys(instances, streams)
            live_from = self._coordinator.join(host, epoch=epoch, instances=wanted)
            return live_from, self._history(instances)

        return self._ask(call)

    def through_of(self, host: str) -> int:
        """Return the newest slice a participant has answered; -1 for one that is not present."""
        return self._ask(lambda: self._coordinator.through_of(host))

    def rejoin(self, host: str, epoch: int) -> Past:
        """Let a participant live on in a new process; what it has not answered is waited for.

        Raises:
            ChorusError: It does not take part any more.
        """

        def call() -> Past:
            self._answered_ns[host] = time.monotonic_ns()
            return self._coordinator.rejoin(host, epoch=epoch)

        return self._ask(call)

    def frontier(self) -> tuple[int, int]:
        """Return the newest slice decided, and the newest anybody is known to have seen.

        Whoever owes an answer gets the full time again: market data that asks has been away.
        """

        def call() -> tuple[int, int]:
            self._in_hand_since_ns = time.monotonic_ns()
            self._credit_given = -1
            return self._coordinator.decided, self._coordinator.newest_known

        return self._ask(call)

    def leave(self, host: str, instances: Sequence[str], reason: str) -> None:
        """Remove a participant: its working entries are cancelled, its protection stays."""
        self._ask(lambda: self._send(self._coordinator.leave(host, instances, reason)))

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
        self._in_hand_since_ns = time.monotonic_ns()
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
        self._require_open()
        return self._mailbox.ask(call, timeout_s=_CONTROL_TIMEOUT_S)

    def _require_open(self) -> None:
        if not self._is_open:
            raise ServiceAwayError("order manager: it has yet to live through its journal")

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
            expected = self._coordinator.received + 1
            if batch.slices and batch.slices[0].number > expected:
                self._add(self._replayed(expected))
            self._add(batch.slices)
            self._ended = self._ended or batch.last

    def _add(self, slices: Iterable[MarketSlice]) -> None:
        received = self._coordinator.received
        fresh = (each for each in slices if each.number > received)
        self._coordinator.add_slices(self._counted(fresh))

    def _send(self, releases: Sequence[tuple[str, Release]]) -> None:
        for host, release in releases:
            address = identity(host, self._coordinator.epoch_of(host))
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
                epoch = self._coordinator.epoch_of(stall.host)
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
