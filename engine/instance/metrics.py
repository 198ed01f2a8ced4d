"""What is reported about an instance, and how each number is defined.

Everything comes from the equity curve E(0..n): E(0) the strategy's capital, E(i) = capital +
realised - fees + unrealised at the i-th close of the main stream since the instance first ran;
r(i) = E(i) / E(i-1) - 1 and A the number of main candles in a year of 365 days. The risk-free rate
is 0. A value that is not defined is None, never a magic number.

Sources: Sharpe, "The Sharpe Ratio", J. Portfolio Management 21 (1994); Sortino & Price,
"Performance Measurement in a Downside Risk Framework", J. Investing 3 (1994); Young, "Calmar
Ratio", Futures 20 (1991). The conventions are those of empyrical, which the tests compare with.
"""

from __future__ import annotations

from decimal import Decimal
from math import isfinite, sqrt

import msgspec

from engine.instance.performance import Performance
from engine.types import Action

__all__ = [
    "InstanceView",
    "LastSignal",
    "Metrics",
    "annual_candles",
    "calmar",
    "ratio",
    "risk_score",
    "sharpe",
    "sortino",
    "total_return",
]

_YEAR_MS = 365 * 24 * 3_600_000
_ROUNDING = 1e-12
_REFERENCE_DRAWDOWN = 0.2
_REFERENCE_STREAK = 5


class LastSignal(msgspec.Struct, frozen=True):
    """The newest signal that left an instance. `time` is the candle's close, ms UTC."""

    action: Action
    symbol: str
    confidence: float
    reason: str
    time: int


class InstanceView(msgspec.Struct, frozen=True):
    """The few numbers of a live table; the words are those of `Metrics`.

    Attributes:
        pnl: Equity - capital, quote currency.
        return_pct: `pnl` in percent of the capital.
        open_orders: Own orders working at the gateway.
        last_signal: Action and time of the newest signal; empty before the first.
        candles: Candles of all streams processed, warm-up included.
    """

    status: str
    position: float
    pnl: float
    return_pct: float
    trades: int
    open_orders: int
    last_signal: str
    candles: int
    errors: int
    cause: str


class Metrics(msgspec.Struct, frozen=True):
    """One instance at one moment. Money is quote currency, fractions are of 1.

    Attributes:
        status: Lifecycle status.
        cause: Why it is in `error`; empty otherwise.
        capital: E(0).
        equity: Capital + realised - fees + unrealised, now.
        realised: Profit of everything closed, before fees; exact.
        fees: All fees; exact.
        total_return: equity / capital - 1.
        win_rate: Round trips with P&L > 0 / all round trips; None without any.
        sharpe: mean(r) / standard deviation(r, n - 1) x sqrt(A); None if n < 2 or r is constant.
        sortino: mean(r) / sqrt(mean(min(r, 0)^2)) x sqrt(A); None without a negative r.
        calmar: ((E(n) / E(0))^(A / n) - 1) / max_drawdown; None without drawdown, after ruin, or
            where the annual growth exceeds float range.
        max_drawdown: max(1 - E(i) / max E(0..i)).
        max_drawdown_candles: Longest run of closes below the peak before them.
        profit_factor: Sum of positive P&L / |sum of negative P&L|; None without a loss.
        expectancy: win rate x mean win - loss rate x mean loss = mean P&L of a round trip.
        average_trade: Mean of P&L / entry notional over the round trips, a fraction.
        total_trades: Closed round trips, P&L net of fees.
        exposure_time: Closes with an open position / n; None before the first.
        position: Signed quantity in the main symbol, base currency.
        unrealised: Open profit of all symbols at their last close.
        current_exposure: Sum of |quantity| x last price / equity; None after ruin.
        risk_score: 0 (calm) to 100; see `risk_score`.
        violated_limits: Limits of `risk` breached or that refused an order, by name.
        last_update: Close of the newest candle, ms UTC; 0 before the first.
        candles: n.
        signals: Signals that left the instance, HOLD included.
        dropped: Requests of the strategy that could not become intents (see services, cooldown).
        rejected: Intents the order manager refused, by code.
        errors: Exceptions contained.
        duplicates: Candles ignored because their seq was already seen.
        parameters_version: 1, plus 1 per update.
    """

    instance: str
    status: str
    cause: str
    capital: Decimal
    equity: float
    realised: Decimal
    fees: Decimal
    total_return: float | None
    win_rate: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float
    max_drawdown_candles: int
    profit_factor: float | None
    expectancy: float | None
    average_trade: float | None
    total_trades: int
    winning_trades: int
    losing_trades: int
    exposure_time: float | None
    position: float
    average_price: float
    unrealised: float
    current_exposure: float | None
    risk_score: float
    violated_limits: tuple[str, ...]
    last_signal: LastSignal | None
    last_update: int
    candles: int
    signals: int
    dropped: int
    rejected: dict[str, int]
    errors: int
    duplicates: int
    parameters_version: int


