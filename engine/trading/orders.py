"""Working orders and the per-symbol books they work in."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import TYPE_CHECKING

import msgspec

from engine.money import ZERO, Instrument, to_decimal
from engine.types import OrderAccepted, OrderRole, OrderType, Side

if TYPE_CHECKING:  # the three refer to each other
    from engine.trading.participants import Participant
    from engine.trading.positions import Position, Protection

__all__ = [
    "LIMIT",
    "MARKET",
    "STOP",
    "TRAIL",
    "NetOrder",
    "Order",
    "OrderStatus",
    "SymbolBook",
    "kind_of",
]

# How an order is matched; an int because it is compared for every working order of a candle.
MARKET = 0
STOP = 1
LIMIT = 2
TRAIL = 3

_KINDS = {
    OrderType.MARKET: MARKET,
    OrderType.STOP: STOP,
    OrderType.LIMIT: LIMIT,
    OrderType.TAKE_PROFIT: LIMIT,
    OrderType.TRAILING_STOP: TRAIL,
}
_INFINITY = float("inf")


def kind_of(order_type: OrderType) -> int:
    """Return the way an order type is matched: `MARKET`, `STOP`, `LIMIT` or `TRAIL`."""
    return _KINDS[order_type]


class OrderStatus(IntEnum):
    """Life of an order; everything but WORKING is terminal and never changes again."""

    WORKING = 0
    FILLED = 1
    CANCELED = 2


class Order(msgspec.Struct, eq=False, kw_only=True):
    """An order that works, or has worked, at a gateway.

    Attributes:
        id: Deterministic; derives from the intent.
        intent_id: The intent it came from; of a protective order, the one of its entry.
        participant: Whose order it is.
        position: The sub-position it changes.
        book: Where it works.
        sign: +1 buys, -1 sells.
        kind: How it is matched, see `kind_of`.
        quantity: Ordered, base currency.
        leaves: What may still fill; never negative.
        opens: Part of `leaves` meant to open exposure (entries only); the rest closes.
        price: Limit or trigger price; of a trailing stop the trigger now.
        level: `price` as float64, for comparing with candles.
        active: ms UTC; only candles opening and ticks happening from then on can fill it.
        reserved: Capital set aside for it, quote currency.
        reduces: It may only shrink the position.
        flips: It closes one side and opens the other: shrinks when the close is done elsewhere.
        triggered: A stop that has fired and whose rest works like a market order.
        voided: An entry that must not fill any more, on record as cancelled; it is kept until its
            instance can be told (see `Executions.void`).
        cut: Its leaves were cut because the capital did not suffice.
        protect: Fractions of the bracket an entry asks for; None: no bracket.
        trail: Fraction of a trailing stop.
        best: Of a trailing stop, the best price since entry.
        inside: Of a trailing stop, created inside the candle now matched.
        fills: Number of fills so far.
        brackets: Of an entry, number of brackets made for it so far.
        last_open: Opening time of the candle that last filled it.
        ticked: Filled by ticks inside the candle that opened at `ticked_open`.
        parent: The net order it is part of, or None.
        children: Of a net order: the orders it stands for.
    """

    id: str
    intent_id: str
    participant: Participant
    position: Position
    book: SymbolBook
    side: Side
    sign: int
    type: OrderType
    kind: int
    role: OrderRole
    quantity: Decimal
    leaves: Decimal
    active: int
    opens: Decimal = ZERO
    price: Decimal | None = None
    level: float = 0.0
    reserved: Decimal = ZERO
    status: OrderStatus = OrderStatus.WORKING
    reduces: bool = False
    flips: bool = False
    triggered: bool = False
    voided: bool = False
    cut: bool = False
    protect: Protection | None = None
    trail: Decimal | None = None
    best: float = 0.0
    inside: bool = False
    fills: int = 0
    brackets: int = 0
    last_open: int = -1
    ticked: Decimal = ZERO
    ticked_open: int = -1
    parent: NetOrder | None = None

    def accepted(self, time: int) -> OrderAccepted:
        """Return the event that tells the instance the terms the order works on."""
        return OrderAccepted(
            self.participant.id,
            self.id,
            self.intent_id,
            self.position.symbol,
            self.side,
            self.type,
            self.role,
            self.quantity,
            self.price,
            self.trail,
            time,
        )


class NetOrder(msgspec.Struct, eq=False, kw_only=True):
    """One parent market order for all market wishes of an account and symbol in one slice.

    Its net quantity is the signed sum of what its children still want, so it follows when a
    child is cancelled or cut.
    """

    id: str
    account: str
    book: SymbolBook
    active: int
    children: list[Order]
    fills: int = 0
    last_open: int = -1


class SymbolBook:
    """Everything known about one traded symbol: instrument, last price, working orders.

    Attributes:
        key: ``venue:symbol``.
        stream: Base stream it is matched on; empty if the market has none.
        interval_ms: Length of a base candle.
        mark: Last price as float64, NaN before the first candle.
        orders: Working orders by id, in the order they were submitted.
        nets: Working net orders by id.
        restless: Something must be looked at whatever the candle's prices are.
        floor: A candle whose low stays above it, and ...
        ceiling: ... whose high stays below it, touches no order; both void while `restless`.
        dirty: The three above must be settled again.
    """

    __slots__ = (
        "_mark_decimal",
        "_mark_of",
        "ceiling",
        "dirty",
        "floor",
        "instrument",
        "interval_ms",
        "key",
        "mark",
        "nets",
        "orders",
        "restless",
        "stream",
        "symbol",
    )

    def __init__(
        self, key: str, symbol: str, stream: str, interval_ms: int, instrument: Instrument
    ) -> None:
        self.key = key
        self.symbol = symbol
        self.stream = stream
        self.interval_ms = interval_ms
        self.instrument = instrument
        self.mark = float("nan")
        self._mark_of = float("nan")
        self._mark_decimal = ZERO
        self.orders: dict[str, Order] = {}
        self.nets: dict[str, NetOrder] = {}
        self.restless = False
        self.floor = -_INFINITY
        self.ceiling = _INFINITY
        self.dirty = False

    @property
    def has_mark(self) -> bool:
        """Tell whether any price has been seen."""
        return self.mark == self.mark

    def mark_price(self) -> Decimal:
        """Return the last price as Decimal, converted once per price."""
        if self._mark_of != self.mark:
            self._mark_decimal = to_decimal(self.mark)
            self._mark_of = self.mark
        return self._mark_decimal

    def settle(self) -> None:
        """Work out which candles can be passed over without looking at each order."""
        self.dirty = False
        self.restless = True
        if self.nets:
            return
        floor, ceiling = -_INFINITY, _INFINITY
        for order in self.orders.values():
            kind = order.kind
            if kind == MARKET or order.triggered or order.inside:
                return
            level = order.level
            if kind == TRAIL:
                # One side triggers it, the other one moves its best price.
                low, high = (level, order.best) if order.sign < 0 else (order.best, level)
                floor, ceiling = max(floor, low), min(ceiling, high)
            elif (kind == LIMIT) == (order.sign > 0):
                floor = max(floor, level)
            else:
                ceiling = min(ceiling, level)
        self.floor, self.ceiling, self.restless = floor, ceiling, False
