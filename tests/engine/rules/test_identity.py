"""Candle by candle, over arrays, and a naive interpreter: three evaluations, one answer."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.config import RulesConfig
from engine.rules import compile_rules
from engine.types import Candle
from indicators import IndicatorManager
from tests.examples import examples

INDICATORS: dict[str, dict[str, Any]] = {
    "fast": {"type": "sma", "period": 2},
    "slow": {"type": "ema", "period": 4},
    "macd": {"fastPeriod": 2, "slowPeriod": 4, "signalPeriod": 2},
    "rsi": {"period": 3, "overbought": 60, "oversold": 40},
    "bb": {"period": 3, "stdDev": 1, "squeeze": 5},
    "same": {"type": "sma", "period": 2},
}
PARAMETERS: dict[str, float | bool] = {"level": 1.0, "factor": 0.5, "on": True, "off": False}
OUTPUTS = ["fast", "slow", "same", "rsi", "macd.macd", "macd.signal", "macd.hist", "bb.upper"]
FIELDS = ["open", "high", "low", "close", "volume"]
DERIVED: dict[str, tuple[Any, ...]] = {
    "hl2": ("/", ("+", "high", "low"), 2.0),
    "hlc3": ("/", ("+", ("+", "high", "low"), "close"), 3.0),
    "ohlc4": ("/", ("+", ("+", ("+", "open", "high"), "low"), "close"), 4.0),
}
PREDICATES: dict[str, tuple[Any, ...]] = {
    "macd_crossover_bullish": ("crosses_above", "macd.hist", 0.0),
    "macd_crossover_bearish": ("crosses_below", "macd.hist", 0.0),
    "rsi_overbought": (">", "rsi", 60.0),
    "rsi_leaves_oversold": ("crosses_above", "rsi", 40.0),
    "bb_breakout_upper": (">", "close", "bb.upper"),
}

Num = float | str | tuple[Any, ...]
Rule = bool | str | tuple[Any, ...]

# --- random rules, as trees of tuples -----------------------------------------------------------

leaves: st.SearchStrategy[Num] = st.one_of(
    st.sampled_from(OUTPUTS + FIELDS),
    st.sampled_from(["level", "factor", "hl2", "hlc3", "ohlc4"]),
    st.sampled_from([0.0, 1.0, 2.0, 0.5, 50.0, 1e308]),
)


def _more_numbers(inner: st.SearchStrategy[Num]) -> st.SearchStrategy[Num]:
    return st.one_of(
        st.tuples(st.sampled_from("+-*/"), inner, inner),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner),
        st.tuples(st.sampled_from(["neg", "abs"]), inner),
        st.tuples(st.just("[]"), inner, st.integers(0, 4)),
        st.tuples(st.sampled_from(["highest", "lowest"]), inner, st.integers(1, 5)),
    )


numbers = st.recursive(leaves, _more_numbers, max_leaves=4)
simple_rules: st.SearchStrategy[Rule] = st.one_of(
    st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numbers, numbers),
    st.tuples(st.sampled_from(["crosses_above", "crosses_below"]), numbers, numbers),
    st.tuples(st.sampled_from(["rising", "falling"]), numbers, st.integers(1, 4)),
    st.tuples(st.just("chain"), numbers, numbers, numbers),
    st.sampled_from([True, False, "on", "off", *PREDICATES]),
)
rules = st.recursive(
    simple_rules,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner, inner),
        st.tuples(st.just("not"), inner),
        st.tuples(st.just("[]"), inner, st.integers(0, 3)),
    ),
    max_leaves=6,
)


TEMPLATES = {
    "not": "(not {})",
    "neg": "(-{})",
    "[]": "({})[{}]",
    "chain": "({} < {} <= {})",
}


def text_of(tree: Any) -> str:
    """Write a tree in the rule language, fully grouped."""
    if not isinstance(tree, tuple):
        return str(tree)
    kind, *parts = tree
    written = [text_of(part) for part in parts]
    if kind in TEMPLATES:
        return TEMPLATES[kind].format(*written)
    if kind in ("and", "or") or not kind.isidentifier():
        return f"({f' {kind} '.join(written)})"
    return f"{kind}({', '.join(written)})"


# --- the naive interpreter: no sharing, no memory, every value looked up again -------------------


class Naive:
    """Kleene's three-valued logic over columns; None is undefined."""

    def __init__(self, columns: dict[str, list[float]]) -> None:
        self.columns = columns

    def number(self, x: Num, t: int) -> float | None:
        if isinstance(x, float):
            return x
        if isinstance(x, str):
            return self.named(x, t)
        kind = x[0]
        if kind == "[]":
            return self.number(x[1], t - x[2])
        if kind in ("highest", "lowest"):
            window = self.window(x[1], t, x[2])
            return None if window is None else {"highest": max, "lowest": min}[kind](window)
        values = [self.number(argument, t) for argument in x[1:]]
        return None if None in values else defined(COMPUTE[kind](*values))

    def named(self, name: str, t: int) -> float | None:
        if name in PARAMETERS:
            return float(PARAMETERS[name])
        if name in DERIVED:
            return self.number(DERIVED[name], t)
        return defined(self.columns[name][t]) if t >= 0 else None

    def window(self, x: Num, t: int, length: int) -> list[float] | None:
        """Return the last `length` values, oldest first; None if one of them is undefined."""
        if t - length + 1 < 0:
            return None
        values = [self.number(x, at) for at in range(t - length + 1, t + 1)]
        return None if None in values else values

    def holds(self, rule: Rule, t: int) -> bool | None:
        if isinstance(rule, bool):
            return rule
        if isinstance(rule, str):
            return bool(PARAMETERS[rule]) if rule in PARAMETERS else self.holds(PREDICATES[rule], t)
        kind = rule[0]
        if kind == "[]":
            return self.holds(rule[1], t - rule[2])
        if kind == "not":
            inner = self.holds(rule[1], t)
            return None if inner is None else not inner
        if kind in ("and", "or"):
            return kleene(kind, [self.holds(item, t) for item in rule[1:]])
        return self.judged(kind, rule[1:], t)

    def judged(self, kind: str, arguments: tuple[Any, ...], t: int) -> bool | None:
        if kind == "chain":
            a, b, c = arguments
            return kleene("and", [self.holds(("<", a, b), t), self.holds(("<=", b, c), t)])
        if kind in ("rising", "falling"):
            window = self.window(arguments[0], t, arguments[1] + 1)
            steps = itertools.pairwise(window or [])
            moved = [a < b if kind == "rising" else a > b for a, b in steps]
            return None if window is None else all(moved)
        now = [self.number(x, t) for x in arguments]
        if kind in COMPARE:
            return None if None in now else COMPARE[kind](*now)
        before = [self.number(x, t - 1) for x in arguments]
        if None in now + before:
            return None
        if kind == "crosses_above":
            return COMPARE["<="](*before) and COMPARE[">"](*now)
        return COMPARE[">="](*before) and COMPARE["<"](*now)