def annual_candles(timeframe_ms: int) -> float:
    """Return A, the candles of a timeframe in a year of 365 days.

    >>> annual_candles(86_400_000)
    365.0
    """
    return _YEAR_MS / timeframe_ms


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole, None where whole is 0."""
    return part / whole if whole else None


def total_return(performance: Performance, equity: float) -> float | None:
    """Return equity / capital - 1."""
    return equity / performance.capital - 1.0 if performance.capital else None


def sharpe(performance: Performance, annual: float) -> float | None:
    """Return the annualised Sharpe ratio; None if undefined (see `Metrics`)."""
    n = performance.candles
    if n < 2 or performance.is_ruined:  # noqa: PLR2004 - n - 1 degrees of freedom
        return None
    mean = performance.sum_return / n
    scatter = performance.sum_square - performance.sum_return * mean
    if scatter <= _ROUNDING * performance.sum_square:
        return None
    return mean / sqrt(scatter / (n - 1)) * sqrt(annual)


def sortino(performance: Performance, annual: float) -> float | None:
    """Return the annualised Sortino ratio; None if undefined (see `Metrics`)."""
    n = performance.candles
    if not performance.sum_downside or performance.is_ruined:
        return None
    return performance.sum_return / n / sqrt(performance.sum_downside / n) * sqrt(annual)


def calmar(performance: Performance, annual: float) -> float | None:
    """Return annual growth / maximum drawdown; None if undefined (see `Metrics`)."""
    if not performance.max_drawdown or performance.is_ruined:
        return None
    try:
        growth = (performance.equity / performance.capital) ** (annual / performance.candles)
    except OverflowError:
        return None
    value = (growth - 1.0) / performance.max_drawdown
    return value if isfinite(value) else None


def risk_score(
    *,
    drawdown: float,
    drawdown_limit: float | None,
    exposure: float,
    exposure_limit: float,
    losing_streak: int,
) -> float:
    """Return how much of its risk budget an instance uses, 0 to 100.

    50 x used drawdown + 30 x used exposure + 20 x losing streak / 5, each share cut at 1. The
    drawdown used is the present one over `max_drawdown` of the configuration (over 20 % where
    there is no limit); the exposure used is the present one over `max_position_size` x leverage.

    >>> risk_score(
    ...     drawdown=0.1, drawdown_limit=0.2, exposure=0.5, exposure_limit=1.0, losing_streak=0
    ... )
    40.0
    """
    drawdown_used = min(drawdown / (drawdown_limit or _REFERENCE_DRAWDOWN), 1.0)
    exposure_used = min(exposure / exposure_limit, 1.0)
    streak_used = min(losing_streak / _REFERENCE_STREAK, 1.0)
    return 50.0 * drawdown_used + 30.0 * exposure_used + 20.0 * streak_used
