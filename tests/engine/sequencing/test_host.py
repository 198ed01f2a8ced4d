"""A host of many instances: the ledger of the sequential run, and nobody harms a neighbour."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backtest import Backtest
from engine.catalog import Catalog, default_folders, discover
from engine.config import RunConfig
from engine.errors import StrategyError
from engine.instance import Instance, build
from engine.instance.commands import Command
from engine.market import Market, open_market
from engine.money import instruments_by_symbol
from engine.sequencing import (
    Answer,
    CandleBatch,
    Coordinator,
    InstanceRunner,
    Mark,
    Release,
    SliceDecision,
    SliceEvent,
)
from engine.sequencing.host import HostRunner, Standing
from engine.trading import Ledger, OrderManager
from engine.types import Candle, Decision, MarketSlice, OrderCanceled, OrderEvent

MINUTE = 60_000
STREAM = "paper:A/B:1m"
OTHER = "paper:C/D:1m"

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

# ---------------------------------------------------------------- any order of messages


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "two_streams.py").write_text(TWO_STREAMS)
    return discover([*default_folders(), folder])


def ma(period: int) -> dict[str, object]:
    return {
        "indicators": {"ma": {"type": "ema", "period": period}},
        "rules": {
            "entry": {"condition": "crosses_above(close, ma)"},
            "shortEntry": {"condition": "crosses_below(close, ma)"},
        },
    }


MACD = {
    "indicators": {"macd": {}, "rsi": {"period": 14}},
    "rules": {
        "entry": {"condition": "macd_crossover_bullish AND rsi < 70", "confidence": 0.7},
        "exit": {"condition": "macd_crossover_bearish OR rsi > 80"},
    },
}
STOPS = {"stopLoss": 0.004, "takeProfit": 0.006, "maxPositionSize": 0.5}
TRAIL = {"trailingStop": 0.003, "maxPositionSize": 0.4, "timeLimitCandles": 20}


def a_run(policy: str) -> RunConfig:
    one = {"symbol": "AAA/USDT", "timeframe": "1m"}
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
                {"id": "plain", **one, **MACD},
                {"id": "stops", **one, "priority": 3, **ma(9), "risk": STOPS},
                {"id": "fast", **one, **ma(5), "risk": STOPS},
                {
                    "id": "slow",
                    "symbol": "AAA/USDT",
                    "timeframe": "15m",
                    **ma(3),
                    "risk": {**STOPS, "cooldownCandles": 1},
                },
                {
                    "id": "trail",
                    "symbol": "BBB/USDT",
                    "timeframe": "5m",
                    **ma(9),
                    "risk": TRAIL,
                },
                {
                    "id": "two_streams",
                    "type": "TWO_STREAMS",
                    "symbols": ["BBB/USDT", "AAA/USDT"],
                    "timeframes": ["5m", "15m"],
                    "risk": STOPS,
                },
            ],
        }
    )


@pytest.fixture(scope="module")
def two_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return a 1m and a 5m file of AAA/USDT that disagree in wicks and in missing rows."""
    rng = random.Random(5)
    small = []
    price = 100.0
    for n in range(1500):
        opened, price = price, price * (1 + rng.gauss(0, 0.0015))
        high, low = max(opened, price) * 1.002, min(opened, price) * 0.998
        small.append((n * MINUTE, opened, high, low, price, rng.uniform(5, 50)))
    large = []
    for n in range(0, len(small), 5):
        opened, closed = small[n][1], small[n + 4][4]
        large.append((n * MINUTE, opened, max(opened, closed), min(opened, closed), closed, 90.0))
    folder = tmp_path_factory.mktemp("candles")
    paths = []
    for name, rows in (("AAA-USDT_1m.parquet", small), ("AAA-USDT_5m.parquet", large)):
        kept = [row for row in rows if rng.random() > 0.03]
        columns = ["open_time", "open", "high", "low", "close", "volume"]
        pl.DataFrame(kept, schema=columns, orient="row").write_parquet(folder / name)
        paths.append(str(folder / name))
    return paths


