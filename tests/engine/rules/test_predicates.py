from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import indicators
from engine.config import RulesConfig
from engine.errors import RuleError
from engine.rules import RuleProgram, compile_rules
from engine.rules.predicates import FAMILIES
from indicators import IndicatorManager

Compile = Callable[..., RuleProgram]
Answers = Callable[..., list[bool]]
T, F = True, False
REFERENCE = Path(__file__).parents[3] / "docs" / "rules.md"
EVERY = [
    (kind, predicate.suffix)
    for family in FAMILIES
    for kind in family.types
    for predicate in family.predicates
]


def columns_of(rows: int) -> dict[str, np.ndarray]:
    """Return a seeded random walk."""
    random = np.random.default_rng(11)
    close = 100 * np.exp(np.cumsum(random.normal(0.0, 0.01, rows)))
    opened = np.concatenate(([100.0], close[:-1]))
    return {
        "open": opened,
        "high": np.maximum(opened, close) * 1.002,
        "low": np.minimum(opened, close) * 0.998,
        "close": close,
        "volume": random.uniform(1.0, 9.0, rows),
    }


COLUMNS = columns_of(1500)


@pytest.mark.parametrize(("kind", "suffix"), EVERY)
def test_every_predicate_holds_sometimes_and_sometimes_not(
    compile_entry: Compile, kind: str, suffix: str
) -> None:
    program = compile_entry(f"own{suffix}", {"own": {"type": kind}})
    share = program.evaluate_arrays(COLUMNS)["entry"].mean()
    assert 0 < share < 1


@pytest.mark.parametrize(("kind", "suffix"), EVERY)
def test_the_language_reference_lists_every_predicate(kind: str, suffix: str) -> None:
    rows = [line for line in REFERENCE.read_text().splitlines() if line.startswith("|")]
    assert any(f"`{kind}`" in row and f"`{suffix}`" in row for row in rows)


def test_the_macd_predicates_are_crossings_of_its_histogram_through_zero() -> None:
    rules = RulesConfig.model_validate(
        {
            "entry": {"condition": "macd_crossover_bullish"},
            "exit": {"condition": "macd_crossover_bearish"},
        }
    )
    program = compile_rules("s", {"macd": {}}, rules, {})
    found = program.evaluate_arrays(COLUMNS)
    manager = IndicatorManager({"macd": indicators.spec("macd")})
    hist = manager.batch(COLUMNS)[manager.slot("macd", "hist")]
    assert found["entry"].tolist() == [False] + [
        bool(before <= 0 < now) for before, now in itertools.pairwise(hist)
    ]
    assert found["exit"].tolist() == [False] + [
        bool(before >= 0 > now) for before, now in itertools.pairwise(hist)
    ]
    assert found["entry"].sum() > 20


def test_thresholds_come_from_the_indicators_entry(answers: Answers) -> None:
    closes = [1, 2, 3, 2, 1, 1, 2, 3, 4, 3]
    for entry, level in (({}, 70), ({"overbought": 90}, 90), ({"Overbought": 55.5}, 55.5)):
        declared = {"r": {"type": "rsi", "period": 2, **entry}}
        named = answers("r_overbought", closes, declared)
        assert named == answers(f"r > {level}", closes, declared)
        assert any(named)
    declared = {"r": {"type": "rsi", "period": 2, "oversold": 25}}
    assert answers("r_oversold", closes, declared) == answers("r < 25", closes, declared)
    leaves = answers("r_leaves_oversold", closes, declared)
    assert leaves == answers("crosses_above(r, 25)", closes, declared)
    assert any(leaves)
    leaves = answers("r_leaves_overbought", closes, declared)
    assert leaves == answers("crosses_below(r, 70)", closes, declared)
    assert any(leaves)


def test_a_band_is_broken_by_what_the_indicator_reads(answers: Answers) -> None:
    columns = {
        "open": [1.0] * 6,
        "high": [2.0, 2.0, 2.0, 2.0, 9.0, 2.0],
        "low": [1.0] * 6,
        "close": [1.5] * 6,
        "volume": [1.0] * 6,
    }
    entry = {"period": 3, "stdDev": 1}
    assert answers("bb_breakout_upper", columns, {"bb": {**entry, "source": "high"}}) == [
        F,
        F,
        F,
        F,
        T,
        F,
    ]
    assert answers("bb_breakout_upper", columns, {"bb": entry}) == [F] * 6


def test_a_squeeze_is_the_narrowest_band_of_its_length(answers: Answers) -> None:
    closes = [10, 14, 10, 12, 11, 11, 14, 14]
    declared = {"bb": {"period": 2, "stdDev": 1, "squeeze": 3}}
    assert answers("bb_squeeze", closes, declared) == [F, F, F, T, T, T, F, T]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"overbought": "high"}, "indicators.rsi.overbought: must be a number, got 'high'"),
        ({"overbought": True}, "indicators.rsi.overbought: must be a number, got True"),
        ({"oversold": float("nan")}, "indicators.rsi.oversold: must be finite, got nan"),
        ({"overbought": 20}, "`oversold` must be below `overbought`, got 30 and 20"),
    ],
)
def test_thresholds_that_cannot_work_are_refused(
    compile_entry: Compile, entry: dict[str, object], message: str
) -> None:
    with pytest.raises(RuleError, match=r"^strategy 's': ") as caught:
        compile_entry("rsi_oversold", {"rsi": entry})
    assert message in str(caught.value)


def test_a_definition_that_fails_is_shown_with_its_predicate(compile_entry: Compile) -> None:
    with pytest.raises(RuleError, match=r"column 10: 'bb_squeeze' is .* a whole number"):
        compile_entry("true and bb_squeeze", {"bb": {"squeeze": 0.5}})
