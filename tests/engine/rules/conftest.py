"""Small seeded candles and a shorthand for compiling rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from engine.config import RulesConfig
from engine.rules import RuleProgram, compile_rules
from engine.types import Candle
from indicators import IndicatorManager

FIELDS = ("open", "high", "low", "close", "volume")
Compile = Callable[..., RuleProgram]
Answers = Callable[..., list[bool]]


def candles_of(columns: Mapping[str, Sequence[float]]) -> list[Candle]:
    rows = zip(*(np.asarray(columns[name]).tolist() for name in FIELDS), strict=True)
    return [
        Candle("paper:BTC/USDT:1m", seq, seq * 60_000, (seq + 1) * 60_000, *row)
        for seq, row in enumerate(rows)
    ]


@pytest.fixture
def compile_entry() -> Compile:
    """Compile one entry rule over the given indicators and parameters."""

    def compile_one(
        condition: str,
        indicators: Mapping[str, Mapping[str, Any]] | None = None,
        parameters: Mapping[str, float | bool] | None = None,
    ) -> RuleProgram:
        rules = RulesConfig.model_validate({"entry": {"condition": condition}})
        return compile_rules("s", indicators or {}, rules, parameters or {})

    return compile_one


@pytest.fixture
def answers(compile_entry: Compile) -> Answers:
    """Evaluate one rule at every candle, candle by candle; check the arrays say the same."""

    def evaluate(
        condition: str,
        closes: Sequence[float] | Mapping[str, Sequence[float]],
        indicators: Mapping[str, Mapping[str, Any]] | None = None,
        parameters: Mapping[str, float | bool] | None = None,
    ) -> list[bool]:
        given = closes if isinstance(closes, dict) else dict.fromkeys(FIELDS, closes)
        columns = {name: np.array(given[name], dtype=np.float64) for name in FIELDS}
        program = compile_entry(condition, indicators, parameters)
        manager = IndicatorManager(program.specs)
        rules = program.bind(manager)
        result = []
        for candle in candles_of(columns):
            manager.update(candle)
            rules.observe(candle)
            result.append(rules.entry())
        assert program.evaluate_arrays(columns)["entry"].tolist() == result
        return result

    return evaluate
