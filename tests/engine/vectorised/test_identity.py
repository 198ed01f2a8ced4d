"""Whatever is given out are the trades of the event-driven backtest, to the last digit."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given
from hypothesis import strategies as st

from engine.config import RunConfig
from engine.errors import ConfigError
from engine.market import CandleColumns
from engine.vectorised import Trades, vectorised_backtest
from engine.vectorised.funds import ShortOfFundsError
from tests.examples import examples

Play = Callable[[RunConfig, CandleColumns], Any]
AsExpected = Callable[[Trades], Any]

# --- a small grammar of rules --------------------------------------------------------------------

numbers = st.sampled_from(
    [
        "close",
        "open",
        "high",
        "volume",
        "fast",
        "slow",
        "slow[2]",
        "macd.macd",
        "macd.signal",
        "macd.hist",
        "z",
        "of_z",
        "streak",
        "highest(close, 4)",
        "lowest(low, 3)[1]",
        "(close - fast) * 2",
        "close / volume",
        "level",
        "0",
    ]
)
comparisons = st.builds(
    "{} {} {}".format, numbers, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numbers
)
crossings = st.builds(
    "{}({}, {})".format, st.sampled_from(["crosses_above", "crosses_below"]), numbers, numbers
)
simple = st.one_of(
    comparisons,
    crossings,
    st.builds("rsi {} {}".format, st.sampled_from("<>"), st.integers(20, 80)),
    st.builds("{}(close, {})".format, st.sampled_from(["rising", "falling"]), st.integers(1, 3)),
    st.sampled_from(["macd_crossover_bullish", "macd_crossover_bearish", "rsi_leaves_oversold"]),
    st.sampled_from(["true", "on"]),
)
rules = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({}) or ({})".format, inner, inner),
        st.builds("not ({})".format, inner),
        st.builds("({})[{}]".format, inner, st.integers(1, 2)),
    ),
    max_leaves=3,
)


@st.composite
def rule_sets(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(
        st.sampled_from(
            [
                ("entry", "exit"),
                ("short_entry", "short_exit"),
                ("entry", "short_entry"),
                ("entry", "exit", "short_entry", "short_exit"),
                ("entry", "exit", "short_entry", "short_exit"),
                ("entry",),
            ]
        )
    )
    return {name: {"condition": draw(rules)} for name in names}


@st.composite
def strategies(draw: st.DrawFn) -> dict[str, Any]:
    fast, slow = draw(st.integers(2, 6)), draw(st.integers(3, 12))
    return {
        "rules": draw(rule_sets()),
        "indicators": {
            "fast": {"type": "sma", "period": fast},
            "slow": {"type": "ema", "period": slow},
            "macd": {"fastPeriod": fast, "slowPeriod": slow + 4, "signalPeriod": fast},
            "rsi": {"period": fast},
            "z": {"type": "zscore", "period": fast},
            "of_z": {"type": "sma", "period": 3, "source": "z"},
            "streak": {},
        },
        "parameters": {"level": draw(st.sampled_from([1, 0.5, 100])), "on": draw(st.booleans())},
        "sizing": {
            "mode": "fixed_quantity",
            "value": draw(st.sampled_from(["1", "0.5", "30", "0.12345678", "7.3"])),
        },
        "leverage": draw(st.sampled_from([1, 3])),
    }


executions = st.fixed_dictionaries(
    {
        "taker_fee_bps": st.sampled_from(["0", "0", "4", "2.75", "100"]),
        "maker_fee_bps": st.just("1"),
        "slippage_bps": st.sampled_from(["0", "0", "5", "0.7"]),
        "latency_ms": st.sampled_from([0, 0, 1, 30_000, 59_999]),
    }
)
instruments = st.sampled_from(
    [
        None,
        {"tick_size": "0.01", "lot_size": "0.00000001"},
        {"tick_size": "0.5"},
        {"tick_size": "0.25", "lot_size": "0.00000002"},
        {"tick_size": "3"},
        {"tick_size": "0.0003"},
    ]
)


@pytest.mark.slow
@examples(250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    strategy=strategies(),
    execution=executions,
    instrument=instruments,
    rows=st.integers(0, 120),
    seed=st.integers(0, 100_000),
    step=st.sampled_from([0.0, 0.01, 0.01, 1.0]),
    gaps=st.booleans(),
)
def test_trades_and_profit_are_those_of_the_event_driven_backtest(
    *,
    play: Play,
    as_expected: AsExpected,
    run_of: Callable[..., RunConfig],
    candles_of: Callable[..., CandleColumns],
    strategy: dict[str, Any],
    execution: dict[str, Any],
    instrument: dict[str, Any] | None,
    rows: int,
    seed: int,
    step: float,
    gaps: bool,
) -> None:
    run = run_of(strategy, execution=execution, instrument=instrument)
    candles = candles_of(rows, seed, step=step, gaps=gaps)
    trades = vectorised_backtest(run.strategies[0], candles, run=run)
    assume(rows)
    assert as_expected(trades) == play(run, candles)


@pytest.mark.slow
@examples(200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rule_set=rule_sets(),
    balance=st.integers(80, 400),
    capital=st.one_of(st.none(), st.integers(80, 400)),
    position_size=st.sampled_from(["1", "0.5"]),
    leverage=st.sampled_from([1, 2]),
    execution=executions,
    min_notional=st.sampled_from(["0", "100"]),
    tick_size=st.sampled_from(["0.00000001", "0.01", "0.5", "3"]),
    seed=st.integers(0, 100_000),
)
@example(  # a sale just below min_notional: only a buyer expects slippage
    rule_set={
        "entry": {"condition": "not (rising(close, 1))"},
        "short_entry": {"condition": "not (open < close)"},
    },
    balance=80,
    capital=None,
    position_size="1",
    leverage=2,
    execution={"taker_fee_bps": "0", "slippage_bps": "5", "latency_ms": 0},
    min_notional="100",
    tick_size="0.00000001",
    seed=73979,
)
def test_where_money_is_short_the_result_is_refused_or_equal(
    *,
    play: Play,
    as_expected: AsExpected,
    run_of: Callable[..., RunConfig],
    candles_of: Callable[..., CandleColumns],
    rule_set: dict[str, Any],
    balance: int,
    capital: int | None,
    position_size: str,
    leverage: int,
    execution: dict[str, Any],
    min_notional: str,
    tick_size: str,
    seed: int,
) -> None:
    run = run_of(
        {
            "rules": rule_set,
            "capital": capital,
            "leverage": leverage,
            "risk": {"max_position_size": position_size},
            "indicators": {
                "fast": {"type": "sma", "period": 2},
                "slow": {"type": "ema", "period": 3},
                "macd": {"fastPeriod": 2, "slowPeriod": 4, "signalPeriod": 2},
                "rsi": {"period": 2},
                "z": {"type": "zscore", "period": 3},
                "of_z": {"type": "sma", "period": 2, "source": "z"},
                "streak": {},
            },
            "parameters": {"level": 1, "on": True},
        },
        execution=execution,
        account={"balances": {"USDT": balance}},
        instrument={"min_notional": min_notional, "tick_size": tick_size},
    )
    candles = candles_of(60, seed)
    expected = play(run, candles)
    try:
        trades = vectorised_backtest(run.strategies[0], candles, run=run)
    except ShortOfFundsError:
        assert expected.refused, "it was refused without need"
    else:
        assert as_expected(trades) == expected


def test_the_reference_rule_trades_alike_over_thousands_of_candles(
    play: Play,
    as_expected: AsExpected,
    run_of: Callable[..., RunConfig],
    candles_of: Callable[..., CandleColumns],
) -> None:
    run = run_of(
        {
            "indicators": {"macd": {}, "rsi": {"period": 14}},
            "rules": {
                "entry": {"condition": "macd_crossover_bullish AND rsi < 70"},
                "exit": {"condition": "macd_crossover_bearish OR rsi > 80"},
            },
        },
        execution={"taker_fee_bps": 4},
    )
    candles = candles_of(5000, 3, gaps=True)
    trades = vectorised_backtest(run.strategies[0], candles, run=run)
    assert len(trades) > 100
    assert trades.fees > 0
    assert as_expected(trades) == play(run, candles)


def test_a_run_of_defaults_is_assumed_where_none_is_given(
    play: Play,
    as_expected: AsExpected,
    run_of: Callable[..., RunConfig],
    candles_of: Callable[..., CandleColumns],
) -> None:
    strategy = run_of().strategies[0]
    candles = candles_of(200, 1)
    trades = vectorised_backtest(strategy, candles)
    assert trades.pnl != Decimal(0)
    assert as_expected(trades) == play(RunConfig(strategies=(strategy,)), candles)


def test_the_error_of_short_funds_is_one_of_configuration() -> None:
    assert issubclass(ShortOfFundsError, ConfigError)
