"""Protective orders: stop, target and trailing stop around a sub-position (one cancels all).

=========================  ===================================================================
event                      what happens to the bracket
=========================  ===================================================================
entry fills                made, or moved to the new average entry price and quantity
position shrinks           resized to what is left, prices unchanged
position goes flat         cancelled, with every order that could only close
entry reverses             the old side's is cancelled, the new side's is made
entry fills at the open    stop and target live for the rest of that candle
entry fills inside         stop lives at once, target from the next candle
entry fills at the close   both live from the next candle
=========================  ===================================================================

Levels for a long position with average entry price A: stop A x (1 - stop_loss), target
A x (1 + take_profit), trail best x (1 - trailing_stop), each rounded to the nearest tick; a
short mirrors them. A level at or below zero makes no order. A changed order keeps its id and is
announced by another `OrderAccepted`; moving a trailing stop's trigger with the market is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.money import ZERO
from engine.trading.blotter import Blotter
from engine.trading.gateway import Gateway
from engine.trading.orders import Order, kind_of
from engine.trading.positions import Position
from engine.types import OrderRole, OrderType

if TYPE_CHECKING:  # executions own the brackets
    from engine.trading.executions import Executions

__all__ = ["Brackets", "trail_level"]


def trail_level(order: Order) -> Decimal:
    """Return the trigger of a trailing stop at its best price, on a tick."""
    trail = order.trail
    assert trail is not None  # noqa: S101  only trailing stops are asked
    factor = 1 - trail if order.sign < 0 else 1 + trail
    instrument = order.book.instrument
    return instrument.price(instrument.price(order.best) * factor)


class Brackets:
    """Makes, moves, resizes and cancels protective orders after fills."""

    def __init__(self, blotter: Blotter, gateway: Gateway, executions: Executions) -> None:
        self._blotter = blotter
        self._gateway = gateway
        self._executions = executions

    def after_fill(
        self,
        order: Order,
        opened: Decimal,
        price: Decimal,
        time: int,
        stop_from: int,
        target_from: int,
    ) -> None:
        """Adapt the bracket to the position a fill has left.

        Args:
            order: What filled.
            opened: How much of it opened exposure; zero or less: none.
            price: Its price.
            time: Its time.
            stop_from: Stops made now may fill in candles opening from here on.
            target_from: Targets, likewise.
        """
        position = order.position
        working = position.protectors()
        if not position.quantity:
            for other in (*working, *position.exits):
                self._executions.cancel(other, "flat", time)
        elif opened > ZERO:
            if working and working[0].sign == order.sign:
                # The position changed sides: what protected the old one is void.
                for other in working:
                    self._executions.cancel(other, "reversed", time)
            if working or order.protect is not None:
                self._raise(position, order, price, time, stop_from, target_from)
        else:
            self._resize(position, working, time)

    def _resize(self, position: Position, working: Sequence[Order], time: int) -> None:
        size = abs(position.quantity)
        for order in working:
            if order.leaves != size:
                order.quantity += size - order.leaves
                order.leaves = size
                self._blotter.accepted(order, time)

    def _raise(
        self,
        position: Position,
        entry: Order,
        price: Decimal,
        time: int,
        stop_from: int,
        target_from: int,
    ) -> None:
        """Make the bracket, or move it to the new average price."""
        size = abs(position.quantity)
        average = position.cost / size
        sign = entry.sign
        instrument = position.book.instrument
        stop_loss, take_profit, trailing_stop = position.protect_with(entry)
        if stop_loss is not None:
            level = instrument.price(average * (1 - sign * stop_loss))
            position.stop = self._place(
                position.stop, entry, OrderRole.STOP_LOSS, size, level, time, stop_from
            )
        if trailing_stop is not None:
            position.trailer = self._trail(
                position.trailer, entry, size, price, trailing_stop, time, stop_from
            )
            position.trailer.inside |= stop_from != target_from
        if take_profit is not None:
            level = instrument.price(average * (1 + sign * take_profit))
            position.target = self._place(
                position.target, entry, OrderRole.TAKE_PROFIT, size, level, time, target_from
            )

    def _place(
        self,
        known: Order | None,
        entry: Order,
        role: OrderRole,
        size: Decimal,
        level: Decimal,
        time: int,
        active: int,
    ) -> Order | None:
        if level <= ZERO:
            if known is not None:
                self._executions.cancel(known, "no_level", time)
            return None
        order = known
        if order is None:
            order = self._make(entry, role, size, level, active)
        else:
            self._refit(order, size, level)
        self._work(order, time)
        return order

    def _trail(
        self,
        known: Order | None,
        entry: Order,
        size: Decimal,
        price: Decimal,
        fraction: Decimal,
        time: int,
        active: int,
    ) -> Order:
        order = known
        if order is None:
            order = self._make(entry, OrderRole.TRAILING_STOP, size, ZERO, active)
            order.best = float(price)
        order.trail = fraction
        self._refit(order, size, trail_level(order))
        self._work(order, time)
        return order

    @staticmethod
    def _refit(order: Order, size: Decimal, level: Decimal) -> None:
        order.quantity += size - order.leaves
        order.leaves = size
        order.price = level
        order.level = float(level)

    def _work(self, order: Order, time: int) -> None:
        self._blotter.accepted(order, time)
        self._gateway.submit(order)

    @staticmethod
    def _make(entry: Order, role: OrderRole, size: Decimal, level: Decimal, active: int) -> Order:
        suffix, order_type = _FORMS[role]
        return Order(
            id=entry.id + suffix,
            intent_id=entry.intent_id,
            participant=entry.participant,
            position=entry.position,
            book=entry.book,
            side=entry.side.opposite,
            sign=-entry.sign,
            type=order_type,
            kind=kind_of(order_type),
            role=role,
            quantity=size,
            leaves=size,
            active=active,
            price=level,
            level=float(level),
            reduces=True,
        )


_FORMS = {
    OrderRole.STOP_LOSS: (":sl", OrderType.STOP),
    OrderRole.TAKE_PROFIT: (":tp", OrderType.TAKE_PROFIT),
    OrderRole.TRAILING_STOP: (":ts", OrderType.TRAILING_STOP),
}
