"""Whatever the order in which messages arrive, the ledger is that of the sequential run."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backtest import Backtest
from engine.catalog import Catalog, default_folders, discover
from engine.config import RunConfig
from engine.instance import Instance, Pause, Resume, Status, build
from engine.market import Market, open_market
from engine.money import instruments_by_symbol
from engine.sequencing import (
    Answer,
    CandleBatch,
    Coordinator,
    InstanceRunner,
    Mark,
    Record,
    Recorder,
    Release,
    SliceCommand,
)
from engine.trading import Ledger, OrderManager
from engine.types import Decision, MarketSlice, OrderEvent

TWO_STREAMS = """
from strategies import Strategy, StrategyMetadata


class TwoStreams(Strategy):
    metadata = StrategyMetadata(type="TWO_STREAMS")

    def on_candle(self, candle):
        symbol = candle.stream.split(":")[1]
        held = self.services.positions[symbol].quantity
        if candle.seq % 7 == 3 and not held:
            (self.services.order.buy if candle.seq % 2 else self.services.order.sell)(symbol)
        elif candle.seq % 5 == 4 and held:
            self.services.order.close(symbol)
"""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "two_streams.py").write_text(TWO_STREAMS)
    return discover([*default_folders(), folder])


def a_run(policy: str) -> RunConfig:
    rules = {
        "entry": {"condition": "macd_crossover_bullish AND rsi < 70", "confidence": 0.7},
        "exit": {"condition": "macd_crossover_bearish OR rsi > 80"},
    }
    both_sides = {
        "entry": {"condition": "crosses_above(close, ma)"},
        "shortEntry": {"condition": "crosses_below(close, ma)"},
    }
    protected = {"stopLoss": 0.004, "takeProfit": 0.006, "maxPositionSize": 0.5}
    trailing = {"trailingStop": 0.003, "maxPositionSize": 0.4, "timeLimitCandles": 20}
    macd = {"indicators": {"macd": {}, "rsi": {"period": 14}}, "rules": rules}
    ma = {"indicators": {"ma": {"type": "ema", "period": 9}}, "rules": both_sides}
    return RunConfig.model_validate(
        {
            "market": {
                "synthetic": {
                    "symbols": [
                        {"symbol": "AAA/USDT", "timeframe": "1m", "annualVolatility": 2.0},
                        {"symbol": "BBB/USDT", "timeframe": "5m", "annualVolatility": 2.0},
                    ],
                    "candles": 400,
                    "seed": 11,
                }
            },
            "execution": {"takerFeeBps": 5, "makerFeeBps": 2, "slippageBps": 1, "volumeShare": 0.5},
            "arbitration": {"policy": policy},
            "accounts": [{"id": "paper", "balances": {"USDT": 3000}}],
            "strategies": [
                {"id": "plain", "symbol": "AAA/USDT", "timeframe": "1m", **macd},
                {
                    "id": "stops",
                    "symbol": "AAA/USDT",
                    "timeframe": "1m",
                    "priority": 3,
                    **ma,
                    "risk": protected,
                },
                {
                    "id": "slow",
                    "symbol": "AAA/USDT",
                    "timeframe": "15m",
                    **ma,
                    "risk": {**protected, "cooldownCandles": 1},
                },
                {"id": "trail", "symbol": "BBB/USDT", "timeframe": "5m", **ma, "risk": trailing},
                {
                    "id": "two_streams",
                    "type": "TWO_STREAMS",
                    "symbols": ["BBB/USDT", "AAA/USDT"],
                    "timeframes": ["5m", "15m"],
                    "risk": protected,
                },
            ],
        }
    )


@pytest.fixture(scope="module")
def two_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return a 1m and a 5m file of AAA/USDT that disagree.

    The 5m candles lack the wicks of the 1m candles, and each file lacks rows the other one has.
    """
    rng = random.Random(5)
    small = []
    price = 100.0
    for n in range(2000):
        opened, price = price, price * (1 + rng.gauss(0, 0.0015))
        high, low = max(opened, price) * 1.002, min(opened, price) * 0.998
        small.append((n * 60_000, opened, high, low, price, rng.uniform(5, 50)))
    large = []
    for n in range(0, len(small), 5):
        opened, closed = small[n][1], small[n + 4][4]
        large.append((n * 60_000, opened, max(opened, closed), min(opened, closed), closed, 90.0))
    folder = tmp_path_factory.mktemp("candles")
    paths = []
    for name, rows in (("AAA-USDT_1m.parquet", small), ("AAA-USDT_5m.parquet", large)):
        kept = [row for row in rows if rng.random() > 0.03]
        columns = ["open_time", "open", "high", "low", "close", "volume"]
        pl.DataFrame(kept, schema=columns, orient="row").write_parquet(folder / name)
        paths.append(str(folder / name))
    return paths


