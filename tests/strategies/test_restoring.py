"""Restored from columns or from candles, every built-in type goes on as if it had never ended."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.catalog import default_folders, discover
from engine.config import StrategyConfig
from engine.errors import LifecycleError, RuleError
from engine.instance import CandleHistory, Instance, Pause, Restart, Resume, Update, build
from engine.instance.testing import Desk
from engine.types import OrderEvent
from strategies import Candle, Strategy, StrategyMetadata
from strategies.ema_cross import EmaCross
from tests.examples import examples

BUILT_IN = discover(default_folders()).types
STREAM = "paper:BTC/USDT:1m"
INDICATORS = {
    "slow": {"type": "ema", "period": 9},
    "rsi": {"period": 6},
    "z": {"type": "zscore", "period": 4},
    "macd": {"fastPeriod": 3, "slowPeriod": 6, "signalPeriod": 3},
}
CONDITIONS = [
    "crosses_above(close, slow)",
    "crosses_below(macd.hist, 0) or rsi[3] < 30",
    "rising(close, 2) and not falling(slow, 4)[3]",
    "not rising(z, 2)",
    "close >= highest(close, 12)[5]",
    "lowest(close - close[7], 9)[2] < highest(rsi - rsi[1], 5) - 20",
    "close > close[45]",
    "volume > volume[30] and not (z > z[20])",
    "falling(highest(close, 10), 3)[11] or close < lowest(low, 6)[1] + 1",
    "(rising(rsi, 2))[25]",
]
PARAMETERS: dict[str, dict[str, Any]] = {
    "EMA_CROSS": {"fast_period": 3, "slow_period": 8, "allow_short": True},
    "MEAN_REVERSION": {"period": 6, "entry_z": 0.5, "rsi_period": 4, "oversold": 60},
    "MOMENTUM_BREAKOUT": {
        "channel_period": 6,
        "exit_period": 3,
        "confirm_by": "none",
        "allow_short": True,
    },
}


def market(seed: int, count: int) -> list[Candle]:
    """Coarse prices: many ties, flat stretches and undefined scores."""
    rng = random.Random(seed)
    close, candles = 40.0, []
    for seq in range(count):
        before, close = close, max(5.0, close + rng.choice((-2, -1, -1, 0, 0, 0, 1, 1, 2)))
        high, low = max(before, close) + rng.choice((0, 1)), min(before, close)
        prices = (before, high, low, close, float(rng.randrange(4)))
        candles.append(Candle(STREAM, seq + 3, seq * 60_000, (seq + 1) * 60_000, *prices))
    return candles


def new(kind: str, rules: tuple[str, str] = ("", "")) -> Instance:
    fields: dict[str, Any] = {"parameters": PARAMETERS.get(kind, {})}
    if kind == "RULES":
        entry, leave = ({"condition": rule} for rule in rules)
        fields = {"indicators": INDICATORS, "rules": {"entry": entry, "exit": leave}}
    config = StrategyConfig.model_validate(
        {
            "id": "one",
            "type": kind,
            "symbol": "BTC/USDT",
            "timeframe": "1m",
            "bufferCandles": 20,
            **fields,
        }
    )
    return build(config, BUILT_IN[kind], capital=Decimal(10_000))


def obey(instance: Instance, what: str) -> None:
    if what == "fail":
        instance.fail("timeout of 5 s")
        return
    try:
        instance.on_command({"pause": Pause(), "resume": Resume(), "restart": Restart()}[what])
    except LifecycleError:
        return


@examples(60)
@given(
    kind=st.sampled_from(sorted(BUILT_IN)),
    rules=st.tuples(st.sampled_from(CONDITIONS), st.sampled_from(CONDITIONS)),
    seed=st.integers(0, 10_000),
    cut=st.integers(0, 200),
    commands=st.dictionaries(
        st.integers(5, 199), st.sampled_from(["pause", "resume", "fail", "restart"]), max_size=5
    ),
)
def test_every_way_back_gives_the_instance_that_never_ended(
    kind: str, rules: tuple[str, str], seed: int, cut: int, commands: dict[int, str]
) -> None:
    candles = market(seed, 230)
    first = new(kind, rules)
    desk = Desk(first)
    for n, candle in enumerate(candles[:cut]):
        if n in commands:
            obey(first, commands[n])
        desk.play([candle])
    stored = first.snapshot()
    by_columns, one_by_one = new(kind, rules), new(kind, rules)
    by_columns.restore(stored, {STREAM: CandleHistory.of(candles)})
    one_by_one.restore(stored, candles[:cut])
    every = (first, by_columns, one_by_one)
    for n, candle in enumerate(candles[cut:], start=cut):
        require_equal(every)
        if n in commands:
            for one in every:
                obey(one, commands[n])
        tell(every[1:], desk.match(candle))
        decision, *others = [one.on_candle(candle) for one in every]
        assert others == [decision, decision]
        if decision is not None:
            tell(every[1:], desk.decide(decision))
    require_equal(every)


def tell(instances: Sequence[Instance], events: Sequence[OrderEvent]) -> None:
    for event in events:
        for one in instances:
            one.on_event(event)


def require_equal(instances: Sequence[Instance]) -> None:
    first = instances[0]._services.market_data
    for one in instances[1:]:
        assert one.snapshot() == instances[0].snapshot()
        data = one._services.market_data
        assert repr(data.indicators.slots) == repr(first.indicators.slots)
        assert data.last == first.last
        assert data.candles().rows().tolist() == first.candles().rows().tolist()


@pytest.mark.parametrize("kind", sorted(set(BUILT_IN) - {"RULES"}))
def test_the_market_of_that_test_makes_types_trade(kind: str) -> None:
    assert len(Desk(new(kind)).play(market(1, 230))) > 3


@pytest.mark.parametrize("rule", CONDITIONS)
def test_the_market_of_that_test_makes_rules_trade(rule: str) -> None:
    assert len(Desk(new("RULES", (rule, rule))).play(market(1, 230))) > 3


@pytest.mark.parametrize("rule", CONDITIONS)
def test_what_rules_remember_is_made_of_the_candles_they_see_again(rule: str) -> None:
    candles = market(2, 200)
    histories = {STREAM: CandleHistory.of(candles)}
    first, rules = new("RULES", (rule, rule)), []
    expected, restored = [], []
    for n, candle in enumerate(candles):
        if n % 6 == 5:
            again = new("RULES", (rule, rule))
            again.restore(first.snapshot(), histories)
            rules.append((again, again._strategy._rules.entry))  # type: ignore[attr-defined]
        for one in (first, *(one for one, _ in rules)):
            one.on_candle(candle)
        expected += [first._strategy._rules.entry()] * len(rules)  # type: ignore[attr-defined]
        restored += [entry() for _, entry in rules]
    assert restored == expected
    assert 50 < sum(expected) < len(expected) - 50


@pytest.mark.parametrize("kind", sorted(BUILT_IN))
def test_no_built_in_type_sees_its_whole_history_again(kind: str) -> None:
    instance = new(kind, (CONDITIONS[0], CONDITIONS[6]))
    Desk(instance).play(market(1, 260))
    again = new(kind, (CONDITIONS[0], CONDITIONS[6]))
    seen: list[int] = []
    on_history = type(again._strategy).on_history

    def watched(self: Strategy, candle: Candle) -> None:
        seen.append(candle.seq)
        on_history(self, candle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(again._strategy), "on_history", watched)
        again.restore(instance.snapshot(), {STREAM: CandleHistory.of(market(1, 260))})
    assert len(seen) < 60
    assert seen == list(range(263 - len(seen), 263))
    assert bool(seen) is (kind == "RULES")


def test_a_type_says_itself_what_it_has_to_see_again() -> None:
    class Forgetful(Strategy):
        metadata = StrategyMetadata(type="FORGETFUL")

        def on_candle(self, candle: Candle) -> None: ...

    class Learning(Forgetful):
        def on_history(self, candle: Candle) -> None: ...

    class Heir(Learning): ...

    class Declared(Learning):
        history_candles = 5

    class OfDeclared(Declared): ...

    class OfBuiltIn(EmaCross): ...

    assert Strategy.history_candles is None
    assert Forgetful.history_candles == EmaCross.history_candles == 0
    assert Declared.history_candles == 5
    for cls in (Learning, Heir, OfDeclared, OfBuiltIn):
        assert cls.history_candles is None


def test_equal_rules_are_compiled_once_and_still_name_their_own_strategy() -> None:
    rules = {"entry": {"condition": "close > highest(close, n)[1]"}}
    instances = []
    for name in ("one", "two"):
        config = StrategyConfig.model_validate(
            {
                "id": name,
                "type": "RULES",
                "symbol": "BTC/USDT",
                "timeframe": "1m",
                "rules": rules,
                "parameters": {"n": 3},
            }
        )
        instances.append(build(config, BUILT_IN["RULES"], capital=Decimal(1)))
        instances[-1].start()
    programs = [one._strategy._rules._program for one in instances]  # type: ignore[attr-defined]
    assert programs[0].conditions is programs[1].conditions
    for one in instances:
        with pytest.raises(RuleError, match=rf"strategy '{one.id}': parameters\.n: cannot change"):
            one.on_command(Update({"n": 4}))


@pytest.mark.parametrize("value", [True, 1.5])
def test_rules_with_parameters_of_another_kind_are_others(value: float) -> None:
    def built(parameter: float) -> Instance:
        config = StrategyConfig.model_validate(
            {
                "id": "one",
                "type": "RULES",
                "symbol": "BTC/USDT",
                "timeframe": "1m",
                "rules": {"entry": {"condition": "close > level"}},
                "parameters": {"level": parameter},
            }
        )
        return build(config, BUILT_IN["RULES"], capital=Decimal(1))

    built(1)
    if value is True:
        with pytest.raises(RuleError, match="'level' is a condition"):
            built(value)
    else:
        built(value)
