"""What a strategy trades with, and whether its money would have been enough for every trade.

The order manager cuts or refuses an entry for which capital is short. The vectorised backtest
plays as if there were always enough and looks afterwards: one entry that comes within a billionth
of a limit, and the whole result is refused. So whatever is given out, nothing was cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from engine.config import RunConfig, StrategyConfig
from engine.errors import ConfigError
from engine.market.columns import Floats
from engine.money import Instrument, plain
from engine.vectorised.positions import Changes
from engine.vectorised.restrictions import INSTEAD

__all__ = ["Funds", "ShortOfFundsError", "funds_of", "require_enough"]

_BPS = Decimal(10_000)
_MARGIN = 1e-9
_BITS = 1e-14  # some roundings of a float
_LEAST = 1e-6  # roundings to units of 1e-8


class ShortOfFundsError(ConfigError):
    """An entry would be cut or refused, so the trades would not be those of the rules."""


@dataclass(frozen=True)
class Funds:
    """On what terms a strategy trades; money in quote currency.

    Attributes:
        strategy: Id, for messages.
        instrument: Trading rules of its symbol.
        quantity: Size of every position, base currency, whole lots.
        fee_rate: Fee per notional.
        slippage: Fraction by which a price is worsened.
        capital: Where the strategy's equity starts.
        balance: Where its account's balance starts.
        leverage: At least 1.
        max_position_size: Largest position, as a fraction of equity x leverage.
    """

    strategy: str
    instrument: Instrument
    quantity: Decimal
    fee_rate: Decimal
    slippage: Decimal
    capital: Decimal
    balance: Decimal
    leverage: Decimal
    max_position_size: Decimal


def funds_of(strategy: StrategyConfig, run: RunConfig, instrument: Instrument) -> Funds:
    """Read a strategy's terms from the configuration.

    Raises:
        ConfigError: Its account has no balance of the quote currency, or the quantity is below
            one lot.
    """
    value = strategy.sizing.value
    quantity = Decimal(0) if value is None else instrument.quantity(value)
    if quantity <= 0:
        raise ConfigError(
            f"strategy {strategy.id!r}: sizing.value must be at least one lot of "
            f"{plain(instrument.lot_size)} {instrument.base}, is {value}; set a larger one"
        )
    return Funds(
        strategy=strategy.id,
        instrument=instrument,
        quantity=quantity,
        fee_rate=run.execution.taker_fee_bps / _BPS,
        slippage=run.execution.slippage_bps / _BPS,
        capital=run.capital_of(strategy),
        balance=run.capital_of(strategy.model_copy(update={"capital": None})),
        leverage=strategy.leverage,
        max_position_size=strategy.risk.max_position_size,
    )


def require_enough(
    funds: Funds, changes: Changes, closes: Floats, filled: Floats, earned: Floats
) -> None:
    """Refuse trades of which one would have been cut or refused.

    With q the quantity, r the fee rate and L the leverage, an entry at price P needs

        q P / L + q P r  <=  balance + profit of what it closes at P - q P r of that

    at the price expected when it is decided and at the price it fills at; likewise
    for the strategy's own capital, of which q P <= max_position_size L is required as well.

    Args:
        funds: Terms.
        changes: All that filled.
        closes: Of all candles, shape ``(rows,)``.
        filled: Price of each change, shape ``(changes,)``.
        earned: Profit less fees of all changes up to each, shape ``(changes,)``.

    Raises:
        ShortOfFundsError: Names the first such entry and its limit.
    """
    entries = np.flatnonzero(changes.after)
    if not entries.size:
        return
    side = changes.before[entries]
    # No entry is the change after index -1: at the first one there is nothing yet, 0 x anything.
    entered = filled[entries - 1]
    before = np.where(entries > 0, earned[entries - 1], 0.0)
    buys = changes.after[entries] > 0
    least_expected, expected = _expected(funds, closes[changes.row[entries]], buys)
    size, rate = float(funds.quantity), float(funds.fee_rate)
    needs = np.zeros(entries.size)
    for price in (expected, filled[entries]):
        need = size * price * (1.0 / float(funds.leverage) + rate)
        set_free = side * size * (price - entered) - np.abs(side) * size * price * rate
        needs = np.maximum(needs, need - set_free)
    own = float(funds.capital) + before
    start = float(min(funds.capital, funds.balance))
    largest = own * float(funds.max_position_size) * float(funds.leverage)
    limits = (
        ("its capital or balance", needs, start + before),
        ("risk.max_position_size", size * expected, largest),
    )
    for name, wanted, most in limits:
        short = wanted + np.abs(wanted) * _MARGIN + _LEAST >= most
        if short.any():
            at = int(short.argmax())
            raise _short(funds, int(changes.row[entries[at]]), name, wanted[at], most[at])
    least = float(funds.instrument.min_notional)
    small = size * least_expected <= least * (1.0 + _MARGIN)
    if least and small.any():
        at = int(small.argmax())
        raise ShortOfFundsError(
            f"strategy {funds.strategy!r}: the entry decided at candle "
            f"{changes.row[entries[at]]} comes to {size * least_expected[at]:.10g} "
            f"{funds.instrument.quote}, min_notional is {least:.10g}; set a larger sizing.value, "
            f"or {INSTEAD}"
        )


def _expected(funds: Funds, closes: Floats, buys: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the lowest and the highest price each entry may have been expected to fill at.

    A buyer expects the close with slippage, rounded up to a tick; a seller the close itself. The
    two prices differ only where that rounding hangs on the last bits of a float, by a whole tick.
    """
    if not funds.slippage:
        return closes, closes
    tick = float(funds.instrument.tick_size)
    worse = closes * (1.0 + float(funds.slippage)) / tick
    low, high = (np.ceil(worse * (1.0 + sign * _BITS)) * tick for sign in (-1, 1))
    return np.where(buys, low, closes), np.where(buys, high, closes)


def _short(funds: Funds, row: int, limit: str, wanted: float, most: float) -> ShortOfFundsError:
    return ShortOfFundsError(
        f"strategy {funds.strategy!r}: the entry decided at candle {row} takes {wanted:.10g} "
        f"{funds.instrument.quote}, {limit} allows {most:.10g}: it would be cut or refused; set "
        f"a smaller sizing.value or more capital, or {INSTEAD}"
    )
