"""What every strategy type keeps, found by discovery: one suite for all of them."""

from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft7Validator

import strategies
from engine.catalog import LoadedType, default_folders, discover
from engine.config import StrategyConfig
from engine.errors import StrategyError
from engine.instance import Instance, Status, build
from engine.instance.testing import Desk, random_candles
from strategies import Candle, Strategy, StrategyMetadata

BUILT_IN = discover(default_folders()).types
CANDLES = random_candles(400, seed=11, volatility=0.004)

RULES = {
    "indicators": {"fast": {"type": "ema", "period": 5}, "slow": {"type": "ema", "period": 15}},
    "rules": {
        "entry": {"condition": "crosses_above(fast, slow)"},
        "exit": {"condition": "crosses_below(fast, slow)"},
    },
}


def config_of(loaded: LoadedType, **more: Any) -> StrategyConfig:
    return StrategyConfig.model_validate(
        {
            "id": "one",
            "type": loaded.metadata.type,
            "symbol": "BTC/USDT",
            "timeframe": "1m",
            **(RULES if loaded.metadata.type == "RULES" else {}),
            **more,
        }
    )


def new(loaded: LoadedType, **more: Any) -> Instance:
    return build(config_of(loaded, **more), loaded, capital=Decimal(1000))


@pytest.fixture(params=list(BUILT_IN))
def loaded(request: pytest.FixtureRequest) -> LoadedType:
    return BUILT_IN[request.param]


def test_it_describes_itself(loaded: LoadedType) -> None:
    metadata = loaded.metadata
    assert metadata.type == metadata.type.upper()
    assert metadata.name
    assert metadata.description.endswith(".")
    assert metadata.tags


def test_its_defaults_are_valid_by_its_own_schema(loaded: LoadedType) -> None:
    schema = loaded.cls.get_parameters_schema()
    Draft7Validator.check_schema(schema)
    defaults = {name: rule["default"] for name, rule in schema["properties"].items()}
    assert not list(Draft7Validator(schema).iter_errors(defaults))
    assert "additionalProperties" in schema


def test_it_trades_without_a_fault(loaded: LoadedType) -> None:
    instance = new(loaded)
    decisions = Desk(instance).play(CANDLES)
    assert instance.status is Status.RUNNING
    assert instance.errors == 0
    assert decisions
    assert instance.metrics().total_trades > 0


def test_the_same_candles_give_the_same_decisions(loaded: LoadedType) -> None:
    assert Desk(new(loaded)).play(CANDLES) == Desk(new(loaded)).play(CANDLES)


@pytest.mark.parametrize("cut", [5, 60, 200, 333])
def test_restored_it_goes_on_identically(loaded: LoadedType, cut: int) -> None:
    first = new(loaded)
    desk = Desk(first)
    desk.play(CANDLES[:cut])
    second = new(loaded)
    second.restore(first.snapshot(), CANDLES[:cut])
    for candle in CANDLES[cut:]:
        for event in desk.match(candle):
            second.on_event(event)
        decision = first.on_candle(candle)
        assert second.on_candle(candle) == decision
        if decision is not None:
            for event in desk.decide(decision):
                second.on_event(event)
    assert first.snapshot() == second.snapshot()


def test_everything_a_plugin_needs_comes_from_one_import() -> None:
    for name in strategies.__all__:
        assert hasattr(strategies, name)
    assert {"Strategy", "StrategyMetadata", "StrategyServices", "spec"} <= set(strategies.__all__)


class Counting(Strategy):
    metadata = StrategyMetadata(type="COUNTING")
    state_fields = ("count",)
    count = 0

    def on_candle(self, candle: Candle) -> None:
        self.count += 1


def test_listed_fields_are_the_state() -> None:
    first, second = Counting(), Counting()
    first.count = 7
    second.set_state(first.get_state())
    assert second.count == 7


@pytest.mark.parametrize("state", [{}, {"count": 1, "more": 2}, {"cuont": 1}])
def test_state_of_other_fields_is_refused(state: dict[str, int]) -> None:
    with pytest.raises(
        StrategyError, match=r"this version has \['count'\]; raise metadata.version"
    ):
        Counting().set_state(state)


def test_a_strategy_has_to_say_what_it_does_at_a_candle() -> None:
    class Silent(Strategy):
        metadata = StrategyMetadata(type="SILENT")

    with pytest.raises(TypeError, match=r"abstract class Silent .* on_candle"):
        Silent()