def a_run_on_files(files: list[str]) -> RunConfig:
    five = {"symbol": "AAA/USDT", "timeframe": "5m"}
    return RunConfig.model_validate(
        {
            "market": {"replay": files},
            "execution": {"takerFeeBps": 5, "makerFeeBps": 2, "volumeShare": 0.5},
            "accounts": [{"id": "paper", "balances": {"USDT": 3000}}],
            "strategies": [
                {"id": "stops", **five, **ma(9), "risk": STOPS},
                {"id": "trail", **five, **ma(9), "risk": TRAIL},
                {"id": "fine", **five, **ma(9), "timeframe": "1m", "risk": STOPS},
                {"id": "coarse", **five, **ma(9), "timeframe": "15m", "risk": STOPS},
                {
                    "id": "two_streams",
                    "type": "TWO_STREAMS",
                    "symbols": ["AAA/USDT"],
                    "timeframes": ["5m", "15m"],
                    "risk": STOPS,
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


def instance_of(config: RunConfig, catalog: Catalog, name: str) -> Instance:
    strategy = next(strategy for strategy in config.strategies if strategy.id == name)
    return build(
        strategy,
        catalog.types[strategy.type],
        instruments=instruments_by_symbol(config.instruments),
        capital=config.capital_of(strategy),
    )


def batches_of(slices: Sequence[MarketSlice], stream: str) -> Iterable[CandleBatch]:
    found = [(s, candle) for s in slices for candle in s.candles if candle.stream == stream]
    if found:
        yield CandleBatch(
            stream,
            0,
            [market_slice.number for market_slice, _ in found],
            [market_slice.time for market_slice, _ in found],
            [candle for _, candle in found],
        )


class Network:
    """Hosts of several instances and single runners; every message is late, in any order.

    Order is kept between one sender and one receiver only, as in the actors.
    """

    def __init__(
        self,
        config: RunConfig,
        catalog: Catalog,
        seed: int,
        placement: dict[str, list[str]],
        *,
        moves: bool = False,
    ) -> None:
        self.config, self.moves = config, moves
        self.market = market_of(config)
        self.random = random.Random(seed)
        self.slices: deque[MarketSlice] = deque(self.market.slices())
        self.last_published = -1
        self.moved = 0
        self.manager = OrderManager(config, base_streams=self.market.base_streams, ledger=Ledger())
        self.coordinator = Coordinator(self.manager)
        for strategy in config.strategies:
            self.manager.register(strategy)
        self.runners: dict[str, InstanceRunner | HostRunner[Instance]] = {}
        self.streams: dict[str, tuple[str, ...]] = {}
        self.to_runner: dict[str, deque[CandleBatch | Mark]] = {}
        self.releases: dict[str, deque[Release]] = {}
        self.to_manager: dict[str, deque[Answer]] = {}
        self.market_to_manager: deque[list[MarketSlice]] = deque()
        for host, names in placement.items():
            self.to_runner[host] = deque()
            self.releases[host] = deque()
            self.to_manager[host] = deque()
            self.start(host, [instance_of(config, catalog, name) for name in names])

    def start(self, host: str, instances: list[Instance]) -> None:
        if len(instances) == 1 and host == instances[0].id:
            self.runners[host] = InstanceRunner(
                instances[0],
                host=host,
                epoch=1,
                streams=instances[0].config.streams,
                uncovered=self.market.uncovered,
            )
        else:
            pool: HostRunner[Instance] = HostRunner(host, 1, self.market.uncovered)
            for instance in instances:
                pool.add(instance, instance.config.streams)
            self.runners[host] = pool
        self.join(host, instances)

    def join(self, host: str, instances: Iterable[Instance]) -> None:
        present = list(instances)
        streams = dict.fromkeys(s for instance in present for s in instance.config.streams)
        self.streams[host] = tuple(streams)
        wanted = {instance.id: instance.config.streams for instance in present}
        self.coordinator.join(host, epoch=1, instances=wanted)

    def publish(self) -> bool:
        if not self.slices:
            return False
        count = self.random.randint(1, 40)
        part = [self.slices.popleft() for _ in range(min(count, len(self.slices)))]
        self.last_published = part[-1].number
        for host, streams in self.streams.items():
            for stream in streams:
                self.to_runner[host].extend(batches_of(part, stream))
            if len(streams) > 1:
                self.to_runner[host].append(Mark(0, part[-1].number))
        self.market_to_manager.append(part)
        return True

    def run_one(self, host: str) -> bool:
        runner, busy = self.runners[host], False
        if self.to_runner[host] and not runner.awaits_release and self.random.random() < 0.7:
            message = self.to_runner[host].popleft()
            if isinstance(message, Mark):
                runner.mark(message.through)
            else:
                assert runner.offer(message) is None
            busy = True
        if self.releases[host] and self.random.random() < 0.7:
            runner.release(self.releases[host].popleft())
            busy = True
        left = self.random.randint(1, 6)

        def may_continue() -> bool:
            nonlocal left
            left -= 1
            return left > 0

        busy |= runner.run(may_continue=may_continue)
        if isinstance(runner, HostRunner):
            assert not runner.failed
        answer = runner.answer()
        if answer is not None:
            self.to_manager[host].append(answer)
            busy = True
        return busy

    def manage(self) -> bool:
        busy = False
        if self.market_to_manager and self.random.random() < 0.6:
            self.coordinator.add_slices(self.market_to_manager.popleft())
            busy = True
        for answers in self.to_manager.values():
            if answers and self.random.random() < 0.6:
                assert self.coordinator.on_answer(answers.popleft())
                busy = True
        for host, release in self.coordinator.advance():
            self.releases[host].append(release)
            busy = True
        return busy

    def move_one(self) -> None:
        """Bring everything to rest, then let an instance move from one host to another."""
        steps = [self.manage, *(lambda h=h: self.run_one(h) for h in self.runners)]
        quiet = 0
        while quiet < 200:
            quiet = 0 if self.random.choice(steps)() else quiet + 1
        assert self.coordinator.decided == self.last_published
        hosts = {k: v for k, v in self.runners.items() if isinstance(v, HostRunner)}
        source = self.random.choice([h for h in hosts if hosts[h].instances])
        target = self.random.choice([host for host in hosts if host != source])
        name = self.random.choice(hosts[source].instances)
        standing = hosts[source].standing(name)
        instance = hosts[source].remove(name)
        hosts[target].add(instance, instance.config.streams, standing=standing)
        for host in (source, target):
            present = [seat.hosted for seat in hosts[host]._seats.values()]
            self.join(host, present)
            assert set(self.streams[host]) == set(hosts[host].streams)
            hosts[host].renew()
        self.moved += 1

    def play(self) -> None:
        last = self.slices[-1].number
        steps = [self.publish, self.manage, *(lambda h=h: self.run_one(h) for h in self.runners)]
        idle = 0
        while self.coordinator.decided < last:
            if self.moves and self.last_published >= 80 * (self.moved + 1):
                self.move_one()
            idle = 0 if self.random.choice(steps)() else idle + 1
            assert idle < 10_000, f"deadlock at slice {self.coordinator.decided} of {last}"


PLACEMENT = {"even": ["plain", "stops", "slow"], "fast": ["fast"], "odd": ["trail", "two_streams"]}
ALL_IN_ONE = {"all": ["plain", "stops", "fast", "slow", "trail", "two_streams"]}
SAME_STREAM = {
    "same": ["plain", "stops", "fast"],
    "slow": ["slow"],
    "trail": ["trail"],
    "lonely": ["two_streams"],
}
POLICIES = ["independent", "net", "priority", "first"]


def assert_same_ledger(
    config: RunConfig,
    catalog: Catalog,
    seed: int,
    placement: dict[str, list[str]],
    *,
    moves: bool = False,
) -> Network:
    expected = sequential(config, catalog)
    network = Network(config, catalog, seed, placement, moves=moves)
    network.play()
    for name in expected.instances:
        assert network.manager.ledger.fills(name) == expected.manager.ledger.fills(name)
    assert network.manager.ledger.sha256() == expected.manager.ledger.sha256()
    return network


@pytest.mark.parametrize("policy", POLICIES)
def test_every_instance_of_the_run_trades(policy: str, catalog: Catalog) -> None:
    backtest = sequential(a_run(policy), catalog)
    fills = {name: backtest.manager.ledger.fills(name) for name in backtest.instances}
    assert all(len(of_one) >= 2 for of_one in fills.values())
    roles = {record.fill.role for of_one in fills.values() for record in of_one}
    assert {"entry", "exit", "stop_loss", "take_profit", "trailing_stop"} <= roles


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("placement", [PLACEMENT, ALL_IN_ONE, SAME_STREAM])
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_interleaving_with_hosts_gives_the_ledger_of_the_sequential_run(
    policy: str, placement: dict[str, list[str]], catalog: Catalog, seed: int
) -> None:
    assert_same_ledger(a_run(policy), catalog, seed, placement)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_files_that_disagree_give_the_ledger_of_the_sequential_run(
    catalog: Catalog, two_files: list[str], seed: int
) -> None:
    placement = {"mixed": ["stops", "fine", "two_streams"], "trail": ["trail"], "one": ["coarse"]}
    assert_same_ledger(a_run_on_files(two_files), catalog, seed, placement)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_instances_that_move_between_hosts_leave_the_same_ledger(
    catalog: Catalog, seed: int
) -> None:
    network = assert_same_ledger(a_run("priority"), catalog, seed, PLACEMENT, moves=True)
    assert network.moved >= 5


# ---------------------------------------------------------------- single hosts


class Recorder:
    """An instance that notes what reaches it; it waits for every candle while it is told to."""

    def __init__(self, name: str = "a", *, decides: bool = False) -> None:
        self.id = name
        self.seen: list[str] = []
        self.expects_event = False
        self.fails_at: dict[int, BaseException] = {}
        self.event_failure: BaseException | None = None
        self.decides = decides

    def on_candle(self, candle: Candle) -> Decision | None:
        if candle.seq in self.fails_at:
            raise self.fails_at[candle.seq]
        self.seen.append(f"candle {candle.seq}")
        if self.decides:
            return Decision(self.id, candle.stream, candle.seq, candle.close_time, ())
        return None

    def warm(self, candle: Candle) -> None:
        self.seen.append(f"warm {candle.seq}")

    def on_event(self, event: OrderEvent) -> None:
        assert isinstance(event, OrderCanceled)
        if self.event_failure is not None:
            raise self.event_failure
        self.seen.append(event.order_id)

    def on_command(self, command: Command) -> None:
        self.seen.append(str(command))

    def must_hear(self, candle: Candle, *, late: bool) -> bool:
        del candle
        return late or self.expects_event


def candle(seq: int, stream: str = STREAM) -> Candle:
    return Candle(stream, seq, seq * MINUTE, (seq + 1) * MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0, 0)


def a_batch(start: int, stop: int, stream: str = STREAM, published_ns: int = 0) -> CandleBatch:
    """Return candles of one stream, candle k in slice k."""
    numbers = list(range(start, stop))
    times = [(number + 1) * MINUTE for number in numbers]
    return CandleBatch(stream, published_ns, numbers, times, [candle(n, stream) for n in numbers])


def canceled(name: str, instance: str = "a") -> OrderCanceled:
    return OrderCanceled(instance, name, "A/B", "test", 0)


def a_host(*instances: Recorder, stream: str = STREAM) -> HostRunner[Recorder]:
    host: HostRunner[Recorder] = HostRunner("h", 1)
    for instance in instances:
        host.add(instance, [stream])
    return host


def told(host: HostRunner[Recorder]) -> tuple[int, int] | None:
    """Run; return `through` and `waiting` of the answer."""
    host.run()
    answer = host.answer()
    return None if answer is None else (answer.through, answer.waiting)


def test_all_instances_take_the_same_candle_objects() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    assert host.instances == ("a", "b")
    assert host.streams == (STREAM,)
    assert host.offer(a_batch(0, 3)) is None
    assert told(host) == (2, -1)
    assert a.seen == b.seen == ["candle 0", "candle 1", "candle 2"]
    assert told(host) is None


def test_a_candle_goes_to_those_who_listen_only() -> None:
    a, c = Recorder("a"), Recorder("c")
    host = a_host(a)
    host.add(c, [OTHER])
    assert host.streams == (STREAM, OTHER)
    host.offer(a_batch(0, 2, OTHER))
    host.run()
    assert (a.seen, c.seen) == ([], ["candle 0", "candle 1"])


def test_an_instance_is_not_taken_twice() -> None:
    host = a_host(Recorder("a"))
    with pytest.raises(StrategyError, match=r"host 'h': instance 'a' is here already; remove it"):
        host.add(Recorder("a"), [STREAM])


def test_an_instance_that_is_not_here_is_named() -> None:
    with pytest.raises(StrategyError, match=r"host 'h': needs an instance that is here, got 'x'"):
        a_host(Recorder("a")).remove("x")


def test_a_gap_is_found_once_and_nothing_is_queued() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    assert host.offer(a_batch(2, 4)) == (0, 2)
    assert told(host) is None
    assert host.offer(a_batch(0, 2)) is None
    assert host.offer(a_batch(1, 4)) is None
    assert host.offer(a_batch(0, 4)) is None
    assert host.offer(CandleBatch(STREAM, 0, [], [], [])) is None
    assert told(host) == (3, -1)
    assert a.seen == b.seen == [f"candle {n}" for n in range(4)]


def test_a_hole_in_a_message_is_refused() -> None:
    batch = CandleBatch(STREAM, 0, [0, 2], [MINUTE, 3 * MINUTE], [candle(0), candle(2)])
    with pytest.raises(StrategyError, match="candle 2 follows 0 in one message"):
        a_host(Recorder()).offer(batch)


def test_candles_nobody_listens_to_are_ignored() -> None:
    assert a_host(Recorder()).offer(a_batch(7, 9, OTHER)) is None


def test_several_streams_are_answered_for_as_far_as_the_mark_goes() -> None:
    a, c = Recorder("a"), Recorder("c")
    host = a_host(a)
    host.add(c, [OTHER])
    host.offer(a_batch(0, 5))
    assert told(host) is None, "older candles of the other stream may be under way"
    host.offer(a_batch(0, 3, OTHER))
    host.mark(2)
    assert told(host) == (2, -1)
    host.mark(4)
    assert told(host) == (4, -1)


def test_an_instance_of_two_streams_gets_them_merged_in_slice_order() -> None:
    host: HostRunner[Recorder] = HostRunner("h", 1)
    both = Recorder("both")
    host.add(both, [STREAM, OTHER])
    host.offer(a_batch(0, 3))
    host.offer(a_batch(0, 2, OTHER))
    assert told(host) is None
    host.mark(1)
    assert told(host) == (1, -1)
    assert both.seen == ["candle 0", "candle 0", "candle 1", "candle 1"]
    host.mark(2)
    assert told(host) == (2, -1)
    assert both.seen[-1] == "candle 2"


def test_one_that_waits_does_not_hold_the_others_up() -> None:
    a, b = Recorder("a"), Recorder("b")
    a.expects_event = True
    host = a_host(a, b)
    host.offer(a_batch(0, 3))
    assert told(host) == (-1, 0)
    assert (a.seen, len(b.seen)) == ([], 3)
    assert not host.awaits_release, "b can take more candles"
    host.release(Release(1, []))
    assert told(host) == (1, 2)
    assert a.seen == ["candle 0", "candle 1"]
    host.release(Release(2, []))
    assert told(host) == (2, 3), "a will wait for the next one, too"


def test_the_smallest_slice_somebody_waits_for_is_told() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 1))
    assert told(host) == (0, -1)
    b.expects_event = True
    host.offer(a_batch(1, 2))
    assert told(host) == (0, 1)
    a.expects_event = True
    host.offer(a_batch(2, 3))
    assert told(host) is None, "a waits for 2, b for 1 still"
    host.release(Release(1, []))
    assert told(host) == (1, 2)


def test_decisions_are_told_in_slice_order_once_everybody_has_come_so_far() -> None:
    a, b = Recorder("a", decides=True), Recorder("b", decides=True)
    host = a_host(a, b)
    host.offer(a_batch(0, 1))
    host.run()
    b.expects_event = True
    host.offer(a_batch(1, 3))
    host.run()
    answer = host.answer()
    assert answer is not None
    names = [(entry.slice, entry.decision.instance) for entry in answer.decisions]
    assert (answer.through, answer.waiting) == (0, 1)
    assert names == [(0, "a"), (0, "b")]
    host.release(Release(2, []))
    host.run()
    answer = host.answer()
    assert answer is not None
    names = [(entry.slice, entry.decision.instance) for entry in answer.decisions]
    assert names == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]


def test_events_go_to_their_instance_and_to_nobody_else() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 1))
    told(host)
    mixed = [canceled("1", "b"), canceled("2", "a"), canceled("3", "b"), canceled("4", "moved")]
    host.release(Release(0, [SliceEvent(0, event) for event in mixed]))
    assert (a.seen[1:], b.seen[1:]) == (["2"], ["1", "3"])
    assert not host.failed


