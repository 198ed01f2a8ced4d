"""The instance's mirror of its own orders, and what it knows about when they may fill.

The order manager owns the orders; the mirror exists so that an instance can tell without asking
whether a candle could fill one of them (`OrderMirror.may_fill`). It may say yes too often (the
instance then waits for nothing), never no when a fill is possible.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from math import inf

import msgspec

from engine.money import Instrument
from engine.types import (
    CancelRequest,
    Candle,
    Decision,
    Fill,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderRole,
    OrderType,
    Side,
    Signal,
)
from engine.types import Action

__all__ = ["OrderMirror", "WorkingOrder"]


class WorkingOrder(msgspec.Struct):
    """An own order that works at the gateway. Read-only for strategies.

    Attributes:
        leaves: What is not filled yet, base currency.
        price: Limit or trigger price; for a trailing stop the trigger when it was accepted.
        trail: Trailing fraction, None for other types.
        best: Trailing stop only: best price since acceptance, never worse than the true one.
    """

    order_id: str
    intent_id: str
    symbol: str
    side: Side
    type: OrderType
    role: OrderRole
    quantity: Decimal
    leaves: Decimal
    price: Decimal | None
    trail: Decimal | None
    best: float = 0.0


class _Triggers:
    """Prices of one symbol at which some working order could fill.

    `at_or_below`: a candle whose low is at or below it may fill something; `at_or_above` likewise
    for the high. A market order makes the first infinite: any candle fills it.
    """

    __slots__ = ("at_or_above", "at_or_below", "tick", "trailing")

    def __init__(self, tick: float) -> None:
        self.tick = tick
        self.at_or_below = -inf
        self.at_or_above = inf
        self.trailing: tuple[WorkingOrder, ...] = ()
