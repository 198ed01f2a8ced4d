from __future__ import annotations

import pytest
import talib
from talib import abstract

from indicators import IndicatorError, catalog, lookup
from indicators.parameters import squeeze


def test_every_function_of_talib_is_there() -> None:
    assert {name.lower() for name in talib.get_functions()} <= set(catalog())
    for name in talib.get_functions():
        info = catalog()[name.lower()]
        assert info.origin == "talib"
        described = abstract.Function(name).info
        assert info.group == described["group"]
        assert len(info.outputs) == len(described["output_names"])
        assert [p.name for p in info.parameters] == list(described["parameters"])


def test_names_and_aliases_lead_to_one_indicator_each() -> None:
    for name, info in catalog().items():
        assert lookup(name) is info
        assert lookup(name.upper().replace("_", "")) is info
        for alias in info.aliases:
            assert squeeze(alias) not in {squeeze(other) for other in catalog()}
            assert lookup(alias) is info


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("macd", ("macd", "signal", "hist")),
        ("bbands", ("upper", "middle", "lower")),
        ("stoch", ("k", "d")),
        ("stochrsi", ("k", "d")),
        ("kdj", ("k", "d", "j")),
        ("aroon", ("down", "up")),
        ("supertrend", ("supertrend", "trend")),
        ("ha", ("open", "high", "low", "close")),
        ("minmaxindex", ("min", "max")),
        ("rsi", ("value",)),
        ("cdldoji", ("value",)),
    ],
)
def test_outputs_have_short_names(name: str, outputs: tuple[str, ...]) -> None:
    assert catalog()[name].outputs == outputs


@pytest.mark.parametrize(
    ("name", "output", "index"),
    [
        ("macd", "macdhist", 2),
        ("macd", "histogram", 2),
        ("bbands", "upperband", 0),
        ("stoch", "slowd", 1),
    ],
)
def test_outputs_are_found_by_the_names_of_talib_too(name: str, output: str, index: int) -> None:
    assert catalog()[name].output_index(output) == index


@pytest.mark.parametrize(
    ("name", "parameter", "low", "high"),
    [
        ("rsi", "timeperiod", 2, 100_000),
        ("mama", "fastlimit", 0.01, 0.99),
        ("t3", "vfactor", 0.0, 1.0),
        ("percentile", "percentile", 0.0, 100.0),
        ("bbands", "nbdevup", -3e37, 3e37),
        ("mavp", "minperiod", 1, 100_000),  # no more than maxperiod, whatever that is
    ],
)
def test_ranges_are_those_of_talib(name: str, parameter: str, low: float, high: float) -> None:
    found = next(p for p in catalog()[name].parameters if p.name == parameter)
    assert (found.minimum, found.maximum) == (low, high)


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(IndicatorError, match="did you mean 'supertrend'"):
        lookup("supertrnd")
    with pytest.raises(KeyError):
        catalog()["RSI"]