def test_an_event_can_end_a_wait_before_its_slice_is_matched() -> None:
    class Waits(Recorder):
        def on_event(self, event: OrderEvent) -> None:
            super().on_event(event)
            self.expects_event = False

    a = Waits("a")
    a.expects_event = True
    host = a_host(a)
    host.offer(a_batch(0, 2))
    assert told(host) == (-1, 0)
    host.release(Release(-1, [SliceEvent(-1, canceled("it"))]))
    assert told(host) == (1, -1)
    assert a.seen == ["it", "candle 0", "candle 1"]


def test_an_instance_that_will_have_to_wait_is_announced_with_the_answer() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 3))
    a.expects_event = True
    host.release(Release(2, []))
    host.run()
    assert a.seen[-1:] == ["candle 2"]
    assert told(host) == (2, 3)
    assert not host.awaits_release, "b need not wait"
    assert told(host) is None
    host.release(Release(3, []))
    assert told(host) is None, "a candle of slice 3 may be under way and need not wait"
    host.offer(a_batch(3, 4))
    assert told(host) == (3, 4)


def test_candles_are_left_alone_only_if_all_wait() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 1))
    a.expects_event = b.expects_event = True
    host.release(Release(0, []))
    assert told(host) == (0, 1)
    assert host.awaits_release
    host.offer(a_batch(1, 2))
    host.run()
    assert host.awaits_release, "blocked now, on the slice announced"
    host.release(Release(1, []))
    assert not host.awaits_release


