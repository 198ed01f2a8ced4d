"""The instance's mirror of its own orders, and what it knows about when they may fill.

The order manager owns the orders; the mirror exists so that an instance can tell without asking
whether a candle could fill one of them (`OrderMirror.may_fill`). It may say yes too often (the
instance then waits for nothing), never no when a fill is possible.
"""

from __future__ import annotations

from decimal import Decimal
from math import inf
from typing import Any

import msgspec

from engine.money import Instrument
from engine.types import (
    Action,
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

__all__ = ["OrderMirror", "WorkingOrder"]

_TRAIL_TOLERANCE_TICKS = 2
"""A trailing trigger is rounded to the tick once when accepted and once when it moves."""


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

    A candle whose low is at or below `falling`, or its high at or above `rising`, may fill
    something. Where any candle may (a market order), `falling` is infinite.
    """

    __slots__ = ("count", "falling", "rising", "tolerance", "trailing")

    def __init__(self, tick: float) -> None:
        self.tolerance = _TRAIL_TOLERANCE_TICKS * tick
        self.count = 0
        self.falling = -inf
        self.rising = inf
        self.trailing: list[tuple[WorkingOrder, float]] = []

    def add(self, order: WorkingOrder) -> None:
        self.count += 1
        buying = order.side is Side.BUY
        if order.type is OrderType.MARKET or order.price is None:
            self.falling = inf
        elif order.type is OrderType.TRAILING_STOP:
            trail = float(order.trail or 0)
            if trail >= 1.0 and not buying:
                self.falling = inf
            self.trailing.append((order, 1.0 + trail if buying else 1.0 - trail))
        elif buying is (order.type is OrderType.STOP):
            self.rising = min(self.rising, float(order.price))
        else:
            self.falling = max(self.falling, float(order.price))

    def reached_by(self, candle: Candle) -> bool:
        low, high = candle.low, candle.high
        if low <= self.falling or high >= self.rising:
            return True
        for order, factor in self.trailing:
            if order.side is Side.SELL:
                if low <= max(order.best, high) * factor + self.tolerance:
                    return True
            elif high >= min(order.best, low) * factor - self.tolerance:
                return True
        return False


class OrderMirror:
    """Own working orders and undecided intents of one instance.

    Attributes:
        working: Orders by id, in order of acceptance.
        trailing: Whether any of them is a trailing stop.
    """

    __slots__ = ("_cancelling", "_triggers", "_undecided", "trailing", "working")

    def __init__(self, instruments: dict[str, Instrument]) -> None:
        self.working: dict[str, WorkingOrder] = {}
        self.trailing = False
        self._undecided: dict[str, None] = {}
        self._cancelling: dict[str, str] = {}
        self._triggers = {
            symbol: _Triggers(float(instrument.tick_size))
            for symbol, instrument in instruments.items()
        }

    @property
    def is_undecided(self) -> bool:
        """Return whether an intent still waits for the order manager's answer."""
        return bool(self._undecided or self._cancelling)

    def sent(self, decision: Decision) -> None:
        """Note the intents of a decision: each is undecided until it is answered. HOLD never is."""
        for n, intent in enumerate(decision.intents):
            if isinstance(intent, CancelRequest):
                self._cancelling[intent.order_id] = decision.intent_id(n)
            elif not (isinstance(intent, Signal) and intent.action is Action.HOLD):
                self._undecided[decision.intent_id(n)] = None

    def accepted(self, event: OrderAccepted) -> None:
        """Take an order that now works."""
        self._undecided.pop(event.intent_id, None)
        order = WorkingOrder(
            order_id=event.order_id,
            intent_id=event.intent_id,
            symbol=event.symbol,
            side=event.side,
            type=event.type,
            role=event.role,
            quantity=event.quantity,
            leaves=event.quantity,
            price=event.price,
            trail=event.trail,
        )
        if order.type is OrderType.TRAILING_STOP and order.price is not None:
            trail = float(order.trail or 0)
            if order.side is Side.BUY:
                order.best = float(order.price) / (1.0 + trail)
            elif trail < 1.0:
                order.best = float(order.price) / (1.0 - trail)
        self.working[order.order_id] = order
        self._triggers[order.symbol].add(order)
        self.trailing = self.trailing or order.type is OrderType.TRAILING_STOP

    def rejected(self, event: OrderRejected) -> None:
        """Take the answer to an intent that became nothing."""
        self._undecided.pop(event.intent_id, None)
        for order_id, intent_id in list(self._cancelling.items()):
            if intent_id == event.intent_id:
                del self._cancelling[order_id]

    def canceled(self, event: OrderCanceled) -> None:
        """Take the end of a working order."""
        self._cancelling.pop(event.order_id, None)
        self._drop(event.order_id)

    def filled(self, fill: Fill) -> None:
        """Take an execution; the order works on while something is left of it."""
        order = self.working.get(fill.order_id)
        if order is None:
            return
        order.leaves = fill.leaves
        if not fill.leaves:
            self._drop(fill.order_id)

    def _drop(self, order_id: str) -> None:
        order = self.working.pop(order_id, None)
        if order is not None:
            self._rebuild(order.symbol)

    def _rebuild(self, symbol: str) -> None:
        triggers = self._triggers[symbol]
        triggers.count = 0
        triggers.falling, triggers.rising = -inf, inf
        triggers.trailing.clear()
        for order in self.working.values():
            if order.symbol == symbol:
                triggers.add(order)
        self.trailing = any(triggers.trailing for triggers in self._triggers.values())

    def follow(self, symbol: str, candle: Candle) -> None:
        """Move the best price of trailing stops with a processed candle."""
        for order, _factor in self._triggers[symbol].trailing:
            if order.side is Side.SELL:
                order.best = max(order.best, candle.high)
            else:
                order.best = min(order.best, candle.low)

    def may_fill(self, symbol: str, candle: Candle, *, late: bool) -> bool:
        """Tell whether an order event may belong before a candle of `symbol` not yet processed.

        The candle covers everything its symbol traded since the candle before it, unless it is
        `late`. Orders in other symbols are not covered by it at all.
        """
        if self._undecided or self._cancelling:
            return True
        if not self.working:
            return False
        triggers = self._triggers[symbol]
        return late or triggers.count < len(self.working) or triggers.reached_by(candle)

    def has_market_order(self, symbol: str) -> bool:
        """Tell whether an order in `symbol` fills at the next opportunity whatever the price."""
        return self._triggers[symbol].falling == inf

    def state(self) -> dict[str, Any]:
        """Return everything a restore needs."""
        return {
            "working": [msgspec.to_builtins(order) for order in self.working.values()],
            "undecided": list(self._undecided),
            "cancelling": dict(self._cancelling),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.working.clear()
        for order in msgspec.convert(state["working"], list[WorkingOrder]):
            self.working[order.order_id] = order
        self._undecided = dict.fromkeys(state["undecided"])
        self._cancelling = dict(state["cancelling"])
        for symbol in self._triggers:
            self._rebuild(symbol)
