"""Runners, hosts and a coordinator whose messages arrive late, in any order, or not at all."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from engine.backtest import Backtest
from engine.catalog import Catalog
from engine.config import RunConfig
from engine.instance import Instance, Pause, Resume, Status, build
from engine.market import Market, open_market
from engine.money import instruments_by_symbol
from engine.sequencing import (
    Answer,
    CandleBatch,
    Coordinator,
    HostRunner,
    InstanceRunner,
    Mark,
    Past,
    Record,
    Recorder,
    Release,
    SeatState,
    SliceCommand,
    Stored,
)
from engine.sequencing.roster import Membership
from engine.trading import Ledger, OrderManager
from engine.types import Decision, MarketSlice, OrderEvent

Runner = InstanceRunner | HostRunner[Instance]
Placement = Mapping[str, Sequence[str]]


def market_of(config: RunConfig) -> Market:
    return open_market(config.market, config.wanted_streams)


def sequential(config: RunConfig, catalog: Catalog) -> Backtest:
    backtest = Backtest(config, catalog, market_of(config))
    assert backtest.run(every=10_000, watch=lambda: True)
    return backtest


class Memory(Recorder):
    """A recorder that outlives the coordinator; what was not committed is lost with it."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.committed = 0

    def add(self, record: Record) -> None:
        self.records.append(msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=Record))

    def commit(self) -> None:
        self.committed = len(self.records)