def test_one_that_is_not_live_does_not_keep_the_host_looking_at_candles() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a)
    host.add(b, [STREAM], is_live=False)
    host.add(Recorder("c"), [STREAM], is_live=False)
    host.remove("c")
    host.offer(a_batch(0, 1))
    a.expects_event = True
    assert told(host) == (-1, 0)
    assert host.awaits_release
    host.go_live("b", 0, [])
    assert told(host) == (-1, 0)
    assert b.seen == ["candle 0"]
    assert not host.awaits_release


def test_a_mark_before_the_slice_announced_is_not_left_alone() -> None:
    both = Recorder("both")
    host: HostRunner[Recorder] = HostRunner("h", 1)
    single = Recorder("single")
    host.add(single, [STREAM])
    host.add(both, [STREAM, OTHER])
    host.offer(a_batch(0, 3, OTHER))
    host.offer(a_batch(0, 2))
    host.mark(1)
    assert told(host) == (1, -1)
    single.expects_event = both.expects_event = True
    host.release(Release(1, [SliceEvent(1, canceled("it", name)) for name in ("single", "both")]))
    assert told(host) == (1, 2)
    assert host.awaits_release
    host.release(Release(2, []))
    host.offer(a_batch(3, 5))
    assert host.offer(a_batch(2, 5)) is None
    assert told(host) == (1, 3)
    assert not host.awaits_release, "the order manager waits for slice 2, the mark brings it"
    host.mark(4)
    assert told(host) == (2, 3)
    assert host.awaits_release


