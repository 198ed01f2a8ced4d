"""Every reported number against an independent calculation."""

import math
from collections.abc import Callable
from decimal import Decimal

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.instance import Instance, Metrics
from engine.instance.curve import MAX_POINTS, EquityCurve
from engine.instance.performance import Performance
from engine.instance.testing import Desk, random_candles
from engine.types import Candle, Fill
from strategies import Strategy, StrategyMetadata
from tests.examples import examples

CAPITAL = 1000.0
ANNUAL = {"1m": 525_600.0, "1h": 8760.0}
Make = Callable[..., Instance]


class Gambler(Strategy):
    """Buys, sells and closes at random, out of the seeded source."""

    metadata = StrategyMetadata(type="GAMBLER")

    def on_candle(self, candle: Candle) -> None:
        number = self.services.random.random()
        quantity = 1 + round(4 * self.services.random.random(), 2)
        if number < 0.08:
            self.services.order.buy(quantity=quantity)
        elif number < 0.16:
            self.services.order.sell(quantity=quantity)
        elif number < 0.35:
            self.services.order.close()


def gamble(
    make: Make, seed: int, count: int = 400, timeframe: str = "1m", fee: str = "0.03"
) -> tuple[Instance, list[Candle], list[Fill]]:
    candles = random_candles(count, seed=seed, stream=f"paper:BTC/USDT:{timeframe}")
    instance = make(Gambler, timeframe=timeframe, seed=seed, capital=Decimal(1000))
    desk = Desk(instance, fee=Decimal(fee))
    desk.play(candles)
    return instance, candles, desk.fills


def equity_curve(candles: list[Candle], fills: list[Fill]) -> list[float]:
    """Cash and holdings at each close, from the fills alone."""
    cash, held, curve = Decimal(1000), Decimal(0), []
    waiting = list(fills)
    for candle in candles:
        while waiting and waiting[0].time < candle.close_time:
            fill = waiting.pop(0)
            cash -= fill.side.sign * fill.quantity * fill.price + fill.fee
            held += fill.side.sign * fill.quantity
        curve.append(float(cash) + float(held) * candle.close)
    return curve


def round_trips(fills: list[Fill]) -> list[tuple[float, float]]:
    """(P&L, entry notional) per trip, by matching every unit of quantity in order of arrival."""
    trips: list[tuple[float, float]] = []
    lots: list[list[float]] = []
    side = 0
    pnl = notional = 0.0
    for fill in fills:
        left, price, sign = float(fill.quantity), float(fill.price), fill.side.sign
        fee = float(fill.fee) / left
        while left > 1e-9 and lots and side != sign:
            lot = lots[0]
            part = min(left, lot[0])
            pnl += side * part * (price - lot[1]) - part * fee
            lot[0] -= part
            left -= part
            if lot[0] <= 1e-9:
                lots.pop(0)
            if not lots:
                trips.append((pnl, notional))
        if left > 1e-9:
            if not lots:
                pnl = notional = 0.0
                side = sign
            lots.append([left, price])
            pnl -= left * fee
            notional += left * price
    return trips


def worst_stretch_below_peak(curve: list[float]) -> int:
    peak, run, worst = CAPITAL, 0, 0
    for equity in curve:
        run = 0 if equity >= peak else run + 1
        peak = max(peak, equity)
        worst = max(worst, run)
    return worst


@pytest.mark.parametrize("timeframe", ["1m", "1h"])
@pytest.mark.parametrize("seed", range(6))
def test_ratios_agree_with_an_independent_library(make: Make, seed: int, timeframe: str) -> None:
    instance, candles, fills = gamble(make, seed, timeframe=timeframe)
    metrics = instance.metrics()
    curve = pd.Series([CAPITAL, *equity_curve(candles, fills)])
    returns = curve.pct_change().iloc[1:]
    annual = ANNUAL[timeframe]
    assert metrics.total_return == pytest.approx(empyrical.cum_returns_final(returns), rel=1e-9)
    assert metrics.sharpe == pytest.approx(
        empyrical.sharpe_ratio(returns, annualization=annual), rel=1e-9
    )
    assert metrics.sortino == pytest.approx(
        empyrical.sortino_ratio(returns, annualization=annual), rel=1e-9
    )
    assert metrics.max_drawdown == pytest.approx(-empyrical.max_drawdown(returns), rel=1e-9)
    assert metrics.calmar == pytest.approx(
        empyrical.calmar_ratio(returns, annualization=annual), rel=1e-6
    )


@examples(25)
@given(seed=st.integers(0, 10_000))
def test_round_trips_and_times_agree_with_a_plain_loop(make: Make, seed: int) -> None:
    instance, candles, fills = gamble(make, seed, count=200)
    metrics = instance.metrics()
    curve = equity_curve(candles, fills)
    trips = round_trips(fills)
    pnls = [pnl for pnl, _ in trips]
    wins = [pnl for pnl in pnls if pnl > 0]
    losses = [pnl for pnl in pnls if pnl < 0]
    held = np.cumsum([0.0] + [f.side.sign * float(f.quantity) for f in fills])
    exposed = sum(
        abs(held[sum(f.time < candle.close_time for f in fills)]) > 1e-9 for candle in candles
    )
    assert metrics.equity == pytest.approx(curve[-1], rel=1e-12)
    assert metrics.max_drawdown_candles == worst_stretch_below_peak(curve)
    assert metrics.exposure_time == pytest.approx(exposed / len(candles))
    assert metrics.total_trades == len(trips)
    assert (metrics.winning_trades, metrics.losing_trades) == (len(wins), len(losses))
    if trips:
        assert metrics.win_rate == pytest.approx(len(wins) / len(trips))
        assert metrics.expectancy == pytest.approx(sum(pnls) / len(pnls), rel=1e-9)
        assert metrics.average_trade == pytest.approx(
            sum(pnl / notional for pnl, notional in trips) / len(trips), rel=1e-9
        )
    if losses:
        assert metrics.profit_factor == pytest.approx(sum(wins) / -sum(losses), rel=1e-9)
    points = instance.equity_curve()
    assert [time for time, _ in points] == [candle.close_time for candle in candles]
    assert [equity for _, equity in points] == pytest.approx(curve, rel=1e-12)


