from __future__ import annotations

import pickle
from typing import Any

import pytest

from indicators import IndicatorError, catalog, spec


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("rsi", {"period": 9}, {"timeperiod": 9}),
        ("rsi", {"timePeriod": 9.0}, {"timeperiod": 9}),
        ("RSI", {"length": 9}, {"timeperiod": 9}),
        (
            "macd",
            {"fastPeriod": 5, "slow_period": 10, "signalPeriod": 3},
            {"fastperiod": 5, "slowperiod": 10, "signalperiod": 3},
        ),
        ("macd", {"fast": 5}, {"fastperiod": 5, "slowperiod": 26, "signalperiod": 9}),
        (
            "bb",
            {"period": 10, "stdDev": 1.5, "maType": "EMA"},
            {"timeperiod": 10, "nbdevup": 1.5, "nbdevdn": 1.5, "matype": "ema"},
        ),
        ("ma", {"matype": 1}, {"timeperiod": 30, "matype": "ema"}),
        ("STDDEV", {"stddev": 2}, {"timeperiod": 5, "nbdev": 2.0}),
        ("minusDI", {}, {"timeperiod": 14}),
        (
            "Keltner_Channel",
            {"multiplier": 3},
            {"timeperiod": 20, "atrperiod": 10, "multiplier": 3.0},
        ),
    ],
)
def test_names_people_use_are_understood(
    name: str, params: dict[str, Any], expected: dict[str, Any]
) -> None:
    made = spec(name, params)
    assert made.params == expected
    assert list(made.params) == list(expected)
    assert {k: type(v) for k, v in made.params.items()} == {k: type(v) for k, v in expected.items()}


@pytest.mark.parametrize(
    ("name", "params", "source", "message"),
    [
        ("maccd", {}, None, r"'maccd' is not known \(did you mean 'macd'\?\)"),
        ("rsi", {"perriod": 3}, None, r"unknown parameter 'perriod' .*it takes timeperiod"),
        ("obv", {"period": 3}, None, "unknown parameter 'period'; it takes none"),
        ("rsi", {"period": 3, "timeperiod": 3}, None, "timeperiod is given twice"),
        ("rsi", {"period": 1}, None, "timeperiod must be from 2 to 100000, is 1"),
        ("rsi", {"period": "14"}, None, "timeperiod must be a number, is '14'"),
        ("rsi", {"period": 14.5}, None, "timeperiod must be a whole number, is 14.5"),
        ("bb", {"matype": "emaa"}, None, r"matype must be one of sma, .* \(did you mean 'ema'\?\)"),
        ("mavp", {"minperiod": 9, "maxperiod": 3}, None, "refuses these parameters together"),
        ("rsi", {}, "close,open", "it reads price: source must name up to 1 or all 1"),
        ("atr", {}, "hl2", "it reads high, low, close: source must name all 3, is 'hl2'"),
        ("rsi", {}, "", "source must be names with commas between"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(
    name: str, params: dict[str, Any], source: str | None, message: str
) -> None:
    with pytest.raises(IndicatorError, match=message):
        spec(name, params, source)


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("rsi", None, "close"),
        ("rsi", "macd.hist", "macd.hist"),
        ("atr", None, "high,low,close"),
        ("atr", "close", "high,low,close"),
        ("atr", "ha.high, ha.low, ha.close", "ha.high,ha.low,ha.close"),
        ("obv", "hl2", "hl2,volume"),
        ("beta", None, "high,low"),
        ("beta", "close", "close,low"),
        ("beta", "close,open", "close,open"),
        ("mavp", "close", "close,volume"),
        ("pvo", "close", "volume"),
        ("session_vwap", None, "hlc3,volume,open_time"),
        ("keltner", "hl2", "hl2,high,low,close"),
    ],
)
def test_sources_are_made_canonical(name: str, source: str | None, expected: str) -> None:
    made = spec(name, source=source)
    assert made.source == expected
    assert spec(name, made.params, made.source) == made


def test_specs_are_values() -> None:
    one, same, other = spec("bb", {"period": 20}), spec("BBANDS"), spec("bb", {"period": 21})
    assert one == same != other
    assert len({one, same, other}) == 2
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own bytes
    assert one.outputs == ("upper", "middle", "lower")
    assert one.info is catalog()["bbands"]