def test_the_end_of_a_wait_is_no_news() -> None:
    a = Recorder("a")
    host = a_host(a)
    host.offer(a_batch(0, 1))
    a.expects_event = True
    host.release(Release(0, []))
    assert told(host) == (0, 1)
    a.expects_event = False
    host.release(Release(0, [SliceEvent(0, canceled("it"))]))
    assert told(host) is None


def test_a_host_can_be_interrupted_between_instances() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 3))
    assert host.run(may_continue=lambda: False)
    assert (len(a.seen), len(b.seen)) == (3, 0)
    assert host.answer() is None, "b has not got anywhere"
    assert not host.run(may_continue=lambda: False)
    assert told(host) == (2, -1)


def test_a_long_queue_is_interrupted_in_the_middle() -> None:
    a = Recorder("a")
    host = a_host(a)
    host.offer(a_batch(0, 2000))
    assert host.run(may_continue=lambda: False)
    assert host.queued("a") == 1999
    assert told(host) == (1999, -1)


def test_latency_is_reported_where_nothing_newer_is_waiting() -> None:
    a = Recorder("a")
    host = a_host(a)
    host.offer(a_batch(0, 2, published_ns=5))
    host.run()
    answer = host.answer()
    assert answer is not None
    assert answer.published_ns == 5
    a.expects_event = True
    host.offer(a_batch(2, 3, published_ns=6))
    host.run()
    answer = host.answer()
    assert answer is not None
    assert (answer.waiting, answer.published_ns) == (2, 0)


