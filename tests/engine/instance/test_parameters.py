"""Parameters: checked against the plugin's schema, and what may change while it is live."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.instance import Instance, Update
from engine.instance.testing import random_candles
from strategies import Candle, IndicatorSpec, Strategy, StrategyMetadata, spec

CANDLES = random_candles(20)
Make = Callable[..., Instance]
Heard = Callable[[Instance], list[str]]


class Tunable(Strategy):
    metadata = StrategyMetadata(type="TUNABLE")

    @classmethod
    def get_parameters_schema(cls) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                "period": {"type": "integer", "minimum": 2, "maximum": 50, "default": 5},
                "window": {"type": "integer", "minimum": 2, "default": 3, "x-updatable": True},
                "level": {"type": "number", "default": 1.5, "x-updatable": True},
                "side": {"enum": ["long", "short"], "default": "long"},
            },
        }

    @classmethod
    def indicator_specs(cls, config: object, parameters: Any) -> dict[str, IndicatorSpec]:
        return {"mean": spec("sma", {"period": parameters["window"]})}

    def on_init(self, services: object) -> None:
        self.heard: list[str] = []

    def on_candle(self, candle: Candle) -> None:
        self.heard.append(f"{candle.seq}: {self.parameters['level']}")

    def on_parameters(self, parameters: Any) -> None:
        self.heard.append(f"changed to {parameters['level']}")


def test_defaults_are_filled_in(make: Make) -> None:
    assert dict(make(Tunable, parameters={"level": 2}).parameters) == {
        "period": 5,
        "window": 3,
        "level": 2,
        "side": "long",
    }


def test_a_whole_float_is_an_integer(make: Make) -> None:
    period = make(Tunable, parameters={"period": 14.0}).parameters["period"]
    assert isinstance(period, int)
    assert period == 14


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"period": 51}, r"parameters\.period: 51 is greater than the maximum of 50"),
        ({"period": "5"}, r"parameters\.period: '5' is not of type 'integer'"),
        ({"side": "up"}, r"parameters\.side: 'up' is not one of \['long', 'short'\]"),
        ({"perid": 5}, r"parameters\.perid: unknown parameter \(did you mean 'period'\?\)"),
        ({"x" * 9: 5}, r"unknown parameter \(known: period, window, level, side\)"),
    ],
)
def test_a_wrong_parameter_is_named_with_the_rule_it_breaks(
    make: Make, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"strategy 'one' \(TUNABLE\): .*{message}"):
        make(Tunable, parameters=parameters)


def test_every_wrong_field_has_its_line(make: Make) -> None:
    with pytest.raises(ConfigError) as caught:
        make(Tunable, parameters={"period": 1, "level": "high", "side": 3})
    assert len(str(caught.value).splitlines()) == 3


def test_an_update_takes_effect_at_the_next_candle(make: Make, heard: Heard) -> None:
    instance = make(Tunable)
    for candle in CANDLES[:4]:
        instance.on_candle(candle)
    instance.on_command(Update({"level": 9}))
    assert instance.parameters["level"] == 1.5
    assert instance.metrics().parameters_version == 2
    instance.on_candle(CANDLES[4])
    assert heard(instance) == ["2: 1.5", "3: 1.5", "changed to 9", "4: 9"]


def test_two_updates_before_a_candle_are_one_change(make: Make, heard: Heard) -> None:
    instance = make(Tunable)
    for candle in CANDLES[:3]:
        instance.on_candle(candle)
    instance.on_command(Update({"level": 8}))
    instance.on_command(Update({"level": 9}))
    instance.on_candle(CANDLES[3])
    assert heard(instance)[1:] == ["changed to 9", "3: 9"]
    assert instance.metrics().parameters_version == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"period": 6}, r"period cannot change while it is live; updatable: window, level"),
        ({"level": "high"}, r"parameters\.level: 'high' is not of type 'number'"),
        ({"lvl": 1}, r"parameters\.lvl: unknown parameter \(did you mean 'level'\?\)"),
        ({"window": 7}, r"window would change an indicator, which needs a new warm-up"),
        ({"window": 10_000_000}, r"strategy 'one': indicators: "),
    ],
)
def test_an_update_that_is_not_possible_changes_nothing(
    make: Make, changes: dict[str, Any], message: str
) -> None:
    instance = make(Tunable)
    instance.on_candle(CANDLES[0])
    before = instance.snapshot()
    with pytest.raises(ConfigError, match=message):
        instance.on_command(Update(changes))
    assert instance.snapshot() == before


def test_repeating_a_fixed_parameters_value_is_no_change(make: Make) -> None:
    instance = make(Tunable)
    instance.on_candle(CANDLES[0])
    instance.on_command(Update({"period": 5, "level": 2}))
    instance.on_candle(CANDLES[1])
    assert instance.parameters["level"] == 2


def test_an_update_reaches_a_strategy_that_warms_up_or_is_paused(make: Make, heard: Heard) -> None:
    instance = make(Tunable)
    instance.on_candle(CANDLES[0])
    instance.on_command(Update({"level": 4}))
    for candle in CANDLES[1:3]:
        instance.on_candle(candle)
    assert heard(instance) == ["changed to 4", "2: 4"]


def test_a_change_the_strategy_cannot_take_is_a_fault_and_may_end_it(make: Make) -> None:
    class Stubborn(Tunable):
        metadata = StrategyMetadata(type="STUBBORN")

        def on_parameters(self, parameters: Any) -> None:
            raise ValueError("no")

        def on_candle(self, candle: Candle) -> None:
            super().on_candle(candle)
            if candle.seq in (2, 3):
                raise ValueError("no")

    instance = make(Stubborn)
    for candle in CANDLES[:4]:
        instance.on_candle(candle)
    instance.on_command(Update({"level": 4}))
    assert instance.on_candle(CANDLES[4]) is None
    assert instance.status == "error"
    assert instance.cause == "3 exceptions in a row, the last in on_parameters: ValueError: no"
