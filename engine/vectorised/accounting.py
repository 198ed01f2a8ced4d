"""What the changes of a position cost and earn, in the digits of the event-driven backtest.

With q the quantity and P(k) the price of change k,

    gain(k) = side before x q x (P(k) - P(k-1))
    fee(k)  = P(k) x (what is closed + what is opened) x rate, rounded to 1e-8, ties to even
    E(i)    = capital + all gains - all fees + side x q x (close(i) - P(last change))
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.market.columns import Floats
from engine.money import UNIT
from engine.types import Side
from engine.vectorised.funds import Funds, require_enough
from engine.vectorised.positions import Changes
from engine.vectorised.prices import FillPrices
from engine.vectorised.trades import OpenTrade, Trades
from engine.vectorised.units import (
    Units,
    decimals_of,
    fitting,
    halves_to_even,
    require_digits,
    to_amount,
    to_floats,
    units_of,
)

__all__ = ["account"]

_FEE_DECIMALS = decimals_of(UNIT)


class _Scale(NamedTuple):
    """How amounts are counted: quantity in units, money in units of 10^-decimals.

    `of_product` turns price units x quantity units into money units.
    """

    quantity: int
    quantity_decimals: int
    decimals: int
    of_product: int


def account(changes: Changes, prices: FillPrices, closes: Floats, funds: Funds) -> Trades:
    """Return the round trips that changes of a position make.

    Args:
        changes: The last one may be decided at the last candle: it never fills.
        prices: Of all candles.
        closes: Of all candles, shape ``(rows,)``.
        funds: On what terms.

    Raises:
        ShortOfFundsError: The event-driven backtest would have cut or refused an entry.
        ConfigError: Amounts need more digits than Decimal keeps.
    """
    if changes.row.size and changes.row[-1] == len(closes) - 1:
        changes = Changes(*(array[:-1] for array in changes))
    row, before, after = changes
    filled_at = row + 1
    units = np.where(after > before, prices.buy[filled_at], prices.sell[filled_at])
    scale = _scale(funds, prices)
    units = _with_room(units, scale, funds)
    fees = _fees(units, np.abs(after - before), prices, scale, funds)
    gains = np.zeros_like(units)
    gains[1:] = (units[1:] - units[:-1]) * before[1:] * (scale.quantity * scale.of_product)
    earned = np.cumsum(gains - fees)
    price = to_floats(units, prices.decimals)
    require_enough(funds, changes, closes, price, to_floats(earned, scale.decimals))

    # A fill that turns the position round bears half its fee for what it closes.
    closing = np.where(after == 0, fees, np.where(before == 0, 0, fees // 2))
    entries = np.flatnonzero(after)
    is_open = bool(entries.size) and int(entries[-1]) == len(row) - 1
    ended = entries[:-1] if is_open else entries
    cash = earned + units_of(funds.capital, scale.decimals)
    return Trades(
        side=after[ended],
        entry_index=filled_at[ended],
        exit_index=filled_at[ended + 1],
        entry_units=units[ended],
        exit_units=units[ended + 1],
        price_decimals=prices.decimals,
        pnl_units=gains[ended + 1] - closing[ended + 1] - (fees - closing)[ended],
        fee_units=int(fees.sum()),
        decimals=scale.decimals,
        max_drawdown=_max_drawdown(changes, price, closes, to_floats(cash, scale.decimals), funds),
        open_trade=OpenTrade(
            Side.BUY if after[-1] > 0 else Side.SELL,
            int(filled_at[-1]),
            to_amount(int(units[-1]), prices.decimals),
        )
        if is_open
        else None,
    )


def _scale(funds: Funds, prices: FillPrices) -> _Scale:
    of_quantity = decimals_of(funds.quantity)
    of_product = prices.decimals + of_quantity
    # One more digit than a fee has: it may be halved.
    of_fees = _FEE_DECIMALS + 1 if funds.fee_rate else 0
    decimals = max(of_product, of_fees, decimals_of(funds.capital))
    return _Scale(
        units_of(funds.quantity, of_quantity), of_quantity, decimals, 10 ** (decimals - of_product)
    )


def _with_room(units: Units, scale: _Scale, funds: Funds) -> Units:
    """Return price units in a dtype in which no amount of money overflows."""
    notional = 2 * int(units.max(initial=0)) * scale.quantity
    money = (notional * scale.of_product) * len(units) * (1 + math.ceil(funds.fee_rate))
    capital = units_of(funds.capital, scale.decimals)
    require_digits(f"strategy {funds.strategy!r}: sizing.value and capital", money + capital)
    return fitting(units, money + capital)


def _fees(units: Units, lots: Units, prices: FillPrices, scale: _Scale, funds: Funds) -> Units:
    """Return the fee of each change in units of money; `lots` are 1, or 2 for a turn."""
    if not funds.fee_rate or not units.size:
        return np.zeros_like(units)
    numerator, denominator = funds.fee_rate.as_integer_ratio()
    surplus = prices.decimals + scale.quantity_decimals - _FEE_DECIMALS
    numerator *= scale.quantity * 10 ** max(0, -surplus)
    denominator *= 10 ** max(0, surplus)
    largest = 2 * int(units.max()) * numerator
    require_digits("execution.taker_fee_bps", largest)
    exact = fitting(units, 2 * largest, 2 * denominator)
    to_money = 10 ** (scale.decimals - _FEE_DECIMALS)
    fees = halves_to_even(exact * lots * numerator, denominator) * to_money
    return np.asarray(fees, dtype=units.dtype)


def _max_drawdown(
    changes: Changes, price: Floats, closes: Floats, cash: Floats, funds: Funds
) -> float:
    """Return the largest fall of E from its peak so far, with the metrics' own roundings.

    Args:
        changes: All that filled.
        price: Of each, shape ``(changes,)``.
        closes: Of all candles, shape ``(rows,)``.
        cash: Capital, gains and fees after each change, shape ``(changes,)``.
        funds: Quantity and capital.
    """
    if not changes.row.size:
        return 0.0
    filled_at = changes.row + 1
    candles = np.diff(filled_at, append=len(closes))
    held = changes.after * float(funds.quantity)
    equity = closes[filled_at[0] :] - np.repeat(price, candles)
    equity *= np.repeat(held, candles)
    equity += np.repeat(cash, candles)
    peak = np.maximum.accumulate(equity)
    np.maximum(peak, float(funds.capital), out=peak)
    np.divide(equity, peak, out=equity)
    return float(max(0.0, 1.0 - equity.min()))