def a_run_on_files(files: list[str]) -> RunConfig:
    both_sides = {
        "entry": {"condition": "crosses_above(close, ma)"},
        "shortEntry": {"condition": "crosses_below(close, ma)"},
    }
    ma = {"indicators": {"ma": {"type": "ema", "period": 9}}, "rules": both_sides}
    stops = {"stopLoss": 0.004, "takeProfit": 0.006, "maxPositionSize": 0.5}
    trailing = {"trailingStop": 0.004, "maxPositionSize": 0.4, "timeLimitCandles": 20}
    five = {"symbol": "AAA/USDT", "timeframe": "5m"}
    return RunConfig.model_validate(
        {
            "market": {"replay": files},
            "execution": {"takerFeeBps": 5, "makerFeeBps": 2, "volumeShare": 0.5},
            "accounts": [{"id": "paper", "balances": {"USDT": 3000}}],
            "strategies": [
                {"id": "stops", **five, **ma, "risk": stops},
                {"id": "trail", **five, **ma, "risk": trailing},
                {"id": "fine", **five, **ma, "timeframe": "1m", "risk": stops},
                {"id": "coarse", **five, **ma, "timeframe": "15m", "risk": stops},
                {
                    "id": "two_streams",
                    "type": "TWO_STREAMS",
                    "symbols": ["AAA/USDT"],
                    "timeframes": ["5m", "15m"],
                    "risk": stops,
                },
            ],
        }
    )


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
    """Delivers every message late, in any order two different senders allow."""

    def __init__(
        self,
        config: RunConfig,
        catalog: Catalog,
        seed: int,
        *,
        kills: float = 0.0,
        orders_given: float = 0.0,
    ) -> None:
        market = market_of(config)
        self.config, self.catalog, self.market, self.kills = config, catalog, market, kills
        self.orders_given = orders_given
        self.memory = Memory()
        self.published: list[MarketSlice] = []
        self.reign = 0
        self.killed = {"runner": 0, "coordinator": 0}
        self.random = random.Random(seed)
        self.slices: deque[MarketSlice] = deque(market.slices())
        self.manager = OrderManager(config, base_streams=market.base_streams, ledger=Ledger())
        self.coordinator = Coordinator(self.manager, self.memory)
        self.runners: dict[str, InstanceRunner] = {}
        self.to_runner: dict[str, deque[CandleBatch | Mark]] = {}
        self.releases: dict[str, deque[Release]] = {}
        self.to_manager: dict[str, deque[Answer]] = {}
        self.market_to_manager: deque[list[MarketSlice]] = deque()
        self.coordinator.register(config.strategies)
        for strategy in config.strategies:
            self.runners[strategy.id] = self.a_runner(strategy.id, epoch=1)
            wanted = {strategy.id: strategy.streams}
            self.coordinator.join(strategy.id, epoch=1, instances=wanted)
            self.to_runner[strategy.id] = deque()
            self.releases[strategy.id] = deque()
            self.to_manager[strategy.id] = deque()
        self.streams = {strategy.id: strategy.streams for strategy in config.strategies}

    def a_runner(self, host: str, *, epoch: int) -> InstanceRunner:
        strategy = next(s for s in self.config.strategies if s.id == host)
        instance = build(
            strategy,
            self.catalog.types[strategy.type],
            instruments=instruments_by_symbol(self.config.instruments),
            capital=self.config.capital_of(strategy),
        )
        return InstanceRunner(
            instance,
            host=host,
            epoch=epoch,
            streams=strategy.streams,
            uncovered=self.market.uncovered,
        )

    def publish(self) -> bool:
        if not self.slices:
            return False
        count = self.random.randint(1, 40)
        part = [self.slices.popleft() for _ in range(min(count, len(self.slices)))]
        self.published += part
        for host in self.streams:
            self.to_runner[host].extend(self.messages(host, part))
        self.market_to_manager.append(part)
        return True

    def messages(self, host: str, part: list[MarketSlice]) -> list[CandleBatch | Mark]:
        found: list[CandleBatch | Mark] = []
        for stream in self.streams[host]:
            batch = CandleBatch(stream, 0, [], [], [])
            for market_slice in part:
                for candle in market_slice.candles:
                    if candle.stream == stream:
                        batch.slices.append(market_slice.number)
                        batch.times.append(market_slice.time)
                        batch.candles.append(candle)
            if batch.candles:
                found.append(batch)
        if len(self.streams[host]) > 1:
            found.append(Mark(0, part[-1].number))
        return found

    def offer(self, runner: InstanceRunner, part: list[MarketSlice]) -> None:
        for message in self.messages(runner.host, part) if part else ():
            if isinstance(message, Mark):
                runner.mark(message.through)
            else:
                runner.offer(message)

    def maybe_kill(self) -> bool:
        if self.random.random() >= self.kills:
            return False
        host = self.random.choice([*self.runners, ""])
        if host:
            self.kill_runner(host)
        else:
            self.kill_coordinator()
        return True

    def kill_runner(self, host: str) -> None:
        """Start another in its place; messages from and to the old one are still under way."""
        self.killed["runner"] += 1
        runner = self.a_runner(host, epoch=self.runners[host].epoch + 1)
        self.offer(runner, self.published)
        runner.recover(self.coordinator.rejoin(host, epoch=runner.epoch))
        self.runners[host] = runner
        self.releases[host].clear()

    def kill_coordinator(self) -> None:
        """Build it again from what it had committed; messages are lost on both sides."""
        self.killed["coordinator"] += 1
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

    def run_one(self, host: str) -> bool:
        runner, busy = self.runners[host], False
        if self.to_runner[host] and not runner.awaits_release and self.random.random() < 0.7:
            message = self.to_runner[host].popleft()
            if isinstance(message, Mark):
                runner.mark(message.through)
            else:
                runner.offer(message)
            busy = True
        if self.releases[host] and self.random.random() < 0.7:
            runner.release(self.releases[host].popleft())
            busy = True
        if self.random.random() < self.orders_given:
            assert isinstance(runner.instance, Instance)
            if runner.instance.status is Status.RUNNING:
                runner.command(Pause())
            elif runner.instance.status is Status.PAUSED:
                runner.command(Resume())
        left = self.random.randint(1, 30)

        def may_continue() -> bool:
            nonlocal left
            left -= 1
            return left > 0

        runner.run(may_continue=may_continue)
        answer = runner.answer()
        if answer is not None:
            self.to_manager[host].append(answer)
            busy = True
        return busy

    def commands(self, host: str) -> list[SliceCommand]:
        """Return what an instance was told, as the coordinator has it."""
        return self.coordinator.rejoin(host, epoch=self.runners[host].epoch).commands

    def finished(self, host: str) -> Instance:
        """Deliver what is still under way to and from an instance, and return it."""
        runner = self.runners[host]
        self.offer(runner, self.published)
        for answer in self.to_manager[host]:
            self.coordinator.on_answer(answer)
        last = {**dict(self.coordinator.farewell()), **dict(self.coordinator.advance())}
        for release in [*self.releases[host], last[host]]:
            runner.release(release)
            runner.run()
        assert isinstance(runner.instance, Instance)
        return runner.instance

    def manage(self) -> bool:
        busy = False
        if self.market_to_manager and self.random.random() < 0.6:
            self.coordinator.add_slices(self.market_to_manager.popleft())
            busy = True
        for answers in self.to_manager.values():
            if answers and self.random.random() < 0.6:
                heard = self.coordinator.on_answer(answers.popleft())
                assert heard or self.kills
                busy = True
        for host, release in self.coordinator.advance():
            self.releases[host].append(release)
            busy = True
        return busy

    def play(self) -> None:
        last = self.slices[-1].number
        steps = [self.publish, self.manage, *(lambda h=h: self.run_one(h) for h in self.runners)]
        steps.append(self.maybe_kill)
        idle = 0
        while self.coordinator.decided < last:
            idle = 0 if self.random.choice(steps)() else idle + 1
            assert idle < 10_000, f"deadlock at slice {self.coordinator.decided} of {last}"


