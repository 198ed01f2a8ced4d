"""Protective orders: stop, target and trailing stop around a sub-position (one cancels all).

=========================  ===================================================================
event                      what happens to the bracket
=========================  ===================================================================
entry fills                made, or moved to the new average entry price and quantity
position shrinks           resized to what is left, prices unchanged
position goes flat         cancelled, with every order that could only close
entry reverses             the old side's is cancelled, with every order that could only close
                           that side; the new side's is made
entry fills at the open    stop and target live for the rest of that candle
entry fills inside         stop lives at once, target from the next candle
entry fills at the close   both live from the next candle
=========================  ===================================================================

Levels for a long position with average entry price A: stop A x (1 - stop_loss), target
A x (1 + take_profit), trail best x (1 - trailing_stop), each rounded to the nearest tick; a
short mirrors them. A level at or below zero makes no order. A changed order keeps its id and is
announced by another `OrderAccepted`; moving a trailing stop's trigger with the market is not.

Ids are the entry's order id with ``:sl``, ``:tp`` or ``:ts``; a second bracket of the same entry
order (its first one was closed while it still filled) adds a 2, and so on. Once a stop or target
has closed a position, what still works of the entries that built it is cancelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.money import ZERO
from engine.trading.blotter import Blotter
from engine.trading.gateway import Gateway, Moment
from engine.trading.orders import Order, kind_of
from engine.trading.positions import Position
from engine.types import OrderRole, OrderType

if TYPE_CHECKING:  # executions own the brackets
    from engine.trading.executions import Executions

__all__ = ["Brackets", "trail_level"]


def trail_level(order: Order) -> Decimal:
    """Return the trigger of a trailing stop at its best price, on a tick."""
    trail = order.trail
    assert trail is not None  # noqa: S101 - only trailing stops are asked
    factor = 1 - trail if order.sign < 0 else 1 + trail
    instrument = order.book.instrument
    return instrument.price(instrument.price(order.best) * factor)


class Brackets:
    """Makes, moves, resizes and cancels protective orders after fills."""

    def __init__(self, blotter: Blotter, gateway: Gateway, executions: Executions) -> None:
        self._blotter = blotter
        self._gateway = gateway
        self._executions = executions

    def after_fill(self, order: Order, opened: Decimal, price: Decimal, moment: Moment) -> None:
        """Adapt the bracket to the position a fill has left.

        Args:
            order: What filled.
            opened: How much of it opened exposure; zero or less: none.
            price: Its price.
            moment: When, and from when new protective orders may fill.
        """
        position = order.position
        working = position.protectors()
        if not position.quantity:
            self._clear(position, working, order, moment.time)
        elif opened > ZERO:
            # If the position changed sides, what protected or closed the old one is void.
            if working or position.exits:
                for other in (*working, *position.exits):
                    if other.sign == order.sign:
                        self._executions.cancel(other, "reversed", moment.time)
                working = position.protectors()
            if working or order.protect is not None:
                fresh = not working or order.fills == 1
                order.brackets += fresh
                self._raise(order, price, moment, fresh=fresh)
        else:
            self._resize(position, working, moment.time)

    def _clear(self, position: Position, working: Sequence[Order], order: Order, time: int) -> None:
        if working or position.exits:
            for other in (*working, *position.exits):
                self._executions.cancel(other, "flat", time)
        if position.entries and order.role in _FORMS:
            # What a stop or target has closed is not entered further.
            for entry in tuple(position.entries):
                if entry.fills:
                    self._executions.cancel(entry, "flat", time)

    def _resize(self, position: Position, working: Sequence[Order], time: int) -> None:
        size = abs(position.quantity)
        for order in working:
            if order.leaves != size:
                order.quantity += size - order.leaves
                order.leaves = size
                self._blotter.accepted(order, time)

    def _raise(self, entry: Order, price: Decimal, moment: Moment, *, fresh: bool) -> None:
        """Make the bracket, or move it to the new average price.

        Unless `fresh`, what the strategy has cancelled of it stays cancelled.
        """
        position = entry.position
        average = position.cost / abs(position.quantity)
        sign = entry.sign
        instrument = position.book.instrument
        stop_loss, take_profit, trailing_stop = position.protect_with(entry)
        if stop_loss is not None and (fresh or position.stop):
            level = instrument.price(average * (1 - sign * stop_loss))
            position.stop = self._place(
                position.stop or _make(entry, OrderRole.STOP_LOSS, moment.stop_from),
                level,
                moment.time,
            )
        if trailing_stop is not None and (fresh or position.trailer):
            order = position.trailer
            if order is None:
                order = _make(entry, OrderRole.TRAILING_STOP, moment.stop_from)
                order.best = float(price)
                order.inside = moment.stop_from != moment.target_from
            order.trail = trailing_stop
            position.trailer = self._place(order, trail_level(order), moment.time)
        if take_profit is not None and (fresh or position.target):
            level = instrument.price(average * (1 + sign * take_profit))
            position.target = self._place(
                position.target or _make(entry, OrderRole.TAKE_PROFIT, moment.target_from),
                level,
                moment.time,
            )

    def _place(self, order: Order, level: Decimal, time: int) -> Order | None:
        """Work a protective order at a level for the whole position."""
        size = abs(order.position.quantity)
        is_new = not order.quantity
        if level <= ZERO:
            if not is_new:
                self._executions.cancel(order, "no_level", time)
            return None
        order.quantity += size - order.leaves
        order.leaves = size
        order.price = level
        order.level = float(level)
        self._blotter.accepted(order, time)
        self._gateway.submit(order)
        return order


def _make(entry: Order, role: OrderRole, active: int) -> Order:
    """Return a protective order without size and level so far."""
    suffix, order_type = _FORMS[role]
    again = "" if entry.brackets < 2 else str(entry.brackets)  # noqa: PLR2004 - the second one
    return Order(
        id=f"{entry.id}{suffix}{again}",
        intent_id=entry.intent_id,
        participant=entry.participant,
        position=entry.position,
        book=entry.book,
        side=entry.side.opposite,
        sign=-entry.sign,
        type=order_type,
        kind=kind_of(order_type),
        role=role,
        quantity=ZERO,
        leaves=ZERO,
        active=active,
        reduces=True,
    )


_FORMS = {
    OrderRole.STOP_LOSS: (":sl", OrderType.STOP),
    OrderRole.TAKE_PROFIT: (":tp", OrderType.TAKE_PROFIT),
    OrderRole.TRAILING_STOP: (":ts", OrderType.TRAILING_STOP),
}