# ---------------------------------------------------------------- quiet instances


class Free(Recorder):
    """An instance with nothing at work: until it decides something, no candle has to wait."""

    def __init__(self, name: str = "a", *, decides_at: int = -1) -> None:
        super().__init__(name)
        self.decides_at = decides_at

    def on_candle(self, candle: Candle) -> Decision | None:
        super().on_candle(candle)
        if candle.seq != self.decides_at:
            return None
        self.expects_event = True
        return Decision(self.id, candle.stream, candle.seq, candle.close_time, ())

    def on_event(self, event: OrderEvent) -> None:
        super().on_event(event)
        self.expects_event = False

    def must_hear(self, candle: Candle, *, late: bool) -> bool:
        return self.expects_event


def quiet(*instances: Recorder) -> HostRunner[Recorder]:
    """Return a host whose instances have processed candle 0 and wait for nothing."""
    host = a_host(*instances)
    host.offer(a_batch(0, 1))
    assert told(host) == (0, -1)
    return host


def test_a_quiet_instance_that_decides_waits_from_the_next_slice_on() -> None:
    a, b = Free("a", decides_at=2), Free("b")
    host = quiet(a, b)
    host.offer(a_batch(1, 5))
    host.run()
    answer = host.answer()
    assert answer is not None
    assert (answer.through, answer.waiting) == (2, 3)
    assert [entry.slice for entry in answer.decisions] == [2]
    assert (a.seen[-1], b.seen[-1]) == ("candle 2", "candle 4")
    host.release(Release(2, [SliceEvent(2, canceled("it", "a"))]))
    assert told(host) == (4, -1)
    assert a.seen == ["candle 0", "candle 1", "candle 2", "it", "candle 3", "candle 4"]


def test_the_other_candle_of_the_slice_does_not_wait_for_the_decision() -> None:
    a = Free("a", decides_at=1)
    host = quiet(a)
    batch = a_batch(1, 4)
    same_slice = CandleBatch(STREAM, 0, [1, 1, 2], batch.times, batch.candles)
    host.offer(same_slice)
    assert told(host) == (1, 2)
    assert a.seen[-1] == "candle 2"


def test_a_decision_with_the_newest_candle_is_announced() -> None:
    a = Free("a", decides_at=3)
    host = quiet(a)
    host.offer(a_batch(1, 4))
    assert told(host) == (3, 4)
    assert host.awaits_release
    host.offer(a_batch(4, 5))
    assert told(host) is None
    assert host.awaits_release
    host.release(Release(4, [SliceEvent(3, canceled("it"))]))
    assert told(host) == (4, -1)