@pytest.mark.parametrize("policy", ["independent", "net", "priority", "first"])
def test_the_sequential_run_trades_enough_to_mean_something(policy: str, catalog: Catalog) -> None:
    backtest = sequential(a_run(policy), catalog)
    roles = {
        record.fill.role
        for name in backtest.instances
        for record in backtest.manager.ledger.fills(name)
    }
    assert {"entry", "exit", "stop_loss", "take_profit", "trailing_stop"} <= roles


@pytest.mark.parametrize("policy", ["independent", "net", "priority", "first"])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_interleaving_of_messages_gives_the_ledger_of_the_sequential_run(
    policy: str, catalog: Catalog, seed: int
) -> None:
    assert_same_ledger(a_run(policy), catalog, seed)


def assert_same_ledger(config: RunConfig, catalog: Catalog, seed: int) -> None:
    expected = sequential(config, catalog)
    network = Network(config, catalog, seed)
    network.play()
    for name in expected.instances:
        assert network.manager.ledger.fills(name) == expected.manager.ledger.fills(name)
    assert network.manager.ledger.sha256() == expected.manager.ledger.sha256()


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["independent", "net", "priority", "first"])
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_processes_that_die_and_come_back_leave_the_same_ledger(
    policy: str, catalog: Catalog, seed: int
) -> None:
    config = a_run(policy)
    expected = sequential(config, catalog)
    network = Network(config, catalog, seed, kills=0.05)
    network.play()
    assert network.killed["runner"]
    assert network.killed["coordinator"]
    assert network.manager.ledger.sha256() == expected.manager.ledger.sha256()
    for name, instance in expected.instances.items():
        assert network.manager.ledger.sha256_of(name) == expected.manager.ledger.sha256_of(name)
        assert network.finished(name).snapshot() == instance.snapshot()


