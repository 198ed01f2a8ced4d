"""Runners, hosts and a coordinator whose messages arrive late, in any order, or not at all."""

from __future__ import annotations

import random
import tempfile
import weakref
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from engine.catalog import Catalog
from engine.config import RunConfig
from engine.instance import Instance, Pause, Resume, Status
from engine.sequencing import Answer, CandleBatch, InstanceRunner, Mark, Release
from engine.sequencing.coordinator import Coordinator
from engine.sequencing.host import HostRunner
from engine.spool import Spool
from engine.trading import Ledger, OrderManager, Registration
from engine.types import MarketSlice
from tests.engine.sequencing.changes import Changes
from tests.engine.sequencing.deaths import Deaths
from tests.engine.sequencing.operating import Operating
from tests.engine.sequencing.oracle import instance_of, market_of

Runner = InstanceRunner | HostRunner[Instance]
Placement = Mapping[str, Sequence[str]]
T = TypeVar("T")


class Network:
    """Delivers every message late, in any order two different senders allow.

    A host named as a strategy is dedicated to it; any other one is pooled.

    Args:
        config: The run.
        catalog: Its strategy types.
        seed: Of every choice.
        placement: The strategies of each host; by default everybody has its own.
        kills: How probable a death is, per step.
        orders_given: How probable a command is, per step of a host.
        moves: How probable it is that an instance moves, per step.
        late: Strategies that join some time later.
        stores: How probable it is that a host's states are stored, per step; who recovers then is
            given any of those ever stored.
        disasters: How probable it is, per step, that everything dies at once and the coordinator's
            records lose their end. Not together with `moves`, `leaves` and `late`.
        leaves: How probable it is that an instance leaves, per step; it comes back later.
        repeats: How probable it is that a message comes once more, before any newer one.
        operates: How probable it is that a follower comes or goes, or trading is halted, per step.
    """

    def __init__(
        self,
        config: RunConfig,
        catalog: Catalog,
        seed: int,
        placement: Placement | None = None,
        *,
        kills: float = 0.0,
        orders_given: float = 0.0,
        moves: float = 0.0,
        late: Collection[str] = (),
        stores: float = 0.0,
        disasters: float = 0.0,
        leaves: float = 0.0,
        repeats: float = 0.2,
        operates: float = 0.0,
    ) -> None:
        self.config, self.catalog, self.market = config, catalog, market_of(config)
        self.orders_given, self.repeats = orders_given, repeats
        self.strategies = {strategy.id: strategy for strategy in config.strategies}
        self.random = random.Random(seed)
        self.slices: deque[MarketSlice] = deque(self.market.slices())
        self.last = self.slices[-1].number
        self.published: list[MarketSlice] = []
        self.counts = dict.fromkeys(("runner", "coordinator", "move", "join", "leave", "used"), 0)
        self.reign = 0
        self.deaths = Deaths(self, kills=kills, stores=stores, disasters=disasters)
        absent = [name for name in self.strategies if name in late]
        self.changes = Changes(self, moves=moves, leaves=leaves, absent=absent)
        self.operating = Operating(self, operates)
        self.may_be_refused = bool(kills or moves or leaves or disasters or late)
        # As in a run: every event comes out of a file when it is told again.
        self.spool = Spool(Path(tempfile.gettempdir()))
        weakref.finalize(self, self.spool.close)
        self.manager = self.new_manager()
        self.coordinator = Coordinator(self.manager, self.deaths.memory, spool=self.spool)
        self.coordinator.register(map(Registration, config.strategies))
        self.runners: dict[str, Runner] = {}
        self.instances: dict[str, dict[str, Instance]] = {}
        self.epochs: dict[str, int] = {}
        self.to_runner: dict[str, deque[CandleBatch | Mark]] = {}
        self.releases: dict[str, deque[Release]] = {}
        self.to_manager: dict[str, deque[Answer]] = {}
        self.market_to_manager: deque[list[MarketSlice]] = deque()
        hosts = placement or {name: [name] for name in self.strategies}
        for host, names in hosts.items():
            present = [name for name in names if name not in late]
            self.host(host)
            if present:
                self.changes.join(host, present)
        self.changes.carry_out_all()
        self.pools = [host for host in hosts if host not in self.strategies]
        self.deaths.begun = self.deaths.memory.committed

    # ------------------------------------------------------------------ hosts

    def host(self, host: str) -> None:
        """Have a place for a host's messages."""
        self.to_runner.setdefault(host, deque())
        self.releases.setdefault(host, deque())
        self.to_manager.setdefault(host, deque())
        self.instances.setdefault(host, {})

    def next_epoch(self, host: str) -> int:
        self.epochs[host] = self.epochs.get(host, 0) + 1
        return self.epochs[host]

    def new_manager(self) -> OrderManager:
        ledger = Ledger(spool=self.spool, tail=True)
        return OrderManager(self.config, base_streams=self.market.base_streams, ledger=ledger)

    def start(self, host: str, epoch: int) -> None:
        """Start a host's process without any instance; candles on their way to it are lost."""
        self.to_runner[host].clear()
        self.instances[host].clear()
        self.runners.pop(host, None)
        if host not in self.strategies:
            self.runners[host] = HostRunner(host, epoch, self.market.uncovered)

    def seat(self, host: str, names: Collection[str], epoch: int) -> None:
        """Give a process instances that know nothing yet, and all candles published so far."""
        if host not in self.runners:
            self.start(host, epoch)
        for name in names:
            instance = self.instances[host][name] = instance_of(self.config, self.catalog, name)
            streams = self.strategies[name].streams
            if host in self.strategies:
                self.runners[host] = InstanceRunner(
                    instance,
                    host=host,
                    epoch=epoch,
                    streams=streams,
                    is_live=False,
                    uncovered=self.market.uncovered,
                )
            else:
                pool = self.runners[host]
                assert isinstance(pool, HostRunner)
                pool.add(instance, streams, is_live=False)
        self.offer(host, self.published)

    def streams(self, host: str) -> list[str]:
        names = self.instances[host]
        return list(dict.fromkeys(s for name in names for s in self.strategies[name].streams))

    def messages(self, host: str, part: list[MarketSlice]) -> list[CandleBatch | Mark]:
        found: list[CandleBatch | Mark] = []
        streams = self.streams(host)
        for stream in streams:
            batch = CandleBatch(stream, 0, [], [], [])
            for market_slice in part:
                for candle in market_slice.candles:
                    if candle.stream == stream:
                        batch.slices.append(market_slice.number)
                        batch.times.append(market_slice.time)
                        batch.candles.append(candle)
            if batch.candles:
                found.append(batch)
        if len(streams) > 1:
            found.append(Mark(0, part[-1].number))
        return found

    def offer(self, host: str, part: list[MarketSlice]) -> None:
        for message in self.messages(host, part) if part else ():
            self.hand(host, message)

    def hand(self, host: str, message: CandleBatch | Mark) -> None:
        runner = self.runners[host]
        if isinstance(message, Mark):
            runner.mark(message.through)
        else:
            assert runner.offer(message) is None

    # ------------------------------------------------------------------ steps

    def publish(self) -> bool:
        if not self.slices:
            return False
        count = self.random.randint(1, 40)
        part = [self.slices.popleft() for _ in range(min(count, len(self.slices)))]
        self.published += part
        for host in self.runners:
            self.to_runner[host].extend(self.messages(host, part))
        self.market_to_manager.append(part)
        return True

    def next_of(self, messages: deque[T]) -> T:
        """Return the next message, which may come once more."""
        return messages[0] if self.random.random() < self.repeats else messages.popleft()

    def run_some(self) -> bool:
        if not self.runners:
            return False
        return self.run_one(self.random.choice(list(self.runners)))

    def run_one(self, host: str) -> bool:
        runner, busy = self.runners[host], False
        if self.to_runner[host] and not runner.awaits_release and self.random.random() < 0.7:
            self.hand(host, self.next_of(self.to_runner[host]))
            busy = True
        if self.releases[host] and self.random.random() < 0.7:
            runner.release(self.next_of(self.releases[host]))
            busy = True
        if self.random.random() < self.orders_given:
            self.give_order(host)
        left = self.random.randint(1, 12)

        def may_continue() -> bool:
            nonlocal left
            left -= 1
            return left > 0

        busy |= runner.run(may_continue=may_continue)
        return self.tell(host) or busy

    def tell(self, host: str) -> bool:
        runner = self.runners[host]
        if isinstance(runner, HostRunner):
            assert not runner.failed, runner.failed
        answer = runner.answer()
        if answer is None:
            return False
        self.to_manager[host].append(answer)
        return True

    def give_order(self, host: str) -> None:
        runner, present = self.runners[host], self.instances[host]
        if not present:
            return
        name = self.random.choice(sorted(present))
        status = present[name].status
        if status not in (Status.RUNNING, Status.PAUSED):
            return
        command = Pause() if status is Status.RUNNING else Resume()
        if isinstance(runner, HostRunner):
            runner.command(name, command)
        else:
            runner.command(command)

    def manage(self) -> bool:
        busy = False
        if self.market_to_manager and self.random.random() < 0.6:
            self.coordinator.add_slices(self.next_of(self.market_to_manager))
            busy = True
        for answers in self.to_manager.values():
            if answers and self.random.random() < 0.6:
                heard = self.coordinator.on_answer(self.next_of(answers))
                assert heard or self.may_be_refused
                busy = True
        return self.advance() or busy

    def advance(self) -> bool:
        releases = self.coordinator.advance()
        self.send(releases)
        return bool(releases)

    def send(self, releases: Sequence[tuple[str, Release]]) -> None:
        for host, release in releases:
            self.releases[host].append(release)

    def play(self) -> None:
        steps = [self.publish, self.manage, *[self.run_some] * len(self.strategies)]
        changes, deaths, operating = self.changes, self.deaths, self.operating
        steps += [deaths.maybe_kill, deaths.maybe_store, deaths.maybe_lose_everything]
        steps += [operating.maybe_operate, operating.read_along]
        steps += [changes.maybe_move, changes.maybe_join, changes.maybe_leave, changes.carry_out]
        idle = 0
        while changes.absent or self.coordinator.decided < self.last:
            idle = 0 if self.random.choice(steps)() else idle + 1
            assert idle < 10_000, f"deadlock at slice {self.coordinator.decided} of {self.last}"

    def finish(self) -> dict[str, Instance]:
        """Deliver what is still under way, and return every instance."""
        self.changes.carry_out_all()
        is_busy = True
        while is_busy:
            is_busy = False
            for host, runner in self.runners.items():
                while self.releases[host]:
                    runner.release(self.releases[host].popleft())
                self.offer(host, self.published)
                runner.run()
                is_busy |= self.tell(host)
                while self.to_manager[host]:
                    self.coordinator.on_answer(self.to_manager[host].popleft())
            is_busy |= self.advance()
        self.operating.read_along()
        for host, release in self.coordinator.farewell():
            self.runners[host].release(release)
            assert self.runners[host].matched == self.last
        return {name: self.instances[host][name] for name, host in self.changes.host_of.items()}