def test_an_interrupted_host_has_lost_no_candle_of_quiet_instances() -> None:
    a, b, c = Free("a"), Free("b"), Free("c")
    host = quiet(a, b)
    host.add(c, [OTHER])
    host.offer(a_batch(0, 2, OTHER))
    host.mark(1)
    host.run()
    host.offer(a_batch(1, 3))
    host.offer(a_batch(2, 3, OTHER))
    host.mark(2)
    assert host.run(may_continue=lambda: False)
    assert sorted(len(instance.seen) for instance in (a, b, c)) == [1, 1, 3], "only one has run"
    assert host.run(may_continue=lambda: False)
    assert not host.run(may_continue=lambda: False), "the last one is done"
    assert told(host) == (2, -1)
    assert [len(instance.seen) for instance in (a, b, c)] == [3, 3, 3]


def test_an_event_reaches_a_quiet_instance_before_the_candles_it_was_offered() -> None:
    a = Free("a")
    host = quiet(a)
    host.offer(a_batch(1, 3))
    host.release(Release(0, [SliceEvent(0, canceled("withdrawn"))]))
    assert told(host) == (2, -1)
    assert a.seen == ["candle 0", "withdrawn", "candle 1", "candle 2"]


def test_a_quiet_instance_that_raises_harms_no_other() -> None:
    a, b, c = Free("a"), Free("b"), Free("c")
    b.fails_at[2] = MemoryError()
    host = quiet(a, b, c)
    host.offer(a_batch(1, 4))
    assert told(host) == (3, -1)
    assert list(host.failed) == ["b"]
    assert (a.seen, b.seen) == (c.seen, ["candle 0", "candle 1"])


def test_a_quiet_instance_takes_what_it_was_offered_along() -> None:
    a = Free("a")
    host = quiet(a)
    host.offer(a_batch(1, 3))
    host.offer(a_batch(3, 5))
    assert host.standing("a") == Standing(0, {STREAM: 1})
    assert host.queued("a") == 4
    assert told(host) == (4, -1)
    assert host.standing("a") == Standing(4, {STREAM: 5})


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("error", [SystemExit("bye"), MemoryError(), ValueError("odd")])
def test_an_instance_that_raises_is_dropped_and_counts_as_answered(error: BaseException) -> None:
    a, b, c = Recorder("a", decides=True), Recorder("b", decides=True), Recorder("c")
    b.fails_at[1] = error
    host = a_host(a, b, c)
    host.offer(a_batch(0, 3))
    host.run()
    assert list(host.failed) == ["b"]
    assert type(error).__name__ in host.failed["b"]
    assert host.instances == ("a", "c")
    answer = host.answer()
    assert answer is not None
    assert answer.through == 2
    made = [(entry.slice, entry.decision.instance) for entry in answer.decisions]
    assert made == [(0, "a"), (0, "b"), (1, "a"), (2, "a")]
    host.offer(a_batch(3, 4))
    assert told(host) == (3, -1)
    assert b.seen == ["candle 0"]
    assert host.remove("b") is b


def test_a_failed_instance_no_longer_holds_the_host_back() -> None:
    a, b = Recorder("a"), Recorder("b")
    b.expects_event = True
    b.event_failure = RuntimeError("cannot")
    host = a_host(a, b)
    host.offer(a_batch(0, 3))
    assert told(host) == (-1, 0)
    host.release(Release(-1, [SliceEvent(-1, canceled("it", "b"))]))
    assert host.failed == {"b": "RuntimeError: cannot"}
    assert told(host) == (2, -1)


def test_an_event_that_comes_too_late_ends_its_instance_only() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 3))
    told(host)
    late = [SliceEvent(1, canceled("late", "a")), SliceEvent(2, canceled("fine", "b"))]
    host.release(Release(2, late))
    assert "an event of deciding slice 1 came after slice 2" in host.failed["a"]
    assert b.seen[-1] == "fine"


def test_the_last_instance_of_a_stream_takes_the_stream_with_it() -> None:
    a, c = Recorder("a"), Recorder("c")
    c.fails_at[0] = ValueError()
    host = a_host(a)
    host.add(c, [OTHER])
    host.offer(a_batch(0, 1, OTHER))
    host.run()
    assert host.streams == (STREAM,)


def test_an_interrupt_from_the_keyboard_passes() -> None:
    a = Recorder("a")
    a.fails_at[0] = KeyboardInterrupt()
    host = a_host(a)
    host.offer(a_batch(0, 1))
    with pytest.raises(KeyboardInterrupt):
        host.run()
    assert host.current is None
    assert not host.failed


# ---------------------------------------------------------------- who blocks


def test_who_runs_and_since_when_can_be_seen_from_outside() -> None:
    seen: list[tuple[str, int] | None] = []

    class Watched(Recorder):
        def on_candle(self, candle: Candle) -> Decision | None:
            seen.append(host.current)
            return None

        def on_event(self, event: OrderEvent) -> None:
            seen.append(host.current)

    host = a_host(Watched("a"), Watched("b"))
    host.offer(a_batch(0, 2))
    host.run()
    host.release(Release(1, [SliceEvent(1, canceled("it", "b"))]))
    assert [None if entry is None else entry[0] for entry in seen] == ["a", "a", "b", "b", "b"]
    starts = [entry[1] for entry in seen if entry is not None]
    assert starts == sorted(starts)
    assert starts[0] == starts[1]
    assert host.current is None


