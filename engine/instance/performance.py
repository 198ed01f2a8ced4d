"""Online accumulators behind the metrics: a fixed number of floats, whatever the run's length.

The equity curve is sampled at each close of the main stream's candles while the instance lives.
While a strategy is flat its equity does not move and each return is exactly 0: such a candle adds
to the count and to nothing else, which is why plain sums are kept and no running mean.
"""

from __future__ import annotations

from typing import Any

from engine.instance.curve import EquityCurve
from engine.instance.position import RoundTrip

__all__ = ["Performance"]


class Performance:
    """What the metrics are computed from.

    With E(0) the capital and E(i) the equity at close i, the return of candle i is
    r(i) = E(i) / E(i-1) - 1.

    Attributes:
        candles: Closes seen, n.
        equity: E(n), quote currency.
        peak: max E(0..n).
        sum_return: Sum of r(i).
        sum_square: Sum of r(i)^2.
        sum_downside: Sum of min(r(i), 0)^2.
        max_drawdown: Largest 1 - E(i) / max E(0..i), a fraction.
        candles_exposed: Closes with an open position.
        is_ruined: Equity was zero or less; returns after that have no meaning.
        trades, wins, losses: Closed round trips; those with P&L above and below zero.
        gross_profit, gross_loss: Sums of positive and of negative P&L (as a positive number).
        sum_trade_return: Sum of P&L / entry notional over all round trips.
        losing_streak: Losing round trips since the last other one.
        curve: The curve itself, thinned.
    """

    __slots__ = (
        "_longest_under",
        "_under_since",
        "candles",
        "candles_exposed",
        "capital",
        "curve",
        "equity",
        "gross_loss",
        "gross_profit",
        "is_ruined",
        "losing_streak",
        "losses",
        "max_drawdown",
        "peak",
        "sum_downside",
        "sum_return",
        "sum_square",
        "sum_trade_return",
        "trades",
        "wins",
    )

    def __init__(self, capital: float) -> None:
        self.capital = capital
        self.equity = capital
        self.peak = capital
        self.candles = 0
        self.candles_exposed = 0
        self.sum_return = 0.0
        self.sum_square = 0.0
        self.sum_downside = 0.0
        self.max_drawdown = 0.0
        self.is_ruined = False
        self.trades = 0
        self.wins = 0
        self.losses = 0
        self.gross_profit = 0.0
        self.gross_loss = 0.0
        self.sum_trade_return = 0.0
        self.losing_streak = 0
        self._under_since = 0
        self._longest_under = 0
        self.curve = EquityCurve()

    def rest(self, time: int) -> None:
        """Count a candle without position and without a fill since the candle before."""
        self.candles = candles = self.candles + 1
        if candles == self.curve.due:
            self.curve.add(time, self.equity)

    def mark(self, time: int, equity: float, *, exposed: bool) -> None:
        """Count a candle that may have moved the equity.

        Args:
            time: Close of the candle, ms UTC.
            equity: At that close, quote currency.
            exposed: Whether a position is open at that close.
        """
        self.candles = candles = self.candles + 1
        if exposed:
            self.candles_exposed += 1
        before = self.equity
        if equity != before:
            self.equity = equity
            if before > 0.0:
                change = equity / before - 1.0
                square = change * change
                self.sum_return += change
                self.sum_square += square
                if change < 0.0:
                    self.sum_downside += square
            if equity < self.peak:
                drawdown = 1.0 - equity / self.peak
                if drawdown > self.max_drawdown:  # noqa: PLR1730 - half of `max`, per candle
                    self.max_drawdown = drawdown
                if not self._under_since:
                    self._under_since = candles
                if equity <= 0.0:
                    self.is_ruined = True
            else:
                self._rise(equity)
        if candles == self.curve.due:
            self.curve.add(time, equity)

    def _rise(self, equity: float) -> None:
        """Take a new peak, or the old one reached again."""
        self.peak = equity
        if self._under_since:
            self._longest_under = self.longest_under(self.candles - 1)
            self._under_since = 0

    def longest_under(self, last: int | None = None) -> int:
        """Return the longest run of closes below the peak before it, in candles.

        Args:
            last: Number of the last close of a run still going on; None: the newest.
        """
        if not self._under_since:
            return self._longest_under
        newest = self.candles if last is None else last
        return max(self._longest_under, newest - self._under_since + 1)

    @property
    def drawdown(self) -> float:
        """Return how far equity is below its peak at the last close, a fraction."""
        return 1.0 - self.equity / self.peak

    def close_trade(self, trip: RoundTrip) -> None:
        """Count a closed round trip. One with P&L zero is neither won nor lost."""
        pnl = float(trip.pnl)
        self.trades += 1
        self.sum_trade_return += pnl / float(trip.entry_notional)
        if pnl < 0.0:
            self.losses += 1
            self.gross_loss -= pnl
            self.losing_streak += 1
            return
        self.losing_streak = 0
        if pnl > 0.0:
            self.wins += 1
            self.gross_profit += pnl

    def state(self) -> dict[str, Any]:
        """Return everything a restore needs."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "curve"}
        return {**values, "curve": self.curve.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        for name in self.__slots__:
            if name == "curve":
                self.curve.load(state["curve"])
            else:
                setattr(self, name, state[name])
