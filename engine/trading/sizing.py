"""How large an entry becomes.

================  ======================================================================
sizing mode       quantity wanted for a signal without its own quantity
================  ======================================================================
equity_fraction   value x equity x leverage / price (value: default max_position_size)
fixed_quantity    value
fixed_notional    value / price
================  ======================================================================

Equity is the strategy's capital (or the account's starting balance) plus what it has realised,
fees paid. Whatever is wanted is cut so that the position stays within
max_position_size x equity x leverage, then rounded down to whole lots. A follower's fixed quantity
or notional is its share of the strategy's (see `engine.trading.following`).
"""

from __future__ import annotations

from decimal import Decimal

from engine.money import ZERO, plain
from engine.trading.following import share_of_capital
from engine.trading.positions import Position
from engine.trading.refusals import Refusal

__all__ = ["check_notional", "entry_quantity"]


def entry_quantity(
    position: Position, sign: int, wanted: Decimal | None, price: Decimal
) -> Decimal | Refusal:
    """Return the quantity (base, whole lots) an entry opens, before capital is asked.

    Args:
        position: Where it enters; an opposite position counts as closed.
        sign: +1 long, -1 short.
        wanted: The intent's own quantity, None: by the strategy's sizing.
        price: Expected price, quote currency.
    """
    config = position.participant.config
    limit = config.risk.max_position_size * position.purse.balance * config.leverage
    most = limit
    if position.quantity or position.entries:
        most -= _taken(position, sign, price)
    if most <= ZERO:
        return Refusal(
            "max_position_size",
            f"position and working entries already reach {plain(limit)}, "
            f"{config.risk.max_position_size:.2%} of the strategy's equity",
        )
    sizing, notional = config.sizing, limit
    value = sizing.value
    if wanted is None and value is not None and sizing.mode != "equity_fraction":
        if position.participant.leader is not None:
            value *= share_of_capital(position)
        if sizing.mode == "fixed_quantity":
            wanted = value
    if wanted is not None:
        notional = wanted * price
    elif value is not None:
        notional = value
        if sizing.mode == "equity_fraction":
            notional *= position.purse.balance * config.leverage
    instrument = position.book.instrument
    if notional > most:
        quantity = instrument.quantity(most / price)
    else:
        quantity = instrument.quantity(notional / price if wanted is None else wanted)
    return check_notional(position, quantity, price)


def _taken(position: Position, sign: int, price: Decimal) -> Decimal:
    """Return the notional that position and working entries take up on one side already."""
    taken = ZERO
    if position.quantity and (position.quantity > ZERO) == (sign > 0):
        taken = position.cost
    for entry in position.entries:
        if entry.sign == sign:
            taken += entry.opens * (entry.price or price)
    return taken


def check_notional(position: Position, quantity: Decimal, price: Decimal) -> Decimal | Refusal:
    """Return the quantity if its value is within the order limits."""
    instrument = position.book.instrument
    if quantity <= ZERO:
        return Refusal(
            "min_quantity",
            f"the order comes to less than one lot of {plain(instrument.lot_size)} "
            f"{instrument.base}",
        )
    notional = quantity * price
    if notional < instrument.min_notional:
        return Refusal(
            "min_notional",
            f"order of {plain(notional)} {instrument.quote}; "
            f"the smallest is {plain(instrument.min_notional)}",
        )
    largest = position.participant.risk.max_order_notional
    if largest is not None and notional > largest:
        return Refusal(
            "max_order_notional",
            f"order of {plain(notional)} {instrument.quote}; the largest is {plain(largest)}",
        )
    return quantity