def test_time_is_booked_to_the_instance_that_used_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0

    class Slow(Recorder):
        def on_candle(self, candle: Candle) -> Decision | None:
            nonlocal now
            now += 7 if self.id == "a" else 1
            return None

    monkeypatch.setattr("engine.sequencing.host.monotonic_ns", lambda: now)
    host = a_host(Slow("a"), Slow("b"))
    host.offer(a_batch(0, 3))
    host.run()
    assert (host.cpu_ns("a"), host.cpu_ns("b")) == (21, 3)


# ---------------------------------------------------------------- coming and going


def test_an_instance_goes_on_elsewhere_where_it_stood() -> None:
    a, b = Recorder("a"), Recorder("b")
    a.expects_event = True
    first, second = a_host(a, b), a_host(Recorder("c"))
    first.offer(a_batch(0, 2))
    first.release(Release(1, []))
    first.run()
    first.offer(a_batch(2, 4))
    first.run()
    standing = first.standing("a")
    assert standing == Standing(1, {STREAM: 2})
    moved = first.remove("a")
    assert moved is a
    assert told(first) == (3, -1)
    second.offer(a_batch(0, 3))
    assert told(second) == (2, -1)
    second.add(moved, [STREAM], standing=standing)
    a.expects_event = False
    assert second.offer(a_batch(3, 4)) == (2, 3), "the newcomer lacks candle 2"
    assert second.offer(a_batch(2, 3)) is None
    assert second.offer(a_batch(3, 4)) is None
    assert told(second) == (3, -1)
    assert a.seen == [f"candle {n}" for n in range(4)]


def test_a_newcomer_that_is_ahead_does_not_see_a_candle_twice() -> None:
    ahead, behind = Recorder("ahead"), Recorder("behind")
    host = a_host(behind)
    host.add(ahead, [STREAM], standing=Standing(2, {STREAM: 3}))
    host.offer(a_batch(0, 2))
    host.offer(a_batch(2, 5))
    assert told(host) == (4, -1)
    assert ahead.seen == ["candle 3", "candle 4"]
    assert behind.seen == [f"candle {n}" for n in range(5)]


def test_what_only_the_one_that_left_had_missed_is_not_asked_for() -> None:
    host = a_host(Recorder("ahead"))
    host.offer(a_batch(0, 3))
    host.add(Recorder("behind"), [STREAM])
    assert host.offer(a_batch(3, 4)) == (0, 3)
    host.remove("behind")
    assert host.offer(a_batch(3, 4)) is None
    assert told(host) == (3, -1)


def test_after_joining_again_everything_is_said_anew() -> None:
    a = Recorder("a")
    a.expects_event = True
    host = a_host(a)
    host.offer(a_batch(0, 2))
    assert told(host) == (-1, 0)
    assert told(host) is None
    host.renew()
    assert told(host) == (-1, 0)


def test_an_instance_that_is_not_live_lives_through_history_first() -> None:
    old, new = Recorder("old"), Recorder("new")
    host = a_host(old)
    host.offer(a_batch(0, 3))
    assert told(host) == (2, -1)
    host.add(new, [STREAM], is_live=False)
    assert host.offer(a_batch(3, 5)) == (0, 3)
    host.offer(a_batch(0, 3))
    host.offer(a_batch(3, 5))
    assert told(host) == (4, -1)
    assert host.queued("new") == 5
    events = [SliceEvent(0, canceled("decide 0")), SliceEvent(1, canceled("match 1"), matched=True)]
    host.relive("new", 1, events)
    host.go_live("new", 4, events)
    assert told(host) == (4, -1)
    assert new.seen == [
        *("warm 0", "decide 0", "match 1", "warm 1", "warm 2", "warm 3"),
        "candle 4",
    ]
    assert old.seen == [f"candle {n}" for n in range(5)]


def test_an_instance_that_fails_in_its_history_is_dropped() -> None:
    class Broken(Recorder):
        def warm(self, candle: Candle) -> None:
            raise ValueError(f"no {candle.seq}")

    host = a_host()
    host.add(Broken("a"), [STREAM], is_live=False)
    host.offer(a_batch(0, 2))
    host.go_live("a", 1, [])
    assert host.failed == {"a": "ValueError: no 0"}
    assert told(host) == (1, -1)


def test_decisions_hold_what_the_sequencing_promises() -> None:
    host = a_host(Recorder("a", decides=True))
    host.offer(a_batch(0, 1))
    host.run()
    answer = host.answer()
    assert answer == Answer(
        "h", 1, 0, -1, 0, [SliceDecision(0, Decision("a", STREAM, 0, MINUTE, ()))]
    )
