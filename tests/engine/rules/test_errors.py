"""What a user reads when a rule or a declaration is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config import RulesConfig
from engine.errors import ConfigError, RuleError
from engine.rules import compile_rules

INDICATORS: dict[str, dict[str, Any]] = {
    "macd": {"fastPeriod": 12, "slowPeriod": 26, "signalPeriod": 9},
    "rsi": {"period": 14},
    "fast": {"type": "ema", "period": 12},
}
PARAMETERS: dict[str, Any] = {"level": 3, "on": True}


def refusal(
    condition: str,
    indicators: dict[str, dict[str, Any]] | None = None,
    parameters: dict[str, Any] | None = None,
    rule: str = "entry",
) -> str:
    conditions = {"entry": {"condition": "true"}, rule: {"condition": condition}}
    with pytest.raises(RuleError) as caught:
        compile_rules(
            "macd_btc_15m",
            INDICATORS if indicators is None else indicators,
            RulesConfig.model_validate(conditions),
            PARAMETERS if parameters is None else parameters,
        )
    return str(caught.value)


def test_an_unknown_name_is_placed_and_the_nearest_one_suggested() -> None:
    assert refusal("rsi < 70 AND close > 5 AND macd_crossver_bullish") == (
        "strategy 'macd_btc_15m': rule entry.condition, column 28: unknown name "
        "'macd_crossver_bullish' (did you mean 'macd_crossover_bullish'?)"
    )


def test_a_syntax_error_shows_the_line_and_a_caret() -> None:
    assert refusal("rsi < 70 AND\n  rsi = 3") == (
        "strategy 'macd_btc_15m': rule entry.condition, line 2, column 7: "
        "unexpected character '='; use == to compare\n"
        "    rsi = 3\n"
        "        ^"
    )


def test_the_caret_stays_under_its_column_in_a_long_line() -> None:
    message = refusal("close > 1 AND " * 200 + "rsi ? 3")
    _, line, caret = message.split("\n")
    assert len(line) < 100
    assert line[caret.index("^")] == "?"


@pytest.mark.parametrize("rule", ["entry", "exit", "short_entry", "short_exit"])
def test_the_message_says_which_rule_it_is(rule: str) -> None:
    assert f"rule {rule}.condition, column 1: " in refusal("nonsense", rule=rule)


def test_a_rule_error_is_a_config_error() -> None:
    assert issubclass(RuleError, ConfigError)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        # names
        ("zzz > 1", "unknown name 'zzz'; there are open, high, low, close, volume, hl2"),
        ("RSI < 70", "unknown name 'RSI' (did you mean 'rsi'?)"),
        ("macd.his > 0", "column 6: indicator 'macd' has no output 'his' (did you mean 'hist'?)"),
        ("macd.foo > 0", "it has macd, signal, hist"),
        ("close.x > 0", "'close' has no outputs; only indicators have"),
        ("mcad.hist > 0", "unknown name 'mcad' (did you mean 'macd'?)"),
        ("stoch.k < 20", "no indicator 'stoch' is declared; add \"stoch\": {} to `indicators`"),
        ("bb_squeeze", "no indicator 'bb' is declared; add \"bb\": {} to `indicators`"),
        ("ema < close", "no indicator 'ema' is declared; add \"ema\": {} to `indicators`; "),
        ("ema < close", "; declared with that type: fast"),
        # functions
        (
            "crosses_abov(fast, 3)",
            "unknown function 'crosses_abov' (did you mean 'crosses_above'?)",
        ),
        ("sma(close, 20) > 3", "unknown function 'sma': it is an indicator; declare it"),
        ("rsi(14) < 30", "'rsi' is not a function; write it without ( )"),
        ("rising > 3", "'rising' is a function, used as rising(x, n)"),
        ("crosses_above(fast)", "crosses_above is called as crosses_above(a, b), got 1 argument"),
        ("abs(1, 2) > 0", "abs is called as abs(x), got 2 argument"),
        ("min(close) > 0", "min is called as min(a, b, ...), got 1 argument"),
        ("highest() > 0", "highest is called as highest(x, n), got 0 argument"),
        # types
        ("rsi", "column 1: 'rsi' is a number where a condition is needed"),
        ("on and macd.hist", "column 8: 'macd.hist' is a number where a condition is needed"),
        ("on and (close - 1)", "column 9: this is a number where a condition is needed"),
        ("not 5", "column 5: 5 is a number where a condition is needed"),
        ("close[1]", "'close' is a number where a condition is needed"),
        ("highest(close, 3)", "highest(...) is a number where a condition is needed"),
        ("macd_bullish > 3", "column 1: 'macd_bullish' is a condition where a number is needed"),
        ("3 < on", "column 5: 'on' is a condition where a number is needed"),
        ("(rsi < 3) < 4", "column 2: this is a condition where a number is needed"),
        ("close + rising(close, 2) > 3", "rising(...) is a condition where a number is needed"),
        ("highest(rsi > 3, 2) > 0", "column 9: this is a condition where a number is needed"),
        ("true == on", "this is a condition where a number is needed; conditions are joined by"),
        # lengths
        ("highest(close, 0) > 1", "column 16: highest counts candles: must be from 1 to 10000"),
        ("rising(close, 0)", "rising counts candles: must be from 1 to 10000, got 0"),
        ("lowest(close, 2.5) > 1", "lowest counts candles: needs a whole number"),
        ("falling(close, rsi)", "falling counts candles: needs a whole number"),
        ("rising(close, on)", "rising counts candles: needs a whole number"),
        ("rising(close, 1 + 1)", "rising counts candles: needs a whole number"),
        ("rising(close, lvel)", "unknown name 'lvel' (did you mean 'level'?)"),
        ("close[-1] > 2", "column 7: history counts candles back: needs a whole number"),
        ("close[10001] > 2", "history counts candles back: must be from 0 to 10000, got 10001"),
        ("close[1e300] > 2", "must be from 0 to 10000, got 1e+300"),
    ],
)
def test_a_wrong_rule_is_explained(condition: str, message: str) -> None:
    text = refusal(condition)
    assert text.startswith("strategy 'macd_btc_15m': rule entry.condition, column ")
    assert message in text


@pytest.mark.parametrize(
    ("indicators", "message"),
    [
        ({"a": {}}, "indicators.a: 'a' is not a known indicator"),
        ({"rsi2": {"period": 3}}, "say which by `type`"),
        ({"a": {"type": "emma"}}, "indicators.a: indicator type 'emma' is not known"),
        ({"rsi": {"perod": 3}}, "indicators.rsi: indicator type 'rsi': unknown parameter 'perod'"),
        ({"rsi": {"period": -3}}, "indicators.rsi: indicator type 'rsi': timeperiod must be"),
        ({"ema": {"overbought": 3}}, "unknown parameter 'overbought'"),
        ({"rsi": {"source": "foo"}}, "indicators: indicator 'rsi': source 'foo' is neither"),
        ({"rsi": {"type": 5}}, "`type` and `source` must be names, got 5"),
        ({"rsi": {"source": 5}}, "`type` and `source` must be names, got"),
        ({"close": {"type": "ema"}}, "'close' already means something in rules"),
        ({"hl2": {"type": "ema"}}, "'hl2' already means something in rules"),
        ({"And": {"type": "ema"}}, "'And' already means something in rules"),
        ({"my-ema": {"type": "ema"}}, "use letters, digits and _, not starting with a digit"),
        ({"2ema": {"type": "ema"}}, "use letters, digits and _, not starting with a digit"),
        ({"rsi": {}, "rsi_oversold": {"type": "ema"}}, "is in both indicators and predicates"),
    ],
)
def test_a_wrong_declaration_is_explained(indicators: dict[str, Any], message: str) -> None:
    text = refusal("true", indicators)
    assert text.startswith("strategy 'macd_btc_15m': ")
    assert message in text


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"x": "5"}, "parameters.x: must be a number, true or false, got '5'"),
        ({"x": None}, "parameters.x: must be a number, true or false, got None"),
        ({"x": float("inf")}, "parameters.x: must be a finite number, got inf"),
        ({"x": 10**400}, "parameters.x: must be a finite number, got 1000"),
        ({"close": 1}, "parameters.close: 'close' already means something in rules"),
        ({"a b": 1}, "parameters.a b: rules cannot refer to this name"),
        ({"rsi": 1}, "'rsi' is in both indicators and parameters"),
        ({"rsi_oversold": 1}, "'rsi_oversold' is in both predicates and parameters"),
    ],
)
def test_a_wrong_parameter_is_explained(parameters: dict[str, Any], message: str) -> None:
    text = refusal("true", None, parameters)
    assert message in text
    assert len(text) < 200


def test_rules_that_would_remember_too_much_together_are_refused() -> None:
    condition = " AND ".join(f"close > highest(close + {i}, 9999)" for i in range(11))
    assert "look back over 109989 values together; at most 100000" in refusal(condition)


def test_a_shared_series_counts_once() -> None:
    condition = " AND ".join(["close > highest(close, 9999)"] * 50)
    rules = RulesConfig.model_validate({"entry": {"condition": condition}})
    program = compile_rules("s", {}, rules, {})
    assert len(program.series) == 2


def test_the_deepest_rule_that_is_allowed_runs(answers: Any) -> None:
    deep = "highest(" * 61 + "close" + ", 1)" * 61
    assert answers(f"{deep} > 1", [1, 2]) == [False, True]
    deep = "abs(-" * 30 + "close" + ")" * 30
    assert answers(f"not not {deep} > 1", [1, 2]) == [False, True]
