"""What fills earned, against a backtest, an independent library and calculation by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import empyrical
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backtest import run_backtest
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.history.performance import DAY_MS, LEAST_DAYS, Performance, performance_of
from engine.history.trades import Trade, trades_of
from engine.history.visible import Trader
from engine.market import open_market
from engine.report import StrategyReport
from engine.store import Store
from tests.engine.history.conftest import a_fill, an_order
from tests.examples import examples

CATALOG = discover(default_folders())
CAPITAL = Decimal(1000)
HOUR = 3_600_000


def a_trade(at_ms: int, side: str, quantity: str, price: str, **changes: Any) -> Trade:
    fields = {
        "at_ms": at_ms,
        "id": f"r1|s|x|{at_ms}|0#1",
        "run_id": "r1",
        "symbol": "BTC/USDT",
        "side": side,
        "quantity": Decimal(quantity),
        "price": Decimal(price),
        "fee": Decimal(0),
        "fee_currency": "USDT",
        "realized": None,
        "line": None,
    }
    return Trade(**(fields | changes))


def performance(trades: list[Trade], **changes: Any) -> Performance:
    trader = Trader("s", "USDT", changes.pop("capital", CAPITAL))
    return performance_of(trader, trades, **changes)


ROUND_TRIPS = [
    a_trade(0, "buy", "2", "100", fee=Decimal(1)),
    a_trade(HOUR, "sell", "2", "110", fee=Decimal(1), realized=Decimal(20)),
    a_trade(3 * HOUR, "sell", "1", "100"),
    a_trade(4 * HOUR, "buy", "1", "130", fee=Decimal(2), realized=Decimal(-30)),
]


def test_round_trips_by_hand() -> None:
    found = performance(ROUND_TRIPS)
    assert (found.fills, found.round_trips, found.winning, found.losing) == (4, 2, 1, 1)
    assert (found.realized, found.fees, found.net) == (Decimal(-10), Decimal(4), Decimal(-14))
    assert found.win_rate == 0.5
    assert found.profit_factor == 18 / 32
    assert found.expectancy == -7
    assert found.average_trade == pytest.approx((18 / 200 - 32 / 100) / 2)
    assert found.total_return == pytest.approx(-0.014)
    assert found.max_drawdown == pytest.approx(1 - 986 / 1018)
    assert found.mean_holding_s == 3600
    assert found.exposure == 0.5
    assert (found.since_ms, found.until_ms, found.days) == (0, 4 * HOUR, 1)
    assert found.sharpe is found.sortino is None


def test_a_period_begins_with_what_was_earned_and_open_before() -> None:
    found = performance(ROUND_TRIPS, since_ms=2 * HOUR)
    assert (found.capital, found.fills, found.round_trips) == (Decimal(1018), 2, 1)
    assert found.net == Decimal(-32)
    assert found.exposure == 0.5
    half = performance(ROUND_TRIPS[:2], since_ms=HOUR // 2)
    assert (half.round_trips, half.exposure, half.mean_holding_s) == (1, 1.0, 3600)
    assert half.capital == Decimal(999)


def test_what_is_not_defined_is_none() -> None:
    for found in (performance([]), performance(ROUND_TRIPS, since_ms=5 * HOUR)):
        assert found.fills == found.round_trips == found.days == 0
        assert found.win_rate is found.profit_factor is found.expectancy is found.exposure is None
        assert found.max_drawdown is found.mean_holding_s is found.since_ms is None
    unknown = performance(ROUND_TRIPS, capital=None)
    assert unknown.capital is unknown.total_return is unknown.max_drawdown is None
    assert (unknown.round_trips, unknown.net) == (2, Decimal(-14))
    assert performance(ROUND_TRIPS, capital=Decimal(0)).max_drawdown is None
    assert performance(ROUND_TRIPS[:1]).exposure is None


def test_a_fee_in_another_currency_is_not_taken_from_this_one() -> None:
    found = performance([t._replace(fee_currency="BNB") for t in ROUND_TRIPS])
    assert (found.fees, found.net, found.winning) == (Decimal(0), Decimal(-10), 1)


def test_a_later_run_has_nothing_of_what_an_earlier_one_held() -> None:
    left_open = a_trade(0, "buy", "2", "100")
    later = [
        a_trade(HOUR, "sell", "1", "100", run_id="r2"),
        a_trade(2 * HOUR, "buy", "1", "90", run_id="r2", realized=Decimal(10)),
        a_trade(4 * HOUR, "sell", "1", "100", run_id="r2"),
    ]
    found = performance([left_open, *later])
    assert (found.round_trips, found.winning) == (1, 1)
    assert found.exposure == 0.5


GAINS = st.lists(st.integers(-40, 60), min_size=LEAST_DAYS, max_size=40)


@given(gains=GAINS, skipped=st.integers(0, 3))
@examples(100)
def test_ratios_of_days_agree_with_an_independent_library(gains: list[int], skipped: int) -> None:
    trades, equity = [], [float(CAPITAL)]
    for number, gain in enumerate(gains):
        day = number * (skipped + 1) * DAY_MS
        equity += [equity[-1]] * (skipped if number else 0)
        equity.append(equity[-1] + gain)
        side, back = ("buy", "sell") if gain % 2 else ("sell", "buy")
        trades.append(a_trade(day, side, "1", "100"))
        trades.append(a_trade(day + 1, back, "1", "100", realized=Decimal(gain)))
    found = performance(trades)
    returns = pd.Series(equity).pct_change().iloc[1:]
    assert found.days == len(returns)
    assert found.max_drawdown == pytest.approx(-empyrical.max_drawdown(returns), abs=1e-12)
    assert found.total_return == pytest.approx(equity[-1] / equity[0] - 1)
    if returns.std() > 1e-9:
        assert found.sharpe == pytest.approx(
            empyrical.sharpe_ratio(returns, annualization=365), rel=1e-9, abs=1e-9
        )
    else:
        assert found.sharpe is None
    if (returns < 0).any():
        assert found.sortino == pytest.approx(
            empyrical.sortino_ratio(returns, annualization=365), rel=1e-9, abs=1e-9
        )
    else:
        assert found.sortino is None


def a_backtest(seed: int, **changes: Any) -> StrategyReport:
    """Return what a strategy did on a synthetic market, with stops and partial fills."""
    market = {"synthetic": {"symbols": [{"symbol": "BTC/USDT"}], "candles": 3000, "seed": seed}}
    execution = {"takerFeeBps": 7, "slippageBps": 2, **changes}
    risk = {"stopLoss": 0.004, "takeProfit": 0.006}
    strategy = {
        "id": "s",
        "type": "EMA_CROSS",
        "symbol": "BTC/USDT",
        "timeframe": "1m",
        "parameters": {"fast_period": 3, "slow_period": 8, "allow_short": True},
        "risk": risk,
    }
    config = RunConfig.model_validate(
        {"market": market, "execution": execution, "strategies": [strategy]}
    )
    opened = open_market(config.market, config.wanted_streams)
    return run_backtest(config, CATALOG, opened).strategies[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [None, 0.02])
def test_the_same_fills_are_the_same_performance_as_in_the_instance(
    store: Store, seed: int, share: float | None
) -> None:
    changes = {} if share is None else {"volumeShare": share}
    report = a_backtest(seed, **changes)
    metrics = report.metrics
    assert metrics is not None
    assert len(report.fills) > 100
    with store.write() as session:
        for order_id in {fill["order_id"] for fill in report.fills}:
            session.add(an_order(f"r|{order_id}", run_id="r", strategy_id="s"))
        session.flush()
        # How they lie in the table must not matter.
        for line, fill in reversed(list(enumerate(report.fills, start=1))):
            session.add(
                a_fill(
                    f"r|{fill['fill_id']}",
                    run_id="r",
                    strategy_id="s",
                    side=fill["side"],
                    quantity=Decimal(fill["quantity"]),
                    price=Decimal(fill["price"]),
                    fee=Decimal(fill["fee"]),
                    realized=Decimal(fill["realised"]) or None,
                    at_ms=fill["time"],
                    line=line if share else None,
                )
            )
    with store.read() as session:
        trades = trades_of(session, "s", None)
        until = trades_of(session, "s", report.fills[50]["time"])
    assert [trade.id for trade in trades] == [f"r|{fill['fill_id']}" for fill in report.fills]
    assert 0 < len(until) <= 50
    found = performance(trades, capital=Decimal(metrics["capital"]))
    assert found.round_trips == metrics["total_trades"] > 20
    assert (found.winning, found.losing) == (metrics["winning_trades"], metrics["losing_trades"])
    for name in ("win_rate", "profit_factor", "expectancy", "average_trade"):
        assert getattr(found, name) == pytest.approx(metrics[name], rel=1e-12), name
    assert found.realized == pytest.approx(Decimal(metrics["realised"]), abs=Decimal("1e-5"))
    assert found.fees == Decimal(metrics["fees"])
