"""Round trips and their profit, exact to the last digit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.market.columns import Ints
from engine.types import Side
from engine.vectorised.units import Units, to_amount

__all__ = ["OpenTrade", "Trade", "Trades"]


class Trade(NamedTuple):
    """A round trip. Indices are rows of the candles an order filled in, one after its signal.

    Attributes:
        side: BUY for a long, SELL for a short position.
        entry_index: Candle of the entry.
        entry_price: Quote currency, slippage included.
        exit_index: Candle of the exit.
        exit_price: As `entry_price`.
        pnl: Profit net of its fees, quote currency. A fill that turns a position round ends one
            round trip and begins the next; each bears half of its fee.
    """

    side: Side
    entry_index: int
    entry_price: Decimal
    exit_index: int
    exit_price: Decimal
    pnl: Decimal


class OpenTrade(NamedTuple):
    """A position that is still open after the last candle; fields as in `Trade`."""

    side: Side
    entry_index: int
    entry_price: Decimal


@dataclass(frozen=True, eq=False)
class Trades:
    """What one strategy did over a series of candles. Arrays are of shape ``(trades,)``.

    Attributes:
        side: +1 long, -1 short.
        entry_index: Row of the candle each was entered in.
        exit_index: Row of the candle each was left in.
        entry_units: Price of each entry, in units of 10^-price_decimals.
        exit_units: Price of each exit, likewise.
        price_decimals: See above.
        pnl_units: Profit of each net of its fees, in units of 10^-decimals of the quote currency.
        fee_units: All fees, the entry of an open position included.
        decimals: See above.
        max_drawdown: Largest fall of the equity from its peak, a fraction of the peak; marked to
            market at every close, open position included: `max_drawdown` of the metrics.
        open_trade: The position left at the end, if any.
    """

    side: NDArray[np.int64]
    entry_index: Ints
    exit_index: Ints
    entry_units: Units
    exit_units: Units
    price_decimals: int
    pnl_units: Units
    fee_units: int
    decimals: int
    max_drawdown: float
    open_trade: OpenTrade | None

    def __len__(self) -> int:
        return len(self.side)

    def __iter__(self) -> Iterator[Trade]:
        for side, entry, bought, exit_, sold, pnl in zip(
            self.side.tolist(),
            self.entry_index.tolist(),
            self.entry_units.tolist(),
            self.exit_index.tolist(),
            self.exit_units.tolist(),
            self.pnl_units.tolist(),
            strict=True,
        ):
            yield Trade(
                Side.BUY if side > 0 else Side.SELL,
                entry,
                to_amount(bought, self.price_decimals),
                exit_,
                to_amount(sold, self.price_decimals),
                to_amount(pnl, self.decimals),
            )

    @property
    def pnl(self) -> Decimal:
        """Return the profit of all round trips net of their fees, quote currency, exact."""
        return to_amount(int(self.pnl_units.sum()), self.decimals)

    @property
    def fees(self) -> Decimal:
        """Return all fees, quote currency, exact; the entry of an open position included."""
        return to_amount(self.fee_units, self.decimals)

    @property
    def wins(self) -> int:
        """Return how many round trips ended with a profit above zero."""
        return int(np.count_nonzero(self.pnl_units > 0))

    @property
    def win_rate(self) -> float | None:
        """Return the share of round trips that were won; None without any."""
        return self.wins / len(self) if len(self) else None