class Network:
    """Delivers every message late, in any order two different senders allow.

    A host named as a strategy is dedicated to it; any other one is pooled. Membership changes one
    at a time: first at the coordinator, then, after anything else may have happened, at the hosts.

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
            records lose their end. Not together with `moves` and `late`.
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
    ) -> None:
        self.config, self.catalog, self.market = config, catalog, market_of(config)
        self.kills, self.orders_given, self.moves = kills, orders_given, moves
        self.stores, self.disasters = stores, disasters
        self.stored: dict[str, list[bytes]] = {}
        self.refusals: list[str] = []
        self.strategies = {strategy.id: strategy for strategy in config.strategies}
        self.random = random.Random(seed)
        self.slices: deque[MarketSlice] = deque(self.market.slices())
        self.last = self.slices[-1].number
        self.published: list[MarketSlice] = []
        self.counts = {"runner": 0, "coordinator": 0, "move": 0, "join": 0, "used": 0}
        self.reign = 0
        self.memory = Memory()
        self.manager = OrderManager(config, base_streams=self.market.base_streams, ledger=Ledger())
        self.coordinator = Coordinator(self.manager, self.memory)
        self.coordinator.register(config.strategies)
        self.runners: dict[str, Runner] = {}
        self.instances: dict[str, dict[str, Instance]] = {}
        self.host_of: dict[str, str] = {}
        self.epochs: dict[str, int] = {}
        self.to_runner: dict[str, deque[CandleBatch | Mark]] = {}
        self.releases: dict[str, deque[Release]] = {}
        self.to_manager: dict[str, deque[Answer]] = {}
        self.market_to_manager: deque[list[MarketSlice]] = deque()
        self.due: deque[Callable[[], None]] = deque()
        self.late = [name for name in self.strategies if name in late]
        hosts = placement or {name: [name] for name in self.strategies}
        for host, names in hosts.items():
            present = [name for name in names if name not in late]
            self.host(host)
            if present:
                self.join(host, present)
        while self.carry_out():
            pass
        self.pools = [host for host in hosts if host not in self.strategies]
        self.begun = self.memory.committed

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

    def instance_of(self, name: str) -> Instance:
        strategy = self.strategies[name]
        return build(
            strategy,
            self.catalog.types[strategy.type],
            instruments=instruments_by_symbol(self.config.instruments),
            capital=self.config.capital_of(strategy),
        )

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
            instance = self.instances[host][name] = self.instance_of(name)
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

    def go_live(self, host: str, names: Collection[str], live_from: int) -> None:
        runner = self.runners[host]
        for name in names:
            if isinstance(runner, HostRunner):
                runner.go_live(name, live_from, [])
            else:
                runner.go_live(live_from, [])

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

    # ------------------------------------------------------------------ membership

    def join(self, host: str, names: Collection[str]) -> None:
        """Let strategies take part; their host hears of it later."""
        epoch = self.next_epoch(host)
        wanted = {name: self.strategies[name].streams for name in names}
        self.forget_earlier(host)
        live_from = self.coordinator.join(host, epoch=epoch, instances=wanted)
        self.host_of.update(dict.fromkeys(names, host))

        def admit() -> None:
            if self.epochs[host] == epoch:  # it has not been killed in between
                self.seat(host, names, epoch)
                self.go_live(host, names, live_from)
                self.runners[host].renew(epoch, self.reign)

        self.due.append(admit)

    def forget_earlier(self, host: str) -> None:
        """Lose what was on its way to an earlier process; a new one is reached from here on."""
        if host not in self.coordinator.members():
            self.releases[host].clear()

    def maybe_join(self) -> bool:
        is_time = self.coordinator.decided > self.last // 2 or self.random.random() < 0.02
        if self.due or not self.late or not is_time:
            return False
        self.counts["join"] += 1
        name = self.late.pop(0)
        host = self.random.choice([*self.pools, name])
        self.host(host)
        self.join(host, [name])
        return True

    def maybe_move(self) -> bool:
        if self.due or self.random.random() >= self.moves:
            return False
        self.counts["move"] += 1
        name = self.random.choice(sorted(self.host_of))
        source = self.host_of[name]
        to = self.random.choice([host for host in [*self.pools, name] if host != source])
        self.move(name, source, to)
        return True

    def move(self, name: str, source: str, to: str) -> None:
        self.host(to)
        epoch = self.next_epoch(to)
        self.forget_earlier(to)
        past = self.coordinator.move(name, to=to, epoch=epoch)
        self.host_of[name] = to
        process = self.runners.get(source)

        def admit() -> None:
            if self.epochs[to] == epoch:
                self.seat(to, [name], epoch)
                self.recover(to, past)
                self.runners[to].renew(epoch, self.reign)

        def dismiss() -> None:
            if process is None or self.runners.get(source) is not process:
                return  # killed in between
            del self.instances[source][name]
            if isinstance(process, HostRunner):
                process.remove(name)
            else:
                del self.runners[source]

        steps = [admit, dismiss]
        self.random.shuffle(steps)
        self.due.extend(steps)

    def carry_out(self) -> bool:
        """Let a host hear of what has been decided about it."""
        if not self.due:
            return False
        self.due.popleft()()
        return True

    # ------------------------------------------------------------------ deaths

    def maybe_kill(self) -> bool:
        if self.random.random() >= self.kills:
            return False
        host = self.random.choice([*self.coordinator.members(), ""])
        if host:
            self.kill_runner(host)
        else:
            self.kill_coordinator()
        return True

    def kill_runner(self, host: str) -> None:
        """Start another in its place; messages from and to the old one are still under way."""
        self.counts["runner"] += 1
        epoch = self.next_epoch(host)
        self.releases[host].clear()
        past = self.coordinator.rejoin(host, epoch=epoch)
        self.start(host, epoch)
        self.seat(host, list(past.joined), epoch)
        self.recover(host, past)

    def recover(self, host: str, past: Past) -> None:
        """Have a host take its past on, with any states there are."""
        states = {
            name: SeatState.decode(
                self.random.choice(self.stored[name][self.random.choice((0, -1)) :])
            )
            for name in past.joined
            if name in self.stored
        }

        def rebuild(name: str) -> Instance:
            raise AssertionError(f"{name}: {stored.refused}")

        stored = Stored(states, rebuild)
        self.runners[host].recover(past, stored)
        self.counts["used"] += len(stored.used)
        self.refusals += stored.refused.values()
        assert set(stored.used) | set(stored.refused) == set(states)

    def maybe_store(self) -> bool:
        """Store the states of a host; they outlive everything."""
        if self.random.random() < self.stores and self.runners:
            runner = self.runners[self.random.choice(sorted(self.runners))]
            if isinstance(runner, HostRunner):
                states, failures = runner.store(runner.instances)
                assert not failures
            else:
                state = runner.store()
                states = [] if state is None else [state]
            for each in states:
                self.stored.setdefault(each.instance, []).append(each.encode())
        return False

    def maybe_lose_everything(self) -> bool:
        """End every process; the end of what the coordinator recorded did not reach the disk."""
        if self.due or self.random.random() >= self.disasters:
            return False
        records = self.memory.records
        lost = self.random.randint(0, min(40, len(records) - self.begun))
        del records[len(records) - lost :]
        self.memory.committed = len(records)
        self.runners.clear()
        self.kill_coordinator()
        for answers in self.to_manager.values():
            answers.clear()
        for host in list(self.coordinator.members()):
            self.kill_runner(host)
        return True

    def kill_coordinator(self) -> None:
        """Build it again from what it had committed; messages are lost on both sides."""
        self.counts["coordinator"] += 1
        self.reign += 1
        del self.memory.records[self.memory.committed :]
        self.manager = OrderManager(
            self.config, base_streams=self.market.base_streams, ledger=Ledger()
        )
        self.coordinator = Coordinator(self.manager, self.memory, reign=self.reign)
        self.coordinator.restore(self.published, list(self.memory.records))
        self.market_to_manager.clear()
        self.coordinator.add_slices(self.published)
        for host, runner in self.runners.items():
            for lost in (self.to_manager[host], self.releases[host]):
                for _ in range(self.random.randint(0, len(lost))):
                    lost.popleft()
            self.to_manager[host].append(runner.repeat(self.reign))

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

    def run_some(self) -> bool:
        return self.run_one(self.random.choice(list(self.runners)))

    def run_one(self, host: str) -> bool:
        runner, busy = self.runners[host], False
        if self.to_runner[host] and not runner.awaits_release and self.random.random() < 0.7:
            self.hand(host, self.to_runner[host].popleft())
            busy = True
        if self.releases[host] and self.random.random() < 0.7:
            runner.release(self.releases[host].popleft())
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
            assert not runner.failed
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
            self.coordinator.add_slices(self.market_to_manager.popleft())
            busy = True
        for answers in self.to_manager.values():
            if answers and self.random.random() < 0.6:
                heard = self.coordinator.on_answer(answers.popleft())
                assert heard or self.kills or self.moves or self.disasters or self.counts["join"]
                busy = True
        return self.advance() or busy

    def advance(self) -> bool:
        releases = self.coordinator.advance()
        for host, release in releases:
            self.releases[host].append(release)
        return bool(releases)

    def play(self) -> None:
        steps = [self.publish, self.manage, *[self.run_some] * len(self.strategies)]
        steps += [self.maybe_kill, self.maybe_move, self.maybe_join, self.carry_out]
        steps += [self.maybe_store, self.maybe_lose_everything]
        idle = 0
        while self.late or self.coordinator.decided < self.last:
            idle = 0 if self.random.choice(steps)() else idle + 1
            assert idle < 10_000, f"deadlock at slice {self.coordinator.decided} of {self.last}"

    def finish(self) -> dict[str, Instance]:
        """Deliver what is still under way, and return every instance."""
        while self.carry_out():
            pass
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
        for host, release in self.coordinator.farewell():
            self.runners[host].release(release)
            assert self.runners[host].matched == self.last
        return {name: self.instances[host][name] for name, host in self.host_of.items()}

    def membership(self, name: str) -> Membership:
        """Return what the coordinator has on record about an instance."""
        return self.coordinator._roster.by_instance[name].members[name]


class Obedient:
    """An instance of the sequential run, told what it was told elsewhere, at the same steps."""

    def __init__(self, instance: Instance, streams: Collection[str], on_record: Membership) -> None:
        self.instance = instance
        self.streams = streams
        self.joined = on_record.joined
        self.due: deque[SliceCommand] = deque(on_record.commands)
        self.processed = -1
        self.taken = 0

    def obey(self) -> None:
        while self.due and self._is_time(self.due[0]):
            self.instance.on_command(self.due.popleft().command)

    def _is_time(self, told: SliceCommand) -> bool:
        return told.slice <= self.processed and told.taken <= self.taken

    def take(self, event: OrderEvent) -> None:
        self.instance.on_event(event)
        self.taken += 1
        self.obey()

    def process(self, market_slice: MarketSlice) -> list[Decision]:
        candles = [candle for candle in market_slice.candles if candle.stream in self.streams]
        if not candles:
            return []
        if market_slice.number < self.joined:
            for candle in candles:
                self.instance.warm(candle)
            found = []
        else:
            answers = [self.instance.on_candle(candle) for candle in candles]
            found = [decision for decision in answers if decision is not None]
        self.processed = market_slice.number
        self.obey()
        return found


def sequential_as(network: Network) -> tuple[OrderManager, dict[str, Obedient]]:
    """Run what a network has run, one slice after the other."""
    config = network.config
    manager = OrderManager(config, base_streams=network.market.base_streams, ledger=Ledger())
    told = {}
    for name, strategy in network.strategies.items():
        manager.register(strategy)
        on_record = network.membership(name)
        told[name] = Obedient(network.instance_of(name), strategy.streams, on_record)
    for market_slice in network.published:
        for event in manager.match(market_slice):
            told[event.instance].take(event)
        decisions = [d for each in told.values() for d in each.process(market_slice)]
        for event in manager.decide(market_slice, decisions):
            told[event.instance].take(event)
    return manager, told
