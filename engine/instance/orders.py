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

# Bound once: reading a member off its enum class costs more than a function call.
_BUY = Side.BUY
_SELL = Side.SELL
_HOLD = Action.HOLD
_MARKET = OrderType.MARKET
_STOP = OrderType.STOP
_TRAILING_STOP = OrderType.TRAILING_STOP
_STOPS = (_STOP, _TRAILING_STOP)

_TOLERANCE_TICKS = 2
_TOLERANCE = 1e-3
"""A trailing trigger is rounded to the tick when accepted and when it moves; the relative part
covers ticks coarser than the instrument given here says. Waiting too often costs little."""


class WorkingOrder(msgspec.Struct):
    """An own order that works at the gateway. Read-only for strategies.

    Attributes:
        leaves: What is not filled yet, base currency.
        price: Limit or trigger price; for a trailing stop the trigger when it was accepted.
        trail: Trailing fraction, None for other types.
        best: Trailing stop only: best price since acceptance, never worse than the true one.
        has_fired: Stops only: a candle reached the trigger, so what is left of it may fill at any
            price (a part can stay open for want of volume).
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
    has_fired: bool = False


class _Triggers:
    """Prices of one symbol at which some working order could fill.

    A candle whose low is at or below `falling`, or its high at or above `rising`, may fill
    something. Where any candle may (a market order), `falling` is infinite.
    """

    __slots__ = ("count", "falling", "rising", "tolerance", "trailing")

    def __init__(self, tick: float) -> None:
        self.tolerance = _TOLERANCE_TICKS * tick
        self.count = 0
        self.falling = -inf
        self.rising = inf
        self.trailing: list[WorkingOrder] = []

    def add(self, order: WorkingOrder) -> None:
        self.count += 1
        buying = order.side is _BUY
        if order.type is _MARKET or order.price is None or order.has_fired:
            self.falling = inf
        elif order.type is _TRAILING_STOP:
            self.trailing.append(order)
        elif buying is (order.type is _STOP):
            self.rising = min(self.rising, float(order.price))
        else:
            self.falling = max(self.falling, float(order.price))

    def reached_by(self, candle: Candle) -> bool:
        if candle.low <= self.falling or candle.high >= self.rising:
            return True
        # Asked for every candle in a position: without trailing stops, not even a generator.
        if not self.trailing:
            return False
        return any(_trail_reached(order, candle, self.tolerance) for order in self.trailing)


class OrderMirror:
    """Own working orders and undecided intents of one instance.

    Attributes:
        working: Orders by id, in order of acceptance.
        follows: Whether any of them is a stop that `follow` has to watch.
    """

    __slots__ = ("_cancelling", "_triggers", "_undecided", "follows", "working")

    def __init__(self, instruments: dict[str, Instrument]) -> None:
        self.working: dict[str, WorkingOrder] = {}
        self.follows = False
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

    @property
    def expects_event(self) -> bool:
        """Return whether the next candle waits for an event, whatever its prices."""
        if self._undecided or self._cancelling:
            return True
        if not self.working:
            return False
        return any(triggers.falling == inf for triggers in self._triggers.values())

    def sent(self, decision: Decision) -> None:
        """Note the intents of a decision: each is undecided until it is answered. HOLD never is."""
        for n, intent in enumerate(decision.intents):
            if isinstance(intent, Signal):
                if intent.action is not _HOLD:
                    self._undecided[decision.intent_id(n)] = None
            elif isinstance(intent, CancelRequest):
                self._cancelling[intent.order_id] = decision.intent_id(n)
            else:
                self._undecided[decision.intent_id(n)] = None

    def accepted(self, event: OrderAccepted) -> None:
        """Take an order that now works, or works on new terms under the same id."""
        self._undecided.pop(event.intent_id, None)
        known = self.working.get(event.order_id)
        quantity = event.quantity
        order = WorkingOrder(
            event.order_id,
            event.intent_id,
            event.symbol,
            event.side,
            event.type,
            event.role,
            quantity,
            quantity if known is None else quantity - (known.quantity - known.leaves),
            event.price,
            event.trail,
        )
        if order.type is _TRAILING_STOP and order.price is not None:
            order.best = _best_at(float(order.price), float(order.trail or 0), order.side)
        self.working[order.order_id] = order
        if known is None:
            self._triggers[order.symbol].add(order)
            if order.type in _STOPS:
                self.follows = True
            return
        order.has_fired = known.has_fired
        if order.type is _TRAILING_STOP:
            better = max if order.side is _SELL else min
            order.best = better(order.best, known.best)
        self._rebuild(order.symbol)

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
        self.follows = False
        for order in self.working.values():
            if order.symbol == symbol:
                triggers.add(order)
            if order.type in _STOPS:
                self.follows = True

    def follow(self, symbol: str, candle: Candle) -> None:
        """Move trailing stops with a processed candle, and note the stops it reached."""
        triggers = self._triggers[symbol]
        trailing = triggers.trailing
        if candle.low <= triggers.falling or candle.high >= triggers.rising or trailing:
            self._note_fired(symbol, candle)
        for order in trailing:
            if order.side is _SELL:
                order.best = max(order.best, candle.high)
            else:
                order.best = min(order.best, candle.low)

    def _note_fired(self, symbol: str, candle: Candle) -> None:
        """Mark the stops a candle reached although they still work after its events."""
        tolerance = self._triggers[symbol].tolerance
        fired = False
        for order in self.working.values():
            if order.symbol == symbol and not order.has_fired:
                order.has_fired = _stop_reached(order, candle, tolerance)
                fired = fired or order.has_fired
        if fired:
            self._rebuild(symbol)

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
        """Tell whether a market order in `symbol` waits for its fill."""
        return any(
            order.symbol == symbol and order.type is _MARKET for order in self.working.values()
        )

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


def _best_at(trigger: float, trail: float, side: Side) -> float:
    """Return the best price that gives a trailing stop its trigger."""
    if side is _BUY:
        return trigger / (1.0 + trail)
    return trigger / (1.0 - trail) if trail < 1.0 else inf


def _stop_reached(order: WorkingOrder, candle: Candle, tolerance: float) -> bool:
    if order.type is _TRAILING_STOP:
        return _trail_reached(order, candle, tolerance)
    if order.type is not _STOP or order.price is None:
        return False
    price = float(order.price)
    return candle.high >= price if order.side is _BUY else candle.low <= price


def _trail_reached(order: WorkingOrder, candle: Candle, tolerance: float) -> bool:
    """Tell whether a candle may reach a trailing stop, its own best price included.

    Which of a candle's extremes came first is unknown, so the worse order is assumed.
    """
    trail = float(order.trail or 0)
    if order.side is _SELL:
        trigger = max(order.best, candle.high) * (1.0 - trail)
        return trail >= 1.0 or candle.low <= trigger + trigger * _TOLERANCE + tolerance
    trigger = min(order.best, candle.low) * (1.0 + trail)
    return candle.high >= trigger - trigger * _TOLERANCE - tolerance
