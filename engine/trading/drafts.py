"""Drafts of orders: sized, checked against every limit, paid for out of free capital.

An entry is checked in this order: how often the strategy asks, the strategy's other limits, the
account's limits, arbitration, sizing, the account's gross exposure, capital. An entry that does
not fit into the free capital is cut down to what fits, as long as that is an order the instrument
allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from engine.config.run import ExecutionConfig
from engine.money import ZERO, plain
from engine.trading.arbitration import Arbiter
from engine.trading.blotter import Blotter
from engine.trading.executions import Executions
from engine.trading.orders import LIMIT, Order, kind_of
from engine.trading.positions import Position, Protection
from engine.trading.refusals import Refusal
from engine.trading.risk import check_account, check_exposure, check_strategy
from engine.trading.sizing import check_notional, entry_quantity
from engine.types import Intent, OrderRole, OrderType, Side, Signal

__all__ = ["Drafts"]

_BPS = Decimal(10_000)
_ENTRY = OrderRole.ENTRY
_EXIT = OrderRole.EXIT
_MARKET = OrderType.MARKET
_LIMIT = OrderType.LIMIT
_BUY = Side.BUY
_SELL = Side.SELL


class Drafts:
    """Makes orders out of wishes; everything accepted is journaled before it is passed on.

    Args:
        blotter: Records outcomes and events.
        executions: Knows capital.
        arbiter: Judges entries.
        execution: Slippage and latency.
        send: Passes an accepted order on.
    """

    def __init__(
        self,
        blotter: Blotter,
        executions: Executions,
        arbiter: Arbiter,
        execution: ExecutionConfig,
        send: Callable[[Order], None],
    ) -> None:
        self._blotter = blotter
        self._executions = executions
        self._arbiter = arbiter
        self._latency = execution.latency_ms
        self._slip = execution.slippage_bps / _BPS
        self._send = send

    def entry(
        self,
        position: Position,
        intent_id: str,
        sign: int,
        order_type: OrderType,
        price: Decimal | None,
    ) -> Order:
        """Return an entry without a quantity so far, active after the latency."""
        return Order(
            id=intent_id,
            intent_id=intent_id,
            participant=position.participant,
            position=position,
            book=position.book,
            side=_BUY if sign > 0 else _SELL,
            sign=sign,
            type=order_type,
            kind=kind_of(order_type),
            role=_ENTRY,
            quantity=ZERO,
            leaves=ZERO,
            active=self._blotter.time + self._latency,
            price=price,
            level=0.0 if price is None else float(price),
        )

    def exit(
        self,
        position: Position,
        intent_id: str,
        sign: int,
        order_type: OrderType,
        price: Decimal | None,
    ) -> Order:
        """Return an order that can only close, without a quantity so far."""
        order = self.entry(position, intent_id, sign, order_type, price)
        order.role, order.reduces = _EXIT, True
        return order

    def fund(self, order: Order, wanted: Decimal | None, closing: Decimal) -> Refusal | None:
        """Size the opening part of an entry and set capital aside for it.

        Args:
            order: The entry; its `opens` and `reserved` are set.
            wanted: Quantity the intent asks for, None: by the strategy's sizing.
            closing: What it closes before it opens anything.
        """
        position, time = order.position, self._blotter.time
        refusal = (
            check_strategy(position.participant, position, time)
            or check_account(position, time)
            or self._arbiter.judge(position, order.sign)
        )
        if refusal is not None:
            return refusal
        price = self._expected(order)
        opens = entry_quantity(position, order.sign, wanted, price)
        if not isinstance(opens, Decimal):
            return opens
        refusal = check_exposure(position, opens, price)
        if refusal is not None:
            return refusal
        if closing:
            closing = min(closing, position.closable(order.sign))
        return self._pay(order, opens, closing, price)

    def _expected(self, order: Order) -> Decimal:
        """Return the price an order is expected to fill at, slippage of a buyer included."""
        price = order.price
        if price is None:
            price = order.book.mark_price()
        if self._slip and order.sign > 0 and order.kind != LIMIT:
            price = order.book.instrument.price_up(price * (1 + self._slip))
        return price

    def _pay(self, order: Order, opens: Decimal, closes: Decimal, price: Decimal) -> Refusal | None:
        executions, position, kind = self._executions, order.position, order.kind
        need = executions.need(position, opens, price, kind)
        budget = executions.budget(position, closes, price, kind)
        if need > budget:
            fits = check_notional(
                position, executions.affordable(position, budget, price, kind), price
            )
            if isinstance(fits, Refusal):
                return Refusal(
                    "capital",
                    f"needs {plain(need)} {position.book.instrument.quote}; "
                    f"free is {plain(max(budget, ZERO))}",
                )
            opens = fits
            need = executions.need(position, opens, price, kind)
        order.opens = opens
        if closes:
            # The close will set this free; until then the position itself keeps it committed.
            need -= executions.gain(position, closes, price, kind)
        if need > ZERO:
            executions.reserve(order, need)
        return None

    def place(
        self,
        order: Order,
        closing: Decimal,
        intent: Intent,
        time: int,
        *,
        refusal: Refusal | None = None,
        obsolete: Sequence[Order] = (),
    ) -> Refusal | None:
        """Record the outcome and pass the order on.

        Args:
            order: A funded entry or an exit.
            closing: What it closes.
            intent: Where it comes from.
            time: Time of the decision.
            refusal: Why its opening half may not be; the closing half works all the same.
            obsolete: Working entries it replaces; they are cancelled in any case.

        Returns:
            The refusal if nothing is left to do; the outcome is then still to be recorded.
        """
        position = order.position
        detail = ""
        if refusal is not None and closing:
            order.role, order.reduces, order.flips = _EXIT, True, False
            detail = f"closes only; {refusal.code}: {refusal.detail}"
            refusal = None
        if refusal is None:
            order.quantity = order.leaves = closing + order.opens
            self._blotter.intent(
                position.participant.id,
                order.intent_id,
                intent,
                time,
                "accepted",
                detail=detail,
                order_id=order.id,
            )
        if obsolete:
            for other in tuple(obsolete):
                self._executions.cancel(other, "replaced")
        if refusal is not None:
            return refusal
        if order.role is _ENTRY:
            position.participant.count_trade(self._blotter.time)
            position.entries.append(order)
            self._executions.engage(position)
        else:
            position.exits.append(order)
        self._send(order)
        return None

    @staticmethod
    def form(signal: Signal, position: Position) -> tuple[OrderType, Decimal | None]:
        """Return type and price of the order a signal asks for."""
        if signal.limit_price is None:
            return _MARKET, None
        return _LIMIT, position.book.instrument.price(signal.limit_price)

    @staticmethod
    def protection(position: Position, signal: Signal | None = None) -> Protection | None:
        """Return the bracket an entry asks for: the signal's, else the strategy's risk settings."""
        risk = position.participant.risk
        stop, target, trail = risk.stop_loss, risk.take_profit, risk.trailing_stop
        if signal is not None:
            stop = signal.stop_loss or stop
            target = signal.take_profit or target
            trail = signal.trailing_stop or trail
        if stop is None and target is None and trail is None:
            return None
        return stop, target, trail