class Obedient:
    """An instance of the sequential run, told what it was told elsewhere, at the same steps."""

    def __init__(self, instance: Instance, commands: list[SliceCommand]) -> None:
        self.instance = instance
        self.due = deque(commands)
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

    def process(self, market_slice: MarketSlice, streams: Collection[str]) -> list[Decision]:
        candles = [candle for candle in market_slice.candles if candle.stream in streams]
        found = [decision for c in candles if (decision := self.instance.on_candle(c)) is not None]
        if candles:
            self.processed = market_slice.number
            self.obey()
        return found


def sequential_with_commands(network: Network) -> tuple[OrderManager, dict[str, Obedient]]:
    config = network.config
    manager = OrderManager(config, base_streams=network.market.base_streams, ledger=Ledger())
    told = {}
    for strategy in config.strategies:
        manager.register(strategy)
        instance = network.a_runner(strategy.id, epoch=0).instance
        assert isinstance(instance, Instance)
        told[strategy.id] = Obedient(instance, network.commands(strategy.id))
    for market_slice in network.published:
        for event in manager.match(market_slice):
            told[event.instance].take(event)
        decisions = [
            decision
            for name, each in told.items()
            for decision in each.process(market_slice, network.streams[name])
        ]
        for event in manager.decide(market_slice, decisions):
            told[event.instance].take(event)
    return manager, told


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_commands_are_obeyed_at_the_same_step_by_whoever_comes_back(
    catalog: Catalog, seed: int
) -> None:
    network = Network(a_run("independent"), catalog, seed, kills=0.05, orders_given=0.02)
    network.play()
    found = {name: network.finished(name).snapshot() for name in network.runners}
    manager, told = sequential_with_commands(network)
    assert sum(len(network.commands(name)) for name in told) > 10
    assert network.manager.ledger.sha256() == manager.ledger.sha256()
    assert found == {name: each.instance.snapshot() for name, each in told.items()}
    assert not any(each.due for each in told.values())


def test_the_run_on_files_that_disagree_has_stops_hit_where_only_one_file_shows_it(
    catalog: Catalog, two_files: list[str]
) -> None:
    config = a_run_on_files(two_files)
    market = market_of(config)
    assert market.uncovered == {"paper:AAA/USDT:5m"}
    ledger = sequential(config, catalog).manager.ledger
    shown = {candle.close_time: candle for _, candle in market.history("paper:AAA/USDT:5m")}
    stopped = [record.fill for record in ledger.fills("stops") if record.fill.role == "stop_loss"]
    hidden = [
        fill
        for fill in stopped
        if (candle := shown.get(fill.time)) is not None
        and not candle.low <= float(fill.price) <= candle.high
    ]
    assert len(stopped) > 10
    assert hidden


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_streams_that_orders_are_not_matched_on_give_the_ledger_of_the_sequential_run(
    catalog: Catalog, two_files: list[str], seed: int
) -> None:
    assert_same_ledger(a_run_on_files(two_files), catalog, seed)
