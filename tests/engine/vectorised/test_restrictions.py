"""What is not covered is refused by name; nothing is played otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.config import RunConfig, StrategyConfig
from engine.errors import ConfigError, DataError
from engine.market import CandleColumns
from engine.vectorised import vectorised_backtest

RunOf = Callable[..., RunConfig]
CandlesOf = Callable[..., CandleColumns]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"risk": {"stop_loss": 0.02}}, "risk.stop_loss is 0.02"),
        ({"risk": {"take_profit": 0.02}}, "risk.take_profit is 0.02"),
        ({"risk": {"trailing_stop": 0.02}}, "risk.trailing_stop is 0.02"),
        ({"risk": {"time_limit_candles": 5}}, "risk.time_limit_candles is 5"),
        ({"risk": {"cooldown_candles": 5}}, "risk.cooldown_candles is 5"),
        ({"risk": {"max_order_notional": 5}}, "risk.max_order_notional is 5"),
        ({"risk": {"max_daily_loss": 0.5}}, "risk.max_daily_loss is 0.5"),
        ({"risk": {"max_drawdown": 0.5}}, "risk.max_drawdown is 0.5"),
        ({"risk": {"max_trades_per_day": 5}}, "risk.max_trades_per_day is 5"),
        ({"risk": {"max_signals_per_minute": 5}}, "risk.max_signals_per_minute is 5"),
        ({"sizing": {"mode": "equity_fraction"}}, "sizing.mode must be 'fixed_quantity'"),
        ({"sizing": {"mode": "fixed_notional", "value": 9}}, "is 'fixed_notional'"),
        ({"sizing": {"mode": "fixed_quantity", "value": "1e-9"}}, "sizing.value must be at least"),
        ({"timeframes": ["1m", "5m"]}, "rules read one symbol and one timeframe"),
        ({"timeframe": "5m"}, "the candles are of 60000 ms"),
        ({"type": "GRID", "rules": None}, "type 'GRID' is code, not rules"),
        ({"rules": {"entry": {"condition": "clos > 1"}}}, "unknown name 'clos'"),
        ({"indicators": {"sma": {"source": "nowhere"}}}, "'nowhere' is neither a price"),
    ],
)
def test_a_strategy_that_is_not_covered_is_refused(
    run_of: RunOf, candles_of: CandlesOf, changes: dict[str, Any], field: str
) -> None:
    run = run_of(changes)
    with pytest.raises(ConfigError, match="strategy 's'") as caught:
        vectorised_backtest(run.strategies[0], candles_of(20, 1), run=run)
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"execution": {"volume_share": 0.1}}, "execution.volume_share is 0.1"),
        ({"execution": {"latency_ms": 60_000}}, "execution.latency_ms must be below"),
        ({"arbitration": {"policy": "net"}}, "arbitration.policy is net"),
        ({"account": {"max_gross_exposure": 2}}, "account 'paper': max_gross_exposure is 2"),
        ({"account": {"max_daily_loss": 0.1}}, "account 'paper': max_daily_loss is 0.1"),
        ({"account": {"max_drawdown": 0.1}}, "account 'paper': max_drawdown is 0.1"),
        ({"account": {"balances": {"BTC": 1}}}, "add a USDT balance"),
        ({"instrument": {"tick_size": 1000}}, "not above 0 in steps of 1000"),
        ({"execution": {"slippage_bps": "1.00000000000000000001"}}, "needs 35 digits"),
        ({"execution": {"taker_fee_bps": "1.00000000000000000001"}}, "needs"),
    ],
)
def test_a_run_that_is_not_covered_is_refused(
    run_of: RunOf, candles_of: CandlesOf, changes: dict[str, Any], message: str
) -> None:
    run = run_of(**changes)
    with pytest.raises(ConfigError) as caught:
        vectorised_backtest(run.strategies[0], candles_of(20, 1), run=run)
    assert message in str(caught.value)


def test_another_strategy_on_the_same_account_is_refused_on_another_it_is_not(
    run_of: RunOf, candles_of: CandlesOf
) -> None:
    run = run_of()
    one = run.strategies[0]
    accounts = (run.accounts[0], run.accounts[0].model_copy(update={"id": "second"}))
    for changes, fits in (
        ({}, False),
        ({"enabled": False}, True),
        ({"account": "second"}, True),
    ):
        other = one.model_copy(update={"id": "other", **changes})
        both = run.model_copy(update={"strategies": (one, other), "accounts": accounts})
        if fits:
            assert len(vectorised_backtest(one, candles_of(50, 1), run=both))
        else:
            with pytest.raises(ConfigError, match=r"shares account 'paper' .* with other"):
                vectorised_backtest(one, candles_of(50, 1), run=both)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2e100])
def test_candles_that_are_not_finite_are_refused(
    run_of: RunOf, candles_of: CandlesOf, bad: float
) -> None:
    candles = candles_of(20, 1)
    spoiled = candles.volume.copy()
    spoiled[7] = bad
    strategy: StrategyConfig = run_of().strategies[0]
    with pytest.raises(DataError, match=r"volume must be finite, at most 1e\+100, candle 7 has"):
        vectorised_backtest(strategy, dataclasses.replace(candles, volume=spoiled))
