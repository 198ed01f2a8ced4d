from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.config import RulesConfig
from engine.errors import RuleError
from engine.rules import RULES, BoundRules, RuleProgram, compile_rules
from engine.types import Candle
from indicators import IndicatorError, IndicatorManager

Compile = Callable[..., RuleProgram]


def candle(seq: int, close: float) -> Candle:
    return Candle("paper:X/Y:1m", seq, seq, seq + 1, close, close, close, close, 1.0)


def columns(closes: list[float]) -> dict[str, np.ndarray]:
    return {name: np.array(closes) for name in ("open", "high", "low", "close", "volume")}


def play(rules: BoundRules, closes: list[float]) -> list[bool]:
    answers = []
    for seq, close in enumerate(closes):
        rules.observe(candle(seq, close))
        answers.append(rules.entry())
    return answers


def bound(program: RuleProgram) -> BoundRules:
    return program.bind(IndicatorManager(program.specs))


def test_a_rule_that_is_not_configured_never_holds() -> None:
    rules = RulesConfig.model_validate({"shortEntry": {"condition": "true"}})
    program = compile_rules("s", {}, rules, {})
    live = bound(program)
    live.observe(candle(0, 1.0))
    assert (live.entry(), live.exit(), live.short_entry(), live.short_exit()) == (
        False,
        False,
        True,
        False,
    )
    arrays = program.evaluate_arrays(columns([1.0, 2.0]))
    assert {name: values.tolist() for name, values in arrays.items()} == {
        "entry": [False, False],
        "exit": [False, False],
        "short_entry": [True, True],
        "short_exit": [False, False],
    }
    assert tuple(arrays) == RULES


def test_a_program_holds_what_the_strategy_declares_in_order() -> None:
    rules = RulesConfig.model_validate({"entry": {"condition": "b < 3"}})
    declared = {"b": {"type": "rsi", "period": 5, "overbought": 80}, "a": {"type": "ema"}}
    program = compile_rules("s", declared, rules, {})
    assert list(program.specs) == ["b", "a"]
    assert program.specs["b"].params == {"timeperiod": 5}


@pytest.mark.parametrize(
    ("condition", "lookback"),
    [
        ("close > 3", 0),
        ("close[3] > open[1]", 3),
        ("crosses_above(close, 3)", 1),
        ("crosses_above(close, 3)[2]", 3),
        ("highest(close, 20) > 3", 19),
        ("highest(close, 20)[1] > 3", 20),
        ("highest(close[2], 20)[1] > 3", 22),
        ("rising(close, 4)", 4),
        ("not falling(highest(close, 3), 4)[2]", 8),
        ("highest(lowest(close, 3), 4) > -1 and close[1] > -1", 5),
        ("5[7] > 2", 0),
    ],
)
def test_the_lookback_is_exactly_when_the_rule_becomes_defined(
    compile_entry: Compile, condition: str, lookback: int
) -> None:
    program = compile_entry(f"({condition}) or not ({condition})")
    assert program.lookback == lookback
    defined = program.evaluate_arrays(columns([float(i % 7) for i in range(40)]))["entry"]
    assert defined.tolist() == [False] * lookback + [True] * (40 - lookback)


@pytest.mark.parametrize(
    ("condition", "lookback"),
    [
        ("slow > 3", 0),
        ("close[4] > slow", 0),
        ("close[12] > slow", 3),
        ("slow[2] > close[11]", 2),
        ("highest(slow, 3) > 3", 2),
        ("highest(close - slow, 3)[1] > 3", 3),
        ("rising(slow, 2)", 2),
        ("rising(high, 11) and slow > 0", 2),
    ],
)
def test_candles_seen_while_indicators_warm_up_count_as_history(
    compile_entry: Compile, condition: str, lookback: int
) -> None:
    declared = {"slow": {"type": "sma", "period": 10}, "fast": {"type": "sma", "period": 3}}
    program = compile_entry(f"({condition}) or not ({condition})", declared)
    assert program.lookback == lookback
    defined = program.evaluate_arrays(columns([float(9 + i) for i in range(40)]))["entry"]
    assert defined.tolist().index(True) == 9 + lookback


