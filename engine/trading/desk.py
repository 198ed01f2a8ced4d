"""The desk: turns what a strategy asks for into orders, or into a refusal.

====================  =========================================================================
intent                becomes
====================  =========================================================================
BUY, flat             an entry, market or at the limit price
BUY, long             refused ``already_long``; with a quantity, an entry that adds
BUY, short            one entry for the short quantity plus the new one
SELL                  the mirror image
CLOSE                 an exit for what is held (or for the quantity asked), working entries of
                      the symbol are cancelled; nothing to close or cancel: refused ``flat``
HOLD                  a record
OrderRequest          an entry as asked; with `reduce_only` an exit
CancelRequest         the cancellation of one of the strategy's own working orders
====================  =========================================================================

"Long" and "short" count what working market orders will have done. A BUY or SELL cancels the
strategy's working entries on the other side. An intent's stop, target and trail default to the
strategy's risk settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from engine.config.run import ExecutionConfig
from engine.money import ZERO, plain
from engine.trading.arbitration import Arbiter
from engine.trading.blotter import Blotter
from engine.trading.executions import Executions
from engine.trading.orders import LIMIT, MARKET, Order, kind_of
from engine.trading.participants import Participant
from engine.trading.positions import Position, Protection
from engine.trading.refusals import Refusal
from engine.trading.risk import check_account, check_exposure, check_strategy
from engine.trading.sizing import check_notional, entry_quantity
from engine.types import (
    Action,
    CancelRequest,
    Intent,
    OrderRequest,
    OrderRole,
    OrderType,
    Side,
    Signal,
)

__all__ = ["Desk"]

_BUY = Action.BUY
_HOLD = Action.HOLD
_CLOSE = Action.CLOSE
_ENTRY = OrderRole.ENTRY
_EXIT = OrderRole.EXIT
_ASKABLE = (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT)
_BPS = Decimal(10_000)


class Desk:
    """Plans orders; everything it accepts is journaled before it is passed on.

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

    def handle(self, participant: Participant, intent_id: str, intent: Intent, time: int) -> None:
        """Deal with one intent that has not been decided before."""
        if isinstance(intent, Signal):
            if intent.action is _HOLD:
                self._blotter.intent(participant.id, intent_id, intent, time, "recorded")
                return
            position = self._position(participant, intent.symbol)
            if isinstance(position, Refusal):
                self._refuse(participant, intent_id, intent, time, position)
            elif intent.action is _CLOSE:
                self._close(position, intent_id, intent, time)
            else:
                self._enter(position, intent_id, intent, time)
        elif isinstance(intent, OrderRequest):
            position = self._position(participant, intent.symbol)
            if isinstance(position, Refusal):
                self._refuse(participant, intent_id, intent, time, position)
            else:
                self._request(position, intent_id, intent, time)
        else:
            self._cancel(participant, intent_id, intent, time)

    def refuse(
        self,
        participant: Participant,
        intent_id: str,
        intent: Intent,
        time: int,
        code: str,
        detail: str,
    ) -> None:
        """Reject an intent whatever it asks for."""
        self._refuse(participant, intent_id, intent, time, Refusal(code, detail))

    def _refuse(
        self,
        participant: Participant,
        intent_id: str,
        intent: Intent,
        time: int,
        refusal: Refusal,
    ) -> None:
        code, detail = refusal.code, refusal.detail
        self._blotter.intent(participant.id, intent_id, intent, time, code, detail)
        symbol = "" if isinstance(intent, CancelRequest) else intent.symbol
        self._blotter.rejected(participant.id, intent_id, symbol, code, detail)

    @staticmethod
    def _position(participant: Participant, symbol: str) -> Position | Refusal:
        position = participant.positions.get(symbol)
        if position is None:
            return Refusal(
                "unknown_symbol",
                f"strategy {participant.id!r} trades {', '.join(participant.positions)}",
            )
        if not position.book.has_mark:
            return Refusal("no_price", f"no candle of {symbol} has arrived so far")
        return position

    def _enter(self, position: Position, intent_id: str, signal: Signal, time: int) -> None:
        """Deal with BUY and SELL."""
        sign = 1 if signal.action is _BUY else -1
        opposite = [o for o in position.entries if o.sign != sign] if position.entries else []
        held = position.quantity
        if position.entries or position.exits:
            held = position.projected()
            for order in opposite:
                if order.price is None:
                    held -= order.leaves * order.sign
        if signal.quantity is None:
            refusal = self._same_side(position, held, sign)
            if refusal is not None:
                self._refuse(position.participant, intent_id, signal, time, refusal)
                return
        closing = abs(held) if held and (held > ZERO) != (sign > 0) else ZERO
        instrument = position.book.instrument
        price = signal.limit_price
        order = self._order(
            position,
            intent_id,
            sign,
            OrderType.MARKET if price is None else OrderType.LIMIT,
            None if price is None else instrument.price(price),
        )
        order.flips = closing > ZERO
        risk = position.participant.risk
        order.protect = _protection(
            signal.stop_loss or risk.stop_loss,
            signal.take_profit or risk.take_profit,
            signal.trailing_stop or risk.trailing_stop,
        )
        for other in opposite:
            # Set aside for an entry that is given up below: the new one may use it.
            self._executions.reserve(other, -other.reserved)
        refusal = self._open(order, signal.quantity, closing, self._blotter.time)
        self._place(order, refusal, closing, signal, time, opposite)

    @staticmethod
    def _same_side(position: Position, held: Decimal, sign: int) -> Refusal | None:
        if held and (held > ZERO) == (sign > 0):
            if position.quantity and (position.quantity > ZERO) == (sign > 0):
                side = "long" if sign > 0 else "short"
                return Refusal(
                    f"already_{side}",
                    f"the position is {side} {plain(abs(position.quantity))} already; "
                    "a signal with a quantity adds to it",
                )
            return Refusal("entry_working", "an entry on this side works already")
        for order in position.entries:
            if order.sign == sign and not order.flips:
                return Refusal("entry_working", f"entry {order.id!r} works already")
        return None

    def _order(
        self,
        position: Position,
        intent_id: str,
        sign: int,
        order_type: OrderType,
        price: Decimal | None,
    ) -> Order:
        return Order(
            id=intent_id,
            intent_id=intent_id,
            participant=position.participant,
            position=position,
            book=position.book,
            side=Side.BUY if sign > 0 else Side.SELL,
            sign=sign,
            type=order_type,
            kind=MARKET if price is None else kind_of(order_type),
            role=_ENTRY,
            quantity=ZERO,
            leaves=ZERO,
            active=self._blotter.time + self._latency,
            price=price,
            level=0.0 if price is None else float(price),
        )

    def _expected(self, order: Order) -> Decimal:
        """Return the price an order is expected to fill at, slippage of a buyer included."""
        price = order.price
        if price is None:
            price = order.book.mark_price()
        if self._slip and order.sign > 0 and order.kind != LIMIT:
            price = order.book.instrument.price_up(price * (1 + self._slip))
        return price

    def _open(
        self, order: Order, wanted: Decimal | None, closing: Decimal, time: int
    ) -> Refusal | None:
        """Size the opening part of an entry and set capital aside for it."""
        position = order.position
        refusal = (
            check_strategy(position.participant, position, time)
            or check_account(position, time)
            or self._arbiter.judge(position, order.sign)
        )
        if refusal is not None:
            return refusal
        price = self._expected(order)
        opens = entry_quantity(position, order.sign, wanted, price)
        if isinstance(opens, Refusal):
            return opens
        refusal = check_exposure(position, opens * price)
        if refusal is not None:
            return refusal
        executions, kind = self._executions, order.kind
        closes = min(closing, position.closable(order.sign))
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
            # The close will release this; until then the position itself keeps it committed.
            need -= executions.gain(position, closes, price, kind)
        if need > ZERO:
            executions.reserve(order, need)
        return None

    def _place(
        self,
        order: Order,
        refusal: Refusal | None,
        closing: Decimal,
        intent: Intent,
        time: int,
        obsolete: Sequence[Order],
    ) -> None:
        """Record the outcome and pass the order on; a refused reversal still closes."""
        position = order.position
        participant = position.participant
        detail = ""
        if refusal is not None:
            if not closing:
                for other in tuple(obsolete):
                    self._executions.cancel(other, "replaced")
                self._refuse(participant, order.intent_id, intent, time, refusal)
                return
            order.role, order.reduces, order.flips = _EXIT, True, False
            detail = f"closes only; {refusal.code}: {refusal.detail}"
        order.quantity = order.leaves = closing + order.opens
        self._blotter.intent(
            participant.id, order.intent_id, intent, time, "accepted", detail, order.id
        )
        for other in tuple(obsolete):
            self._executions.cancel(other, "replaced")
        if order.role is _ENTRY:
            participant.count_trade(self._blotter.time)
            position.entries.append(order)
            self._executions.engage(position)
        else:
            position.exits.append(order)
        self._send(order)

    def _close(self, position: Position, intent_id: str, signal: Signal, time: int) -> None:
        """Deal with CLOSE: cancel entries that still work, exit what is held."""
        participant = position.participant
        entries = tuple(position.entries)
        held = position.quantity
        exiting = sum((o.leaves for o in position.exits if o.price is None), ZERO)
        size = abs(held) - exiting
        if size <= ZERO:
            if not entries:
                refusal = (
                    Refusal("already_closing", f"an exit of {plain(exiting)} works already")
                    if held
                    else Refusal("flat", f"there is no position in {position.symbol} to close")
                )
                self._refuse(participant, intent_id, signal, time, refusal)
                return
            detail = "cancels working entries"
            self._blotter.intent(participant.id, intent_id, signal, time, "accepted", detail)
            for entry in entries:
                self._executions.cancel(entry, "closed")
            return
        instrument = position.book.instrument
        if signal.quantity is not None:
            size = min(size, instrument.quantity(signal.quantity))
            if size <= ZERO:
                refusal = Refusal("min_quantity", "the quantity to close is below one lot")
                self._refuse(participant, intent_id, signal, time, refusal)
                return
        price = signal.limit_price
        order = self._order(
            position,
            intent_id,
            -1 if held > ZERO else 1,
            OrderType.MARKET if price is None else OrderType.LIMIT,
            None if price is None else instrument.price(price),
        )
        order.role, order.reduces = _EXIT, True
        self._place(order, None, size, signal, time, position.entries)

    def _request(
        self, position: Position, intent_id: str, request: OrderRequest, time: int
    ) -> None:
        """Deal with a plain order."""
        participant = position.participant
        refusal = self._check_request(position, request)
        if refusal is not None:
            self._refuse(participant, intent_id, request, time, refusal)
            return
        sign = 1 if request.side is Side.BUY else -1
        instrument = position.book.instrument
        price = None if request.price is None else instrument.price(request.price)
        order = self._order(position, intent_id, sign, request.type, price)
        if request.reduce_only:
            order.role, order.reduces = _EXIT, True
            self._place(order, None, instrument.quantity(request.quantity), request, time, [])
            return
        risk = participant.risk
        order.protect = _protection(risk.stop_loss, risk.take_profit, risk.trailing_stop)
        wanted = instrument.quantity(request.quantity)
        # What other working orders of this side will close is not there to be closed twice.
        claimed = sum((o.leaves - o.opens for o in position.entries if o.sign == sign), ZERO)
        closing = min(wanted, max(ZERO, position.closable(sign) - claimed))
        if wanted > closing:
            refusal = self._open(order, wanted - closing, closing, self._blotter.time)
        self._place(order, refusal, closing, request, time, [])

    @staticmethod
    def _check_request(position: Position, request: OrderRequest) -> Refusal | None:
        if request.type not in _ASKABLE:
            return Refusal("bad_order", f"order type {request.type} cannot be asked for")
        if (request.price is None) != (request.type is OrderType.MARKET):
            return Refusal(
                "bad_order",
                f"a {request.type} order needs {'a' if request.price is None else 'no'} price",
            )
        instrument = position.book.instrument
        if request.price is not None and instrument.price(request.price) <= ZERO:
            return Refusal("bad_order", f"price {plain(request.price)} must be above 0")
        if instrument.quantity(request.quantity) <= ZERO:
            return Refusal(
                "min_quantity",
                f"quantity {plain(request.quantity)} is below one lot of "
                f"{plain(instrument.lot_size)} {instrument.base}",
            )
        if request.reduce_only:
            sign = 1 if request.side is Side.BUY else -1
            if not position.closable(sign):
                return Refusal("flat", f"there is no position in {position.symbol} to reduce")
        return None

    def _cancel(
        self, participant: Participant, intent_id: str, request: CancelRequest, time: int
    ) -> None:
        """Deal with a cancel request."""
        for position in participant.positions.values():
            for order in (*position.entries, *position.exits, *position.protectors()):
                if order.id == request.order_id:
                    self._blotter.intent(
                        participant.id, intent_id, request, time, "accepted", "", order.id
                    )
                    self._executions.cancel(order, request.reason or "requested")
                    return
        refusal = Refusal(
            "unknown_order",
            f"no working order {request.order_id!r} of strategy {participant.id!r}",
        )
        self._refuse(participant, intent_id, request, time, refusal)


def _protection(
    stop_loss: Decimal | None, take_profit: Decimal | None, trailing_stop: Decimal | None
) -> Protection | None:
    if stop_loss is None and take_profit is None and trailing_stop is None:
        return None
    return stop_loss, take_profit, trailing_stop
