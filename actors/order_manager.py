"""The OrderManager actor: answers in, releases out, one ledger."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import zmq

from actors.ending import Ending
from actors.journal_place import JournalPlace
from actors.news import News
from actors.progress import DecisionCount, DecisionProgress, Stretch
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
from engine.journal import JournalFile
from engine.journal.orders import OrderJournal
from engine.report import LedgerExtract, extract_of
from engine.sequencing import Answer, Past, Release, SliceBatch, SliceEvent
from engine.sequencing.coordinator import Coordinator
from engine.sequencing.executions import ExecutionPage
from engine.spool import Spool
from engine.trading import EVERYWHERE, AccountState, Ledger, OrderManager, Registration, TradingMode
from engine.types import MarketSlice

__all__ = ["ORDER_MANAGER", "OrderManagerActor"]

ORDER_MANAGER = "#order-manager"
"""Participant name of the order manager on the candle fan-out; its epoch there is its reign."""

REPLAY_SLICES = 4096
"""Slices read from market data in one call."""

CREDIT_EVERY_SLICES = 128
IDLE_MS = 250

_CONTROL_TIMEOUT_S = 30.0

T = TypeVar("T")


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
        self._met: set[tuple[str, int]] = set()
        self._credit_given = -1
        self._reign = -1
        self._is_open = False
        self._feed_ended = False
        self._news = News()
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
        place = self._journal
        reign = place.next_reign()
        count = DecisionCount(base_streams.values(), stretch)
        with contextlib.ExitStack() as stack:
            spool = stack.enter_context(contextlib.closing(Spool(Path(place.path).parent)))
            ledger = Ledger(spool=spool, tail=True)
            manager = OrderManager(self._config, base_streams=base_streams, ledger=ledger)
            file = JournalFile(Path(place.path), kind=OrderJournal.KIND, sync=place.is_durable)
            journal = OrderJournal(file)
            stack.callback(journal.close)
            coordinator = Coordinator(manager, journal, reign=reign, spool=spool)
            newest = max((record.matched for record in journal.records()), default=-1)
            coordinator.restore(count.counted(self._replayed(0, newest)), journal.records())
            stack.pop_all()
        self._manager, self._coordinator = manager, coordinator
        count.note(coordinator.decided, coordinator.matched)
        self._count = count
        self._subscriber.subscribe(attached_topic(start_name(ORDER_MANAGER, reign)))
        self._reign = reign
        self._is_open = True
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
        return self._ask(lambda: self._manager.trading())  # noqa: PLW0108 - made by `open`

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
        self._require_open()
        self._news.await_line(start, wait_s)

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
        self._require_open()
        self._news.await_execution(start, wait_s)
        return self._ask(
            lambda: self._coordinator.executions_from(start, limit, with_roster=with_roster)
        )

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
        return self._ask(lambda: self._coordinator.members())  # noqa: PLW0108 - made by `open`

    def join(
        self, host: str, epoch: int, instances: Mapping[str, Sequence[str]]
    ) -> tuple[int, dict[str, list[SliceEvent]]]:
        """Add instances, with the streams of each, to a participant that is there or new.

        Returns:
            First slice they take part in, and the order events of each so far.
        """

        def add() -> tuple[int, dict[str, list[SliceEvent]]]:
            self._count.heard_of(host)
            live_from = self._coordinator.join(host, epoch=epoch, instances=instances)
            return live_from, {name: self._coordinator.history(name) for name in instances}

        return self._ask(add)

    def rejoin(self, host: str, epoch: int) -> Past:
        """Let a participant live on in a new process; what it has not answered is waited for.

        Raises:
            ChorusError: It does not take part any more.
        """

        def renew() -> Past:
            self._count.heard_of(host)
            return self._coordinator.rejoin(host, epoch=epoch)

        return self._ask(renew)

    def move(self, instance: str, to: str, epoch: int) -> Past:
        """Make an instance part of another participant, under a new epoch of that one.

        Raises:
            ChorusError: It does not take part.
        """

        def move() -> Past:
            self._count.heard_of(to)
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
        self._ask(lambda: self._count.be_patient())  # noqa: PLW0108 - made by `open`

    def leave(self, host: str, instances: Sequence[str], reason: str) -> None:
        """Remove a participant: its working entries are cancelled, its protection stays."""
        self._ask(lambda: self._send(self._coordinator.leave(host, instances, reason)))

    def progress(self) -> DecisionProgress:
        """Return how far deciding has come and who holds it up."""
        return self._ask(lambda: self._count.progress(self._coordinator))

    def extract(self) -> LedgerExtract:
        """Return the ledger's hashes, signals, fills and account states for the report."""
        return self._ask(lambda: extract_of(self._manager))

    def run(self) -> None:
        """Decide slices until the process is ended."""
        with self._ending.of():
            self._run()

    def _run(self) -> None:
        coordinator, count, news = self._coordinator, self._count, self._news
        count.be_patient()
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
            self._send(coordinator.advance())
            news.tell(coordinator.lines, coordinator.executions)
            count.note(coordinator.decided, coordinator.matched)
            self._give_credit()

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
                self._count.answered(answer, now)

    def _take_slices(self) -> None:
        for frame in receive_all(self._subscriber):
            batch = self._slices.decode(payload_of(frame))
            if not self._count.stretch.started_ns:
                self._count.begin()
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
        self._coordinator.add_slices(self._count.counted(fresh))

    def _send(self, releases: Sequence[tuple[str, Release]]) -> None:
        if ARMED and releases:
            reach(CrashPoint.ORDERS_RECORDED)
        for host, release in releases:
            address = identity(host, start_of(self._coordinator.epoch_of(host)))
            self._router.send_multipart([address, self._release.encode(release)])
        if ARMED and releases:
            reach(CrashPoint.ORDERS_SENT)

    def _give_credit(self) -> None:
        """Give credit for what was decided, and notice the end of the feed."""
        coordinator = self._coordinator
        decided = coordinator.decided
        if decided >= self._credit_given + CREDIT_EVERY_SLICES:
            self._credit.send(decided.to_bytes(8, "big"))
            self._credit_given = decided
        if self._feed_ended and not self._count.is_finished and decided == coordinator.received:
            self._count.finish()
            self._send(coordinator.farewell())
