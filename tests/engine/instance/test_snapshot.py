"""Crash and come back: a restored instance goes on as if nothing had happened."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ChorusError, ConfigError, LifecycleError
from engine.instance import Instance, Pause, Restart, Resume, Status, Stop, Update, decode
from engine.instance.testing import Desk, random_candles
from engine.types import OrderRejected, OrderType, Side, Tick
from strategies import Candle, Fill, IndicatorSpec, Strategy, StrategyMetadata, spec
from tests.examples import examples

Make = Callable[..., Instance]
BTC = random_candles(140, seed=1)
ETH = random_candles(140, seed=2, stream="paper:ETH/USDT:1m", price=10.0)


class Busy(Strategy):
    """Uses everything: indicators, both streams, orders of all kinds, luck, own variables."""

    metadata = StrategyMetadata(type="BUSY", version="1.0")
    state_fields = ("asked", "filled")
    warmup_candles = 2

    @classmethod
    def get_parameters_schema(cls) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                "period": {"type": "integer", "default": 5},
                "appetite": {"type": "number", "default": 0.3, "x-updatable": True},
            },
        }

    @classmethod
    def indicator_specs(cls, config: object, parameters: Any) -> dict[str, IndicatorSpec]:
        return {"mean": spec("ema", {"period": parameters["period"]}), "rsi": spec("rsi")}

    def on_init(self, services: object) -> None:
        self.asked = 0
        self.filled: list[str] = []
        self.trend = 0.0

    def on_history(self, candle: Candle) -> None:
        self.trend = 0.9 * self.trend + 0.1 * candle.close

    def on_candle(self, candle: Candle) -> None:
        self.on_history(candle)
        services = self.services
        symbol = candle.stream.split(":")[1]
        luck = services.random.random()
        indicators = services.market_data.indicators
        recent = float(services.market_data.candles(candle.stream).close.sum())
        order = services.order
        if luck < self.parameters["appetite"]:
            self.asked += 1
            reason = f"{self.trend} {recent} {indicators.slots}"
            if luck < 0.05:
                order.sell(symbol, reason=reason)
            elif luck < 0.10:
                order.buy(symbol, quantity=2, stop_loss=0.01, reason=reason)
            elif luck < 0.15:
                order.place(Side.BUY, OrderType.LIMIT, 1, candle.close * 0.997, symbol)
            elif luck < 0.20:
                order.place(Side.SELL, OrderType.STOP, 1, candle.close * 0.996, symbol)
            else:
                order.close(symbol, reason=reason)
        elif luck > 0.97:
            order.hold(symbol)
            raise ValueError(f"bad luck {self.asked}")
        elif luck > 0.90 and order.working:
            order.cancel(next(iter(order.working)))

    def on_tick(self, tick: Tick) -> None:
        if self.services.random.random() < 0.3:
            self.services.order.buy()

    def on_order_filled(self, fill: Fill) -> None:
        self.filled = [*self.filled[-5:], fill.fill_id]
        if len(self.filled) % 4 == 3:
            self.services.order.close(fill.symbol, reason="after the fill")


def a_busy_one(make: Make, **overrides: Any) -> Instance:
    return make(
        Busy,
        symbols=["BTC/USDT", "ETH/USDT"],
        risk={"timeLimitCandles": 9, "cooldownCandles": 2, "maxDrawdown": 0.4},
        bufferCandles=30,
        **overrides,
    )


COMMANDS: dict[str, list[object]] = {
    "pause": [Pause()],
    "resume": [Resume()],
    "update": [Update({"appetite": 0.5})],
    "restart": [Restart()],
    "stop": [Stop()],
}


def obey(instance: Instance, name: str) -> None:
    if name == "fail":
        instance.fail("timeout of 5 s")
        return
    try:
        instance.on_command(COMMANDS[name][0])  # type: ignore[arg-type]
    except LifecycleError:
        return


def story(commands: dict[int, str]) -> list[tuple[str, Any]]:
    """Candles of both streams with commands and ticks in between."""
    steps: list[tuple[str, Any]] = []
    for n, (btc, eth) in enumerate(zip(BTC, ETH, strict=True)):
        if n in commands:
            steps.append(("command", commands[n]))
        steps += [("candle", btc), ("candle", eth)]
        if n % 11 == 5:
            steps.append(("tick", Tick("paper", "BTC/USDT", btc.close_time + 1, btc.close, 1.0)))
    return steps


class Twin:
    """An instance, its desk, and from some moment on a second instance fed the same."""

    def __init__(self, instance: Instance) -> None:
        self.desk = Desk(instance)
        self.instances = [instance]
        self.log: list[Candle] = []

    def step(self, kind: str, what: Any) -> None:
        start = len(self.desk.events)
        if kind == "command":
            for instance in self.instances:
                obey(instance, what)
            return
        if kind == "candle":
            self.desk.match(what)
            self._forward(start)
            answers = [instance.on_candle(what) for instance in self.instances]
            self.log.append(what)
        else:
            answers = [instance.on_tick(what) for instance in self.instances]
        assert all(answer == answers[0] for answer in answers)
        start = len(self.desk.events)
        if answers[0] is not None:
            self.desk.decide(answers[0])
        self._forward(start)

    def _forward(self, start: int) -> None:
        for event in self.desk.events[start:]:
            for instance in self.instances[1:]:
                instance.on_event(event)


commands = st.dictionaries(
    st.integers(10, 139),
    st.sampled_from(["pause", "resume", "resume", "update", "fail", "restart", "restart"]),
    max_size=8,
)


@examples(60)
@given(seed=st.integers(0, 1000), cut=st.integers(0, 292), commands=commands)
def test_restored_at_any_point_it_goes_on_identically(
    make: Make, seed: int, cut: int, commands: dict[int, str]
) -> None:
    twin = Twin(a_busy_one(make, seed=seed))
    steps = story(commands)
    for kind, what in steps[:cut]:
        twin.step(kind, what)
    stored = twin.instances[0].snapshot()
    second = a_busy_one(make, seed=seed)
    second.restore(stored, twin.log)
    assert second.snapshot() == stored
    twin.instances.append(second)
    for kind, what in steps[cut:]:
        twin.step(kind, what)
    first, second = twin.instances
    assert first.snapshot() == second.snapshot()
    assert first.metrics() == second.metrics()
    assert first.equity_curve() == second.equity_curve()


def test_the_story_of_that_test_has_everything_in_it(make: Make) -> None:
    twin = Twin(a_busy_one(make, seed=3))
    for kind, what in story({30: "pause", 40: "resume", 60: "update", 80: "fail", 90: "restart"}):
        twin.step(kind, what)
    metrics = twin.instances[0].metrics()
    assert metrics.total_trades > 5
    assert metrics.errors > 0
    assert metrics.rejected
    assert metrics.parameters_version == 2
    names = {type(event).__name__ for event in twin.desk.events}
    assert names == {"OrderAccepted", "OrderRejected", "OrderCanceled", "Fill"}


def run_to(make: Make, count: int, **overrides: Any) -> tuple[bytes, list[Candle]]:
    instance = make(Busy, **overrides)
    Desk(instance).play(BTC[:count])
    return instance.snapshot(), BTC[:count]


def test_it_says_which_candles_it_needs(make: Make) -> None:
    instance = make(Busy)
    Desk(instance).play(BTC[7:50])
    assert decode(instance.snapshot()).needs() == {"paper:BTC/USDT:1m": (7, 50)}
    assert decode(make(Busy).snapshot()).needs() == {}


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (BTC[:49], r"holds candles \[0, 49\), the snapshot needs \[0, 50\)"),
        (BTC[1:50], r"holds candles \[1, 50\), the snapshot needs \[0, 50\)"),
        (BTC[:51], r"goes beyond the snapshot: candle 50, it ends before 50"),
        ([*BTC[:20], *BTC[21:50]], r"candle 21 arrived, 20 is missing"),
        ([], r"holds candles \[-1, -1\), the snapshot needs \[0, 50\)"),
    ],
)
def test_history_has_to_be_exactly_what_the_snapshot_needs(
    make: Make, history: list[Candle], message: str
) -> None:
    stored, _ = run_to(make, 50)
    with pytest.raises(ChorusError, match=message):
        make(Busy).restore(stored, history)


def test_a_stream_without_indicators_needs_only_its_full_buffer(make: Make) -> None:
    twin = Twin(a_busy_one(make))
    for kind, what in story({})[:200]:
        twin.step(kind, what)
    stored = twin.instances[0].snapshot()
    log = twin.log
    eth = [candle for candle in log if "ETH" in candle.stream]
    short = [c for c in log if "BTC" in c.stream or c.seq >= eth[-30].seq]
    a_busy_one(make).restore(stored, short)
    too_short = [c for c in log if "BTC" in c.stream or c.seq >= eth[-29].seq]
    with pytest.raises(ChorusError, match="history of 'paper:ETH/USDT:1m'"):
        a_busy_one(make).restore(stored, too_short)


class BusyNext(Busy):
    metadata = StrategyMetadata(type="BUSY", version="2.0")


@pytest.mark.parametrize(
    ("cls", "overrides", "message"),
    [
        (BusyNext, {}, r"snapshot's version of the type is '1\.0', this instance's is '2\.0'"),
        (Busy, {"code_hash": "b"}, r"snapshot's code hash is 'a', this instance's is 'b'"),
        (Busy, {"id": "two"}, r"snapshot's strategy is 'one', this instance's is 'two'"),
        (Busy, {"timeframe": "5m"}, r"snapshot's set of streams is"),
    ],
)
def test_a_snapshot_of_something_else_is_refused(
    make: Make, cls: type[Strategy], overrides: dict[str, Any], message: str
) -> None:
    stored, history = run_to(make, 20, code_hash="a")
    with pytest.raises(ChorusError, match=message):
        make(cls, **{"code_hash": "a", **overrides}).restore(stored, history)


def test_a_snapshot_with_other_fixed_parameters_is_refused_and_updated_ones_come_back(
    make: Make,
) -> None:
    instance = make(Busy)
    desk = Desk(instance)
    desk.play(BTC[:20])
    instance.on_command(Update({"appetite": 0.9}))
    desk.play(BTC[20:30])
    stored = instance.snapshot()
    with pytest.raises(ConfigError, match="period cannot change"):
        make(Busy, parameters={"period": 6}).restore(stored, BTC[:30])
    second = make(Busy)
    second.restore(stored, BTC[:30])
    assert second.parameters["appetite"] == 0.9
    assert second.metrics().parameters_version == 2


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"not msgpack", b"\x80"])
def test_a_damaged_snapshot_is_refused(make: Make, damage: bytes) -> None:
    with pytest.raises(ChorusError, match="is damaged"):
        make(Busy).restore(damage, [])


def test_every_truncation_of_a_snapshot_is_refused(make: Make) -> None:
    stored, history = run_to(make, 30)
    for length in range(0, len(stored), max(1, len(stored) // 40)):
        with pytest.raises(ChorusError, match="is damaged"):
            make(Busy).restore(stored[:length], history)


def test_a_snapshot_of_another_schema_version_is_refused(make: Make) -> None:
    stored, history = run_to(make, 20)
    content = msgspec.msgpack.decode(stored)
    content["schema"] = 99
    with pytest.raises(ChorusError, match="schema version 99, this program reads 2"):
        make(Busy).restore(msgspec.msgpack.encode(content), history)


def test_only_an_instance_that_has_seen_nothing_can_be_restored(make: Make) -> None:
    stored, history = run_to(make, 20)
    instance = make(Busy)
    instance.on_candle(BTC[0])
    with pytest.raises(LifecycleError, match="cannot be restored while warming"):
        instance.restore(stored, history)


@pytest.mark.parametrize(
    ("state", "where"),
    [
        ({"a": {1, 2}}, r"state\.a is a set"),
        ({"a": [1, (2,)]}, r"state\.a\[1\] is a tuple"),
        ({"a": {1: 2}}, r"state\.a is a dict"),
        ({"a": 1 << 70}, r"can't|out of range|too (large|big)|Integer|integer"),
    ],
)
def test_state_that_would_not_come_back_as_it_was_is_refused(
    make: Make, state: dict[str, Any], where: str
) -> None:
    class Odd(Strategy):
        metadata = StrategyMetadata(type="ODD")

        def on_candle(self, candle: Candle) -> None:
            pass

        def get_state(self) -> dict[str, Any]:
            return state

    instance = make(Odd)
    instance.on_candle(BTC[0])
    with pytest.raises(ChorusError, match=where):
        instance.snapshot()


def test_state_the_strategy_cannot_read_is_an_error_of_the_strategy(make: Make) -> None:
    class Fickle(Strategy):
        metadata = StrategyMetadata(type="FICKLE")

        def on_candle(self, candle: Candle) -> None:
            pass

        def set_state(self, state: dict[str, Any]) -> None:
            raise KeyError("gone")

    instance = make(Fickle)
    instance.on_candle(BTC[0])
    second = make(Fickle)
    with pytest.raises(ChorusError, match="instance 'one': set_state raised KeyError"):
        second.restore(instance.snapshot(), BTC[:1])


def test_a_stopped_and_a_failed_instance_come_back_as_such(make: Make) -> None:
    for end, status in ((Stop(), Status.STOPPED), (None, Status.ERROR)):
        instance = make(Busy)
        Desk(instance).play(BTC[:20])
        if end is None:
            instance.fail("timeout")
        else:
            instance.on_command(end)
        second = make(Busy)
        second.restore(instance.snapshot(), BTC[:20])
        assert (second.status, second.cause) == (status, instance.cause)


def test_what_waits_for_an_answer_or_for_the_next_candle_survives(make: Make) -> None:
    """A crash between a decision and its answer, and between a fill and the next candle."""
    twin = Twin(make(Busy, parameters={"appetite": 1.0}))
    first = twin.instances[0]
    unanswered = between = 0
    for n, candle in enumerate(BTC):
        twin.desk.match(candle)
        restored = make(Busy, parameters={"appetite": 1.0})
        restored.restore(first.snapshot(), BTC[:n])
        between += bool(decode(first.snapshot()).intents)
        decision = first.on_candle(candle)
        assert restored.on_candle(candle) == decision
        if decision is not None:
            restored = make(Busy, parameters={"appetite": 1.0})
            restored.restore(first.snapshot(), BTC[: n + 1])
            following = BTC[min(n + 1, len(BTC) - 1)]
            waits = first.must_hear(following, late=False)
            assert restored.must_hear(following, late=False) is waits
            unanswered += waits
            twin.desk.decide(decision)
    assert unanswered > 10
    assert between > 0


def test_getting_out_after_a_breached_limit_survives(make: Make) -> None:
    def breaching() -> Instance:
        return make(Busy, risk={"maxDrawdown": 0.0001}, parameters={"appetite": 1.0})

    instance = breaching()
    desk = Desk(instance)
    for candle in BTC:
        desk.match(candle)
        decision = instance.on_candle(candle)
        if instance.status is Status.ERROR and decision is not None:
            break
        if decision is not None:
            desk.decide(decision)
    restored = breaching()
    restored.restore(instance.snapshot(), BTC[: candle.seq + 1])
    refusals = [
        OrderRejected("one", decision.intent_id(i), "BTC/USDT", "no", "", 0)
        for i in range(len(decision.intents))
    ]
    for twin in (instance, restored):
        for refusal in refusals:
            twin.on_event(refusal)
    again = restored.on_candle(BTC[candle.seq + 1])
    assert again is not None
    assert again == instance.on_candle(BTC[candle.seq + 1])


def test_the_count_of_repeated_candles_survives(make: Make) -> None:
    instance = make(Busy)
    for candle in (BTC[0], BTC[1], BTC[0]):
        instance.on_candle(candle)
    restored = make(Busy)
    restored.restore(instance.snapshot(), BTC[:2])
    assert restored.metrics().duplicates == 1
