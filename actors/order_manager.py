"""The OrderManager actor: answers in, releases out, one ledger."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import zmq

from actors.ending import Ending
from actors.services import ServiceAwayError, call
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
    start_of,
)
from engine.config import RunConfig
from engine.crash_points import ARMED, CrashPoint, reach
from engine.journal import JournalFile, OrderJournal, read_state, write_state
from engine.latency import LatencyHistogram
from engine.report import LedgerExtract, extract_of
from engine.sequencing import Answer, Past, Release, SliceBatch, SliceEvent
from engine.sequencing.coordinator import Coordinator
from engine.sequencing.executions import ExecutionPage
from engine.spool import Spool
from engine.trading import EVERYWHERE, AccountState, Ledger, OrderManager, Registration, TradingMode
from engine.types import MarketSlice

__all__ = [
    "ORDER_MANAGER",
    "DecisionProgress",
    "JournalPlace",
    "OrderManagerActor",
    "OwingHost",
]

ORDER_MANAGER = "#order-manager"
"""Participant name of the order manager on the candle fan-out; its epoch there is its reign."""

REPLAY_SLICES = 4096
"""Slices read from market data in one call."""

CREDIT_EVERY_SLICES = 128
IDLE_MS = 250

MOST_WAIT = 2
"""Who may wait for new lines of the ledger at the same time."""

_CONTROL_TIMEOUT_S = 30.0

T = TypeVar("T")


class JournalPlace(msgspec.Struct, frozen=True):
    """A file for the order manager's records.

    Attributes:
        path: The file.
        is_durable: Wait for the disk before anybody is told of a record, so that the records
            outlive the machine and not only the process.
    """

    path: str
    is_durable: bool


class OwingHost(msgspec.Struct, frozen=True):
    """A participant the slice in hand waits for. `waited_s`: since it could have answered."""

    host: str
    start: int
    slice: int
    waited_s: float


class Stretch(msgspec.Struct, frozen=True):
    """A run played without a break, whichever processes died meanwhile.

    Attributes:
        started_ns: Monotonic clock when its first slice arrived; 0 before.
        after: Base candles decided before it.
    """

    started_ns: int = 0
    after: int = 0


class DecisionProgress(msgspec.Struct, frozen=True):
    """How far deciding has come.

    Attributes:
        decided: Newest slice decided; -1 before the first.
        candles: Base candles decided.
        finished: Everything there will ever be is decided.
        stretch: Since when it has been going on.
        elapsed_s: Time since then, until everything was decided.
        through: Newest slice answered, by host.
        owing: Whom the slice in hand waits for.
        latency_ms: Percentiles since the order manager's present life began.
    """

    decided: int
    candles: int
    finished: bool
    stretch: Stretch
    elapsed_s: float
    through: dict[str, int]
    owing: list[OwingHost]
    latency_ms: dict[str, float]

    @classmethod
    def none(cls) -> DecisionProgress:
        """Return the progress of an order manager nobody has heard of yet."""
        return cls(-1, 0, False, Stretch(), 0.0, {}, [], {})


class OrderManagerActor:
    """Collects the answers of all participants and decides slice by slice.

    `run` owns the order manager, its ledger and the coordinator; the other methods are control
    calls carried out by `run` between two messages.

    Ray starts it again when its process dies; it is then built again from its journal.

    Args:
        config: The run.
        endpoints: The engine's data plane.
        market: The MarketData actor.
        journal: Where its records are kept.
    """

    def __init__(
        self,
        config: RunConfig,
        endpoints: Endpoints,
        market: Any,
        journal: JournalPlace,
    ) -> None:
        self._config = config
        self._market = market
        self._journal = journal
        self._base: frozenset[str] = frozenset()
        self._met: set[tuple[str, int]] = set()
        self._latency = LatencyHistogram()
        self._candles = 0
        self._undecided: deque[tuple[int, int]] = deque()
        self._answered_ns: dict[str, int] = {}
        self._in_hand = -1
        self._in_hand_since_ns = 0
        self._credit_given = -1
        self._stretch = Stretch()
        self._finished_ns = 0
        self._reign = -1
        self._is_open = False
        self._feed_ended = False
        self._news = threading.Condition()
        self._lines = self._executions = 0
        self._may_wait = threading.BoundedSemaphore(MOST_WAIT)
        self._ending = Ending()
        self._mailbox = Mailbox()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = bind(context, zmq.ROUTER, endpoints.answers)
        self._credit = connect(context, zmq.PUSH, endpoints.credit)
        self._subscriber = connect(context, zmq.SUB, endpoints.candles)
        self._subscriber.subscribe(SLICES_TOPIC)
        self._answer = codec(Answer)
        self._release = codec(Release)
        self._slices = codec(SliceBatch)

    def open(self, base_streams: Mapping[str, str], stretch: Stretch) -> int:
        """Make accounts and instruments, and live through the journal; called first.

        Args:
            base_streams: Stream to match each symbol on.
            stretch: What an earlier life has begun; a new one if there was none.

        Returns:
            How many lives of the order manager there were before this one.

        Raises:
            ConfigError: An instrument cannot be used.
            JournalError: The journal cannot be read or written, or its folder not be written to.
            ServiceAwayError: Market data is away.
        """
        if self._is_open:
            return self._reign
        reign = self._next_reign()
        self._base = frozenset(base_streams.values())
        self._undecided.clear()
        place = self._journal
        with contextlib.ExitStack() as stack:
            spool = stack.enter_context(contextlib.closing(Spool(Path(place.path).parent)))
            ledger = Ledger(spool=spool, tail=True)
            manager = OrderManager(self._config, base_streams=base_streams, ledger=ledger)
            file = JournalFile(Path(place.path), kind=OrderJournal.KIND, sync=place.is_durable)
            journal = OrderJournal(file)
            stack.callback(journal.close)
            coordinator = Coordinator(manager, journal, reign=reign, spool=spool)
            newest = max((record.matched for record in journal.records()), default=-1)
            coordinator.restore(self._counted(self._replayed(0, newest)), journal.records())
            stack.pop_all()
        self._manager, self._coordinator = manager, coordinator
        decided = coordinator.decided
        self._candles = sum(base for number, base in self._undecided if number <= decided)
        while self._undecided and self._undecided[0][0] <= decided:
            self._undecided.popleft()
        self._subscriber.subscribe(attached_topic(start_name(ORDER_MANAGER, reign)))
        self._stretch = stretch
        self._reign = reign
        self._is_open = True
        return reign

    def _next_reign(self) -> int:
        """Count this life: what an earlier one said must never be taken for its words."""
        place = Path(self._journal.path).with_suffix(".reign")
        last = read_state(place)
        reign = 0 if last is None else int(last) + 1
        write_state(place, str(reign).encode(), sync=self._journal.is_durable)
        return reign

    def introduce(self) -> int | None:
        """Return its reign; None if it has yet to be opened."""
        return self._reign if self._is_open else None

    def process(self) -> int:
        """Return its process id."""
        return os.getpid()

    def ended(self) -> None:
        """Return when the loop has ended, which it does with the process only; see `Ending`."""
        self._ending.wait()

    def _replayed(self, start: int, through: int | None = None) -> Iterator[MarketSlice]:
        """Read slices from market data: published ones, or those through a number."""
        while True:
            payload = call(self._market.replay_slices.remote(start, REPLAY_SLICES, through))
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

        def take() -> None:
            self._add(self._replayed(self._coordinator.received + 1))
            self._feed_ended = self._feed_ended or call(self._market.progress.remote()).finished

        self._ask(take)

    def register(self, registrations: Sequence[Registration]) -> None:
        """Let strategies and followers take part in risk and arbitration, withdrawn ones again.

        Those that take part already do so anyway, as they were registered: to change a follower's
        capital, leverage or limits, `withdraw` it first.

        Raises:
            ConfigError: One cannot; those before it are registered. See `OrderManager.register`.
        """

        def register() -> None:
            takes_part = self._manager.takes_part
            # One after the other: somebody may be named twice.
            self._coordinator.register(
                each for each in registrations if not takes_part(each.strategy.id)
            )

        self._ask(register)

    def withdraw(self, ids: Sequence[str], reason: str) -> None:
        """Withdraw followers: their working entries are cancelled, their protection stays.

        Unknown ones, and those that are withdrawn already, are passed over.

        Raises:
            ChorusError: One is an instance of a host; nothing has changed.
        """

        def withdraw() -> None:
            present = [name for name in ids if self._manager.takes_part(name)]
            if present:
                self._coordinator.withdraw(present, reason)

        self._ask(withdraw)

    def set_trading(self, mode: TradingMode, account: str | None = None) -> None:
        """Let an account, or all, trade, only get out, or do nothing; see `engine.trading.modes`.

        On record when it returns. The stricter of an account's own mode and the one of all counts.

        Args:
            mode: ``running``, ``reduce`` or ``halted``.
            account: Its id, opened yet or not; None: all of them.

        Raises:
            ConfigError: There is no such mode.
        """

        def set_mode() -> None:
            if self._manager.trading().get(account or EVERYWHERE, "running") != mode:
                self._coordinator.set_trading(mode, account)

        self._ask(set_mode)

    def trading(self) -> dict[str, TradingMode]:
        """Return every mode other than ``running``, by account; an empty id for all of them."""
        return self._ask(self._manager_modes)

    def _manager_modes(self) -> dict[str, TradingMode]:
        return self._manager.trading()

    def account_states(self) -> list[AccountState]:
        """Return balance, equity and so on per account and currency."""
        return self._ask(lambda: self._manager.account_states())  # noqa: PLW0108 - made by `open`

    def ledger_lines(self, start: int, limit: int, wait_s: float) -> tuple[int, list[bytes]]:
        """Return lines of the ledger; no crash undoes what was returned once.

        Args:
            start: Number of the first one wanted, from 0; the same for good.
            limit: How many at most.
            wait_s: How long to wait for line `start`. Two callers may wait at the same time, for
                each keeps one of the actor's threads; a further one gets what there is.

        Returns:
            How many lines there are, and those asked for.
        """
        self._await_news(lambda: self._lines > start, wait_s)

        def read() -> tuple[int, list[bytes]]:
            total = self._coordinator.lines
            wanted = max(0, min(limit, total - start))
            return total, self._manager.ledger.lines_from(start, wanted)

        return self._ask(read)

    def executions(
        self,
        start: int,
        limit: int,
        wait_s: float,
        with_roster: bool,  # noqa: FBT001 - Ray passes it on
    ) -> ExecutionPage:
        """Return lines on who took part in which slice; no crash undoes what was returned once.

        Args:
            start: Number of the first one wanted, from 0; the same for good.
            limit: How many at most.
            wait_s: How long to wait for line `start`, as `ledger_lines`.
            with_roster: Tell, too, who took part before them.
        """
        self._await_news(lambda: self._executions > start, wait_s)
        return self._ask(
            lambda: self._coordinator.executions_from(start, limit, with_roster=with_roster)
        )

    def _await_news(self, is_there: Callable[[], bool], wait_s: float) -> None:
        """Wait for something new, if not too many others do so."""
        self._require_open()
        if self._may_wait.acquire(blocking=False):
            try:
                with self._news:
                    self._news.wait_for(is_there, wait_s)
            finally:
                self._may_wait.release()

    def _tell_lines(self) -> None:
        """Wake who waits for new lines."""
        lines, executions = self._coordinator.lines, self._coordinator.executions
        if lines != self._lines or executions != self._executions:
            with self._news:
                self._lines, self._executions = lines, executions
                self._news.notify_all()

    def has_met(self, host: str, start: int) -> bool:
        """Tell whether a start of a participant has said hello, so that it can be written to."""
        self._require_open()
        return (host, start) in self._met

    def past(self, instances: Sequence[str]) -> tuple[int, dict[str, list[SliceEvent]]]:
        """Return the newest decided slice and the instances' order events up to it."""

        def look() -> tuple[int, dict[str, list[SliceEvent]]]:
            decided = self._coordinator.decided
            return decided, {
                name: [event for event in self._coordinator.history(name) if event.slice <= decided]
                for name in instances
            }

        return self._ask(look)

    def members(self) -> dict[str, tuple[int, list[str]]]:
        """Return the epoch and the instances of every participant."""
        return self._ask(self._members)

    def _members(self) -> dict[str, tuple[int, list[str]]]:
        return self._coordinator.members()

    def join(
        self, host: str, epoch: int, instances: Mapping[str, Sequence[str]]
    ) -> tuple[int, dict[str, list[SliceEvent]]]:
        """Add instances, with the streams of each, to a participant that is there or new.

        Returns:
            First slice they take part in, and the order events of each so far.
        """

        def add() -> tuple[int, dict[str, list[SliceEvent]]]:
            self._answered_ns[host] = time.monotonic_ns()
            live_from = self._coordinator.join(host, epoch=epoch, instances=instances)
            return live_from, {name: self._coordinator.history(name) for name in instances}

        return self._ask(add)

    def rejoin(self, host: str, epoch: int) -> Past:
        """Let a participant live on in a new process; what it has not answered is waited for.

        Raises:
            ChorusError: It does not take part any more.
        """

        def renew() -> Past:
            self._answered_ns[host] = time.monotonic_ns()
            return self._coordinator.rejoin(host, epoch=epoch)

        return self._ask(renew)

    def move(self, instance: str, to: str, epoch: int) -> Past:
        """Make an instance part of another participant, under a new epoch of that one.

        Raises:
            ChorusError: It does not take part.
        """

        def move() -> Past:
            self._answered_ns[to] = time.monotonic_ns()
            return self._coordinator.move(instance, to=to, epoch=epoch)

        return self._ask(move)

    def frontier(self) -> tuple[int, int]:
        """Return the newest slice decided, and the newest anybody is known to have seen."""

        def look() -> tuple[int, int]:
            self._credit_given = -1
            return self._coordinator.decided, self._coordinator.newest_known

        return self._ask(look)

    def be_patient(self) -> None:
        """Give whoever owes an answer the full time again: a service has been away."""

        def start_again() -> None:
            self._in_hand_since_ns = time.monotonic_ns()

        self._ask(start_again)

    def leave(self, host: str, instances: Sequence[str], reason: str) -> None:
        """Remove a participant: its working entries are cancelled, its protection stays."""
        self._ask(lambda: self._send(self._coordinator.leave(host, instances, reason)))

    def progress(self) -> DecisionProgress:
        """Return how far deciding has come and who holds it up."""
        return self._ask(self._progress)

    def extract(self) -> LedgerExtract:
        """Return the ledger's hashes, signals, fills and account states for the report."""
        return self._ask(lambda: extract_of(self._manager))

    def run(self) -> None:
        """Decide slices until the process is ended."""
        with self._ending.of():
            self._run()

    def _run(self) -> None:
        self._in_hand_since_ns = time.monotonic_ns()
        gc.freeze()  # as in the strategy actors: nothing built so far goes away
        poller = zmq.Poller()
        for source in (self._router, self._subscriber, self._mailbox.fileno()):
            poller.register(source, zmq.POLLIN)
        while True:
            for source, _ in poller.poll(IDLE_MS):
                if source is self._router:
                    self._take_answers()
                elif source is self._subscriber:
                    self._take_slices()
                else:
                    self._mailbox.drain()
            self._send(self._coordinator.advance())
            self._tell_lines()
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
            if answer.through < 0 and answer.taken is None and not answer.commands:
                self._met.add((answer.host, start_of(answer.epoch)))
            elif coordinator.on_answer(answer):
                self._answered_ns[answer.host] = now
                if answer.published_ns:
                    self._latency.add((now - answer.published_ns) / 1e6)

    def _take_slices(self) -> None:
        for frame in receive_all(self._subscriber):
            batch = self._slices.decode(payload_of(frame))
            if not self._stretch.started_ns:
                self._stretch = Stretch(time.monotonic_ns(), self._candles)
            expected = self._coordinator.received + 1
            if batch.slices and batch.slices[0].number > expected:
                # The fan-out did not bring it; the log has it. Market data that has died publishes
                # it again when it is back.
                try:
                    self._add(self._replayed(expected, batch.slices[0].number - 1))
                except ServiceAwayError:
                    continue
            self._add(batch.slices)
            self._feed_ended = self._feed_ended or batch.last

    def _add(self, slices: Iterable[MarketSlice]) -> None:
        received = self._coordinator.received
        fresh = (each for each in slices if each.number > received)
        self._coordinator.add_slices(self._counted(fresh))

    def _send(self, releases: Sequence[tuple[str, Release]]) -> None:
        if ARMED and releases:
            reach(CrashPoint.ORDERS_RECORDED)
        for host, release in releases:
            address = identity(host, start_of(self._coordinator.epoch_of(host)))
            self._router.send_multipart([address, self._release.encode(release)])
        if ARMED and releases:
            reach(CrashPoint.ORDERS_SENT)

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
        if self._feed_ended and not self._finished_ns and decided == coordinator.received:
            self._finished_ns = time.monotonic_ns()
            self._send(coordinator.farewell())

    def _progress(self) -> DecisionProgress:
        now, coordinator = time.monotonic_ns(), self._coordinator
        owing = []
        for stall in coordinator.stalls():
            since = max(self._in_hand_since_ns, self._answered_ns.get(stall.host, 0))
            start = start_of(coordinator.epoch_of(stall.host))
            owing.append(OwingHost(stall.host, start, stall.slice, (now - since) / 1e9))
        until, began = self._finished_ns or now, self._stretch.started_ns
        return DecisionProgress(
            decided=coordinator.decided,
            candles=self._candles,
            finished=bool(self._finished_ns),
            stretch=self._stretch,
            elapsed_s=(until - began) / 1e9 if began else 0.0,
            through=coordinator.reached(),
            owing=owing,
            latency_ms=self._latency.percentiles(),
        )