def test_the_lookback_is_that_of_the_longest_rule() -> None:
    conditions = {"entry": {"condition": "close[9] > 1"}, "exit": {"condition": "close[2] > 1"}}
    program = compile_rules("s", {}, RulesConfig.model_validate(conditions), {})
    assert program.lookback == 9


def test_bound_rules_of_one_program_do_not_share_memory(compile_entry: Compile) -> None:
    program = compile_entry("crosses_above(close, 2)")
    first, second = bound(program), bound(program)
    assert play(first, [1.0, 3.0]) == [False, True]
    assert play(second, [3.0, 3.0]) == [False, False]


def test_asking_twice_changes_nothing(compile_entry: Compile) -> None:
    live = bound(compile_entry("crosses_above(close, highest(open, 2)[1]) or rising(close, 2)"))
    for seq, close in enumerate([1.0, 2.0, 3.0, 1.0]):
        live.observe(candle(seq, close))
        assert live.entry() is live.entry()


def test_equal_series_are_remembered_once(compile_entry: Compile) -> None:
    declared = {"a": {"type": "ema", "period": 5}, "b": {"type": "EMA", "timeperiod": 5}}
    program = compile_entry("crosses_above(a, 1) and b[1] > 2 and a[2] > highest(b, 4)", declared)
    assert list(program.series.values()) == [2, 0]


def test_parameters_change_from_the_next_evaluation_on(compile_entry: Compile) -> None:
    program = compile_entry("on and crosses_above(close, level)", None, {"level": 2, "on": True})
    live = bound(program)
    assert play(live, [1.0, 3.0]) == [False, True]
    live.set_parameters({"level": 5})
    assert not live.entry()
    live.observe(candle(2, 6.0))
    assert live.entry()
    live.set_parameters({"on": False})
    assert not live.entry()


def test_a_changed_level_is_the_level_at_every_candle_looked_at(compile_entry: Compile) -> None:
    program = compile_entry("crosses_above(close * factor, 2)", None, {"factor": 1})
    changed = bound(program)
    play(changed, [1.0, 1.5])
    changed.set_parameters({"factor": 1.9})
    restarted = bound(compile_entry("crosses_above(close * factor, 2)", None, {"factor": 1.9}))
    play(restarted, [1.0, 1.5])
    assert changed.entry() is restarted.entry() is True


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("close > highest(close, n)", "it is a number of candles to remember"),
        ("close > open[n]", "it is a number of candles to remember"),
        ("rising(close * n, 2)", r"rising\(...\) remembers values made with it"),
        ("lowest(highest(close + n, 2), 3) > 1", r"lowest\(...\) remembers values made with it"),
    ],
)
def test_a_parameter_that_shapes_what_is_remembered_cannot_change(
    compile_entry: Compile, condition: str, why: str
) -> None:
    live = bound(compile_entry(condition, None, {"n": 3, "m": 1}))
    live.set_parameters({"n": 3, "m": 2})
    with pytest.raises(RuleError, match=rf"parameters.n: cannot change .*, {why}; restart"):
        live.set_parameters({"n": 4})


def test_a_refused_change_changes_nothing(compile_entry: Compile) -> None:
    live = bound(compile_entry("close > a", None, {"a": 1, "b": True}))
    live.observe(candle(0, 5.0))
    for bad in ({"b": 1}, {"nope": 1}, {"b": "x"}, {"b": float("nan")}):
        with pytest.raises(RuleError, match=r"^strategy 's': parameters\."):
            live.set_parameters({"a": 9, **bad})
        assert live.entry()
    with pytest.raises(RuleError, match=r"parameters\.a: must stay a number, got True"):
        live.set_parameters({"a": True})


def test_arrays_of_no_candles_have_no_answers(compile_entry: Compile) -> None:
    program = compile_entry("rising(close, 2) or close > highest(close[1], 3)")
    assert program.evaluate_arrays(columns([]))["entry"].tolist() == []


def test_arrays_that_are_not_finite_are_refused(compile_entry: Compile) -> None:
    program = compile_entry("rsi < 3", {"rsi": {}})
    with pytest.raises(IndicatorError):
        program.evaluate_arrays(columns([1.0, float("nan")]))
