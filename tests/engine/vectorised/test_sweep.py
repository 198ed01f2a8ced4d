"""A sweep gives what its sets give one by one, in order, and says which set is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from engine.config import RunConfig, StrategyConfig
from engine.errors import ConfigError
from engine.market import CandleColumns
from engine.vectorised import sweep, vectorised_backtest

RunOf = Callable[..., RunConfig]
CandlesOf = Callable[..., CandleColumns]
RESULTS = ["trades", "pnl", "fees", "win_rate", "max_drawdown", "is_open", "refused"]


@pytest.fixture
def run(run_of: RunOf) -> RunConfig:
    return run_of(
        {
            "indicators": {"macd": {"fastPeriod": 5, "slowPeriod": 9}, "rsi": {"period": 5}},
            "rules": {
                "entry": {"condition": "macd_crossover_bullish AND rsi < limit"},
                "exit": {"condition": "macd_crossover_bearish"},
            },
            "parameters": {"limit": 70},
        },
        execution={"taker_fee_bps": 3},
    )


def alone(run: RunConfig, candles: CandleColumns, **changes: Any) -> dict[str, Any]:
    """Play one set by itself."""
    data = {**run.strategies[0].model_dump(), **changes}
    trades = vectorised_backtest(StrategyConfig.model_validate(data), candles, run=run)
    return {
        "trades": len(trades),
        "pnl": float(trades.pnl),
        "fees": float(trades.fees),
        "win_rate": trades.win_rate,
        "max_drawdown": trades.max_drawdown,
        "is_open": trades.open_trade is not None,
        "refused": None,
    }


def test_each_combination_of_a_grid_is_played_as_if_alone(
    run: RunConfig, candles_of: CandlesOf
) -> None:
    candles = candles_of(600, 4)
    table = sweep(
        run.strategies[0],
        {"indicators.macd.fast_period": [3, 5], "parameters.limit": [60, 75.5]},
        candles,
        run=run,
    )
    rows = [
        {
            "indicators.macd.fast_period": fast,
            "parameters.limit": limit,
            **alone(
                run,
                candles,
                indicators={"macd": {"fastPeriod": fast, "slowPeriod": 9}, "rsi": {"period": 5}},
                parameters={"limit": limit},
            ),
        }
        for fast in (3, 5)
        for limit in (60, 75.5)
    ]
    assert table.to_dicts() == rows
    assert table["pnl"].n_unique() == 4


def test_sets_may_be_listed_and_differ_in_what_they_override(
    run: RunConfig, candles_of: CandlesOf
) -> None:
    candles = candles_of(300, 5)
    sets: list[dict[str, Any]] = [
        {},
        {"rules.shortEntry.condition": "rsi > 80"},
        {"rules.exit.condition": "rsi > 60", "sizing.value": 2},
    ]
    table = sweep(run.strategies[0], sets, candles, run=run)
    paths = ["rules.shortEntry.condition", "rules.exit.condition", "sizing.value"]
    assert table.columns == paths + RESULTS
    assert table["sizing.value"].to_list() == [None, None, 2]
    assert table.row(0, named=True) | alone(run, candles) == table.row(0, named=True)
    assert table["trades"].n_unique() == 3


def test_a_set_for_which_money_is_short_says_so_and_the_others_have_results(
    run: RunConfig, candles_of: CandlesOf
) -> None:
    table = sweep(run.strategies[0], {"sizing.value": [1, 1_000_000]}, candles_of(300, 4), run=run)
    assert table["refused"].is_null().to_list() == [True, False]
    assert "its capital or balance allows" in table["refused"][1]
    assert table.row(1)[1:7] == (None,) * 6
    assert table["trades"][0] > 3


def test_progress_is_told_after_every_set(run: RunConfig, candles_of: CandlesOf) -> None:
    seen: list[tuple[int, int]] = []
    sweep(
        run.strategies[0],
        {"parameters.limit": [50, 60, 70]},
        candles_of(50, 4),
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("indicators.rsi.period", 1, r"set 1, .*indicators.rsi: .*timeperiod"),
        ("indicator.rsi.period", 7, r"set 1, .*indicator: Extra inputs"),
        ("risk.stop_loss", 0.1, r"set 1, .*risk.stop_loss is 0.1"),
        ("id.x", 1, r"path 'id.x': 'id' holds no settings"),
    ],
)
def test_a_wrong_set_is_named_before_any_is_played(
    run: RunConfig, candles_of: CandlesOf, path: str, value: object, message: str
) -> None:
    played: list[int] = []
    with pytest.raises(ConfigError, match=message):
        sweep(
            run.strategies[0],
            [{}, {path: value}],
            candles_of(50, 4),
            on_progress=lambda done, _: played.append(done),
        )
    assert played == []


def test_a_sweep_over_nothing_is_an_empty_table(run: RunConfig, candles_of: CandlesOf) -> None:
    table = sweep(run.strategies[0], [], candles_of(50, 4))
    assert (table.height, table.columns) == (0, RESULTS)
    assert table.schema["pnl"] == pl.Float64