def test_nothing_is_defined_where_nothing_happened(make: Make) -> None:
    instance = make()
    for candle in random_candles(50):
        instance.on_candle(candle)
    metrics = instance.metrics()
    assert metrics.total_return == 0.0
    assert metrics.exposure_time == 0.0
    assert metrics.max_drawdown == 0.0
    for name in ("win_rate", "sharpe", "sortino", "calmar", "profit_factor", "expectancy"):
        assert getattr(metrics, name) is None, name
    assert metrics.average_trade is None
    assert metrics.last_signal is None


def test_before_the_first_candle_there_is_a_report_too(make: Make) -> None:
    metrics = make().metrics()
    assert metrics.exposure_time is None
    assert metrics.last_update == 0
    assert metrics.status == "created"


def performance_of(*equities: float) -> Performance:
    performance = Performance(CAPITAL)
    for time, equity in enumerate(equities):
        performance.mark(time, equity, exposed=True)
    return performance


def defined(performance: Performance) -> dict[str, bool]:
    from engine.instance import metrics  # noqa: PLC0415 - the functions under test, by name

    return {
        name: getattr(metrics, name)(performance, 525_600.0) is not None
        for name in ("sharpe", "sortino", "calmar")
    }


@pytest.mark.parametrize(
    ("equities", "expected"),
    [
        ((1001.0,), []),
        ((1001.0, 1002.001), []),
        ((1010.0, 1020.0), ["sharpe"]),
        ((999.0, 1000.0), ["sharpe", "sortino", "calmar"]),
        ((990.0, -5.0, 10.0), []),
        ((0.0, 10.0), []),
    ],
    ids=["one return", "equal returns", "no loss", "a loss", "ruin", "exactly nothing left"],
)
def test_a_degenerate_curve_gives_none(equities: tuple[float, ...], expected: list[str]) -> None:
    performance = performance_of(*equities)
    assert [name for name, is_defined in defined(performance).items() if is_defined] == expected


def test_growth_beyond_float_range_gives_none() -> None:
    assert not defined(performance_of(900.0, 1e6))["calmar"]


def test_a_stretch_below_the_peak_that_still_goes_on_counts() -> None:
    performance = performance_of(1010.0, 1000.0, 1010.0, 1009.0)
    for time in range(4, 8):
        performance.rest(time)
    assert performance.longest_under() == 5
    assert performance_of(1010.0, 1000.0, 1001.0, 1010.0).longest_under() == 2


@given(count=st.integers(0, 3 * MAX_POINTS))
@examples(15)
def test_the_curve_is_bounded_and_evenly_spaced(count: int) -> None:
    curve = EquityCurve()
    for n in range(1, count + 1):
        if n == curve.due:
            curve.add(n, float(n))
    points = curve.points()
    assert len(points) < MAX_POINTS
    assert len(points) == count // curve.stride
    assert [time for time, _ in points] == [curve.stride * (i + 1) for i in range(len(points))]
    assert all(time == equity for time, equity in points)


def test_the_risk_score_grows_with_loss_exposure_and_bad_luck(make: Make) -> None:
    def score(**risk: float) -> Metrics:
        instance = make({1: lambda s: s.order.buy(quantity=5)}, risk=risk)
        Desk(instance).play(random_candles(30, seed=3))
        return instance.metrics()

    calm, strict = score(), score(maxDrawdown=0.5, maxPositionSize=0.6)
    assert 0.0 < calm.risk_score < 100.0
    exposure = 5 * random_candles(30, seed=3)[-1].close / calm.equity
    assert calm.current_exposure == pytest.approx(exposure)
    drawdown = 1 - calm.equity / max(equity for _, equity in [(0, CAPITAL), *curve_of(make)])
    assert calm.risk_score == pytest.approx(50 * drawdown / 0.2 + 30 * exposure)
    assert strict.risk_score == pytest.approx(50 * drawdown / 0.5 + 30 * exposure / 0.6)


def curve_of(make: Make) -> list[tuple[int, float]]:
    instance = make({1: lambda s: s.order.buy(quantity=5)})
    Desk(instance).play(random_candles(30, seed=3))
    return instance.equity_curve()


def test_money_is_exact(make: Make) -> None:
    instance, _, fills = gamble(make, seed=1)
    metrics = instance.metrics()
    assert metrics.fees == Decimal("0.03") * len(fills)
    assert isinstance(metrics.realised, Decimal)
    assert math.isclose(
        metrics.equity,
        CAPITAL + float(metrics.realised - metrics.fees) + metrics.unrealised,
        rel_tol=1e-12,
    )
