"""What a strategy earned, by its fills.

The words are those of `engine.instance.metrics`, and so are the calculations: round trips come from
`engine.instance.position`, ratios from `engine.instance.performance`. What differs is the curve:
an instance marks its open positions at every candle; here E is the capital and what was realised
net of fees, after every fill for the drawdown and at the end of every UTC day for the ratios.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from engine.history.trades import Trade
from engine.history.visible import Trader
from engine.instance.metrics import annual_candles, ratio, sharpe, sortino, total_return
from engine.instance.performance import Performance as Accumulator
from engine.instance.position import Position, RoundTrip
from engine.money import ZERO, find_instrument
from engine.types import Fill, OrderRole, Side

__all__ = ["DAY_MS", "LEAST_DAYS", "Performance", "earned", "performance_of"]

DAY_MS: Final = 86_400_000

LEAST_DAYS: Final = 7
"""Ratios of fewer days say nothing about a year."""


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the fills of a period. Money is in `currency`, fractions are of 1.

    Attributes:
        strategy_id: Of a strategy or a subscription.
        currency: Quote currency of its main symbol.
        capital: At the beginning of the period: what it began with and had earned; None: not known.
        since_ms: First moment that counts, milliseconds UTC; None: nothing was traded.
        until_ms: Last fill.
        fills: How many.
        round_trips: Positions that were closed, or turned round.
        winning, losing: Of those, with a profit net of fees above and below zero.
        win_rate: winning / round trips; None without any.
        realized: Profit of what was closed, before fees.
        fees: What was paid in `currency`.
        net: Both together.
        total_return: net / capital; None where the capital is not known.
        profit_factor: Sum of profits / |sum of losses| of round trips; None without a loss.
        expectancy: Mean P&L of a round trip; None without any.
        average_trade: Mean of P&L / entry notional, a fraction; None without any.
        max_drawdown: max(1 - E / highest E before), a fraction; None: the capital is not known.
        days: UTC days from first to last.
        sharpe: Of the days' returns, annualised; None with fewer than `LEAST_DAYS` days, or where
            it is not defined.
        sortino: Likewise.
        mean_holding_s: From entry to exit, mean of the round trips; None without any.
        exposure: Part of the period in which a position was open; None where it has no length.
    """

    strategy_id: str
    currency: str
    capital: Decimal | None
    since_ms: int | None
    until_ms: int | None
    fills: int
    round_trips: int
    winning: int
    losing: int
    win_rate: float | None
    realized: Decimal
    fees: Decimal
    net: Decimal
    total_return: float | None
    profit_factor: float | None
    expectancy: float | None
    average_trade: float | None
    max_drawdown: float | None
    days: int
    sharpe: float | None
    sortino: float | None
    mean_holding_s: float | None
    exposure: float | None


def earned(trade: Trade, currency: str) -> Decimal:
    """Return what a fill brought net of its fee; a fee in another currency is not counted."""
    fee = trade.fee if trade.fee_currency == currency else ZERO
    return (trade.realized or ZERO) - fee


def performance_of(
    trader: Trader, trades: Sequence[Trade], *, since_ms: int | None = None
) -> Performance:
    """Return what came of the fills from a moment on.

    Args:
        trader: Whose they are.
        trades: All its fills so far, in their order: positions that were open are known from them.
        since_ms: Milliseconds UTC; None: all count.
    """
    first = 0 if since_ms is None else bisect_left(trades, since_ms, key=_moment)
    earlier, counted = trades[:first], trades[first:]
    before = sum((earned(trade, trader.currency) for trade in earlier), start=ZERO)
    capital = None if trader.capital is None else trader.capital + before
    book = _Book(trader.currency)
    for trade in earlier:
        book.take(trade)
    trips = [trip for trade in counted if (trip := book.take(trade)) is not None]
    closed = Accumulator(0.0)
    for trip in trips:
        closed.close_trade(trip)
    period = _period_of(trades, counted, since_ms)
    realized = sum((trade.realized or ZERO for trade in counted), start=ZERO)
    net = sum((earned(trade, trader.currency) for trade in counted), start=ZERO)
    by_fill, by_day = _curves(trader.currency, counted, capital, period)
    days = 0 if by_day is None else by_day.candles
    has_ratios = by_day is not None and days >= LEAST_DAYS
    annual = annual_candles(DAY_MS)
    return Performance(
        strategy_id=trader.id,
        currency=trader.currency,
        capital=capital,
        since_ms=period and period[0],
        until_ms=period and period[1],
        fills=len(counted),
        round_trips=closed.trades,
        winning=closed.wins,
        losing=closed.losses,
        win_rate=ratio(closed.wins, closed.trades),
        realized=realized,
        fees=realized - net,
        net=net,
        total_return=None if by_fill is None else total_return(by_fill, by_fill.equity),
        profit_factor=ratio(closed.gross_profit, closed.gross_loss),
        expectancy=ratio(closed.gross_profit - closed.gross_loss, closed.trades),
        average_trade=ratio(closed.sum_trade_return, closed.trades),
        max_drawdown=None if by_fill is None else by_fill.max_drawdown,
        days=days,
        sharpe=sharpe(by_day, annual) if by_day is not None and has_ratios else None,
        sortino=sortino(by_day, annual) if by_day is not None and has_ratios else None,
        mean_holding_s=_mean_holding_s(trips),
        exposure=None if period is None else ratio(book.open_ms(*period), period[1] - period[0]),
    )