COMPARE: dict[str, Callable[..., bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
COMPUTE: dict[str, Callable[..., float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b if b else math.nan,
    "neg": operator.neg,
    "abs": abs,
    "min": min,
    "max": max,
}


def defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def kleene(kind: str, items: list[bool | None]) -> bool | None:
    decisive = kind == "or"
    if decisive in items:
        return decisive
    return None if None in items else not decisive


# --- the property -------------------------------------------------------------------------------


def random_columns(seed: int, rows: int) -> dict[str, list[float]]:
    """Return candles that repeat, stand still and touch zero, so that ties and crossings abound."""
    random = Random(seed)
    columns: dict[str, list[float]] = {name: [] for name in FIELDS}
    style = "walk"
    for row in range(rows):
        if row % 8 == 0:
            style = random.choice(["walk", "steps", "flat", "zero", "same as before"])
        last = columns["close"][-1] if row else 1.0
        close = {
            "walk": abs(last + random.gauss(0.0, 1.0)),
            "steps": float(random.randrange(4)),
            "flat": last,
            "zero": 0.0,
            "same as before": columns["close"][random.randrange(row)] if row else 2.0,
        }[style]
        columns["open"].append(last)
        columns["close"].append(close)
        columns["high"].append(max(last, close) + random.choice([0.0, 0.5]))
        columns["low"].append(min(last, close) * random.choice([1.0, 0.5]))
        columns["volume"].append(float(random.randrange(3)))
    return columns


@examples(250)
@given(rule=rules, seed=st.integers(0, 10_000), rows=st.integers(1, 48))
def test_scalar_vectorised_and_naive_evaluation_agree_at_every_candle(
    rule: Rule, seed: int, rows: int
) -> None:
    columns = random_columns(seed, rows)
    config = RulesConfig.model_validate(
        {
            "entry": {"condition": text_of(rule)},
            "exit": {"condition": f"not {text_of(rule)}"},
            "short_entry": {"condition": f"{text_of(rule)} and close > open[1]"},
        }
    )
    program = compile_rules("s", INDICATORS, config, PARAMETERS)
    manager = IndicatorManager(program.specs)
    bound = program.bind(manager)
    arrays = program.evaluate_arrays({name: np.array(columns[name]) for name in FIELDS})
    streamed: dict[str, list[float]] = {name: [] for name in OUTPUTS}
    asked: list[tuple[bool, bool, bool]] = []
    for t in range(rows):
        candle = Candle("paper:X/Y:1m", t, t, t + 1, *(columns[name][t] for name in FIELDS))
        manager.update(candle)
        bound.observe(candle)
        for name in OUTPUTS:
            own, _, output = name.partition(".")
            streamed[name].append(manager.slots[manager.slot(own, output or None)])
        asked.append((bound.entry(), bound.exit(), bound.short_entry()))
    naive = Naive(columns | streamed)
    for t in range(rows):
        truth = naive.holds(rule, t)
        also = kleene("and", [truth, naive.holds((">", "close", ("[]", "open", 1)), t)])
        assert asked[t] == (truth is True, truth is False, also is True), t
        from_arrays = tuple(arrays[name][t] for name in ("entry", "exit", "short_entry"))
        assert from_arrays == asked[t], t