def _moment(trade: Trade) -> int:
    return trade.at_ms


def _period_of(
    trades: Sequence[Trade], counted: Sequence[Trade], since_ms: int | None
) -> tuple[int, int] | None:
    """Return first and last moment that count; None: nothing was traded."""
    if not counted:
        return None
    first = trades[0].at_ms
    return first if since_ms is None else max(since_ms, first), counted[-1].at_ms


def _curves(
    currency: str,
    counted: Sequence[Trade],
    capital: Decimal | None,
    period: tuple[int, int] | None,
) -> tuple[Accumulator | None, Accumulator | None]:
    """Return the realised equity after every fill and at the end of every day."""
    if capital is None or capital <= 0 or period is None:
        return None, None
    by_fill, by_day = Accumulator(float(capital)), Accumulator(float(capital))
    equity = capital
    day, last_day = (moment // DAY_MS for moment in period)
    for trade in counted:
        while day < trade.at_ms // DAY_MS:
            day += 1
            by_day.mark(day * DAY_MS, float(equity), exposed=False)
        equity += earned(trade, currency)
        by_fill.mark(trade.at_ms, float(equity), exposed=False)
    by_day.mark((last_day + 1) * DAY_MS, float(equity), exposed=False)
    return by_fill, by_day


def _mean_holding_s(trips: Sequence[RoundTrip]) -> float | None:
    return ratio(sum(trip.exit_time - trip.entry_time for trip in trips) / 1000, len(trips))


class _Book:
    """The positions that fills made, and when any was open."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._positions: dict[str, dict[str, Position]] = {}
        self._stretches: list[tuple[int, int]] = []
        self._open_since: int | None = None

    def take(self, trade: Trade) -> RoundTrip | None:
        """Take a fill in, and return the round trip it ended, if any."""
        held = self._positions.setdefault(trade.run_id, {})
        position = held.get(trade.symbol)
        if position is None:
            position = held[trade.symbol] = Position(
                trade.symbol, find_instrument(trade.symbol, {})
            )
        trip = position.apply(
            Fill(
                instance="",
                fill_id=trade.id,
                order_id="",
                symbol=trade.symbol,
                side=Side(trade.side),
                role=OrderRole.ENTRY,
                quantity=trade.quantity,
                price=trade.price,
                fee=trade.fee if trade.fee_currency == self._currency else ZERO,
                leaves=ZERO,
                time=trade.at_ms,
            )
        )
        # A run that came later has nothing of what an earlier one held.
        self._note(trade.at_ms, is_open=any(not each.is_flat for each in held.values()))
        return trip

    def _note(self, at_ms: int, *, is_open: bool) -> None:
        if is_open and self._open_since is None:
            self._open_since = at_ms
        elif not is_open and self._open_since is not None:
            self._stretches.append((self._open_since, at_ms))
            self._open_since = None

    def open_ms(self, since: int, until: int) -> int:
        """Return how long any position was open between two moments."""
        stretches = list(self._stretches)
        if self._open_since is not None:
            stretches.append((self._open_since, until))
        return sum(max(0, min(last, until) - max(first, since)) for first, last in stretches)
