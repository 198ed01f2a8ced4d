"""The desk: turns what a strategy asks for into orders, or into a refusal.

====================  =========================================================================
intent                becomes
====================  =========================================================================
BUY, flat             an entry, market or at the limit price
BUY, long             refused ``already_long``; with a quantity, an entry that adds
BUY, short            one entry for the short quantity plus the new one
SELL                  the mirror image
CLOSE                 an exit for what is held (or for the quantity asked); working entries of
                      the symbol are cancelled. Nothing held: refused ``entry_canceled`` if
                      there was an entry to cancel, else ``flat``
HOLD                  a record
OrderRequest          an entry as asked; with `reduce_only` an exit
CancelRequest         the cancellation of one of the strategy's own working orders
====================  =========================================================================

"Long" and "short" count what working market orders will have done. A BUY or SELL cancels the
strategy's working entries on the other side. An intent's stop, target and trail default to the
strategy's risk settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from engine.money import ZERO, plain
from engine.trading.blotter import Blotter
from engine.trading.drafts import Drafts
from engine.trading.executions import Executions
from engine.trading.orders import Order
from engine.trading.participants import Participant
from engine.trading.positions import Position
from engine.trading.refusals import Refusal
from engine.trading.risk import check_rate
from engine.types import Action, CancelRequest, Intent, OrderRequest, OrderType, Side, Signal

__all__ = ["Desk"]

_BUY = Action.BUY
_HOLD = Action.HOLD
_CLOSE = Action.CLOSE
_ASKABLE = (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT)


class Desk:
    """Deals with intents one by one.

    Args:
        blotter: Records outcomes and events.
        executions: Cancels orders.
        drafts: Makes orders.
    """

    def __init__(self, blotter: Blotter, executions: Executions, drafts: Drafts) -> None:
        self._blotter = blotter
        self._executions = executions
        self._drafts = drafts

    def handle(self, participant: Participant, intent_id: str, intent: Intent, time: int) -> None:
        """Deal with one intent that has not been decided before."""
        if isinstance(intent, Signal):
            if intent.action is _HOLD:
                self._blotter.intent(participant.id, intent_id, intent, time, "recorded")
                return
            refusal = self._trade(participant, intent_id, intent, time)
        elif isinstance(intent, OrderRequest):
            refusal = self._trade(participant, intent_id, intent, time)
        else:
            refusal = self._cancel(participant, intent_id, intent, time)
        if refusal is not None:
            self.refuse(participant, intent_id, intent, time, refusal)

    def refuse(
        self,
        participant: Participant,
        intent_id: str,
        intent: Intent,
        time: int,
        refusal: Refusal,
    ) -> None:
        """Record a refusal and hand it out."""
        code, detail = refusal.code, refusal.detail
        self._blotter.intent(participant.id, intent_id, intent, time, code, detail=detail)
        symbol = "" if isinstance(intent, CancelRequest) else intent.symbol
        self._blotter.rejected(participant.id, intent_id, symbol, code, detail)

    def _trade(
        self,
        participant: Participant,
        intent_id: str,
        intent: Signal | OrderRequest,
        time: int,
    ) -> Refusal | None:
        position = participant.positions.get(intent.symbol)
        if position is None:
            return Refusal(
                "unknown_symbol",
                f"strategy {participant.id!r} trades {', '.join(participant.positions)}",
            )
        if not position.book.has_mark:
            return Refusal("no_price", f"no candle of {intent.symbol} has arrived so far")
        if not isinstance(intent, Signal):
            return self._request(position, intent_id, intent, time)
        if intent.action is _CLOSE:
            return self._close(position, intent_id, intent, time)
        return self._enter(position, intent_id, intent, time)

    def _enter(
        self, position: Position, intent_id: str, signal: Signal, time: int
    ) -> Refusal | None:
        """Deal with BUY and SELL."""
        sign = 1 if signal.action is _BUY else -1
        held = position.quantity
        obsolete: Sequence[Order] = ()
        refusal = check_rate(position.participant, self._blotter.time)
        if position.entries or position.exits:
            held, obsolete = _without_opposite_entries(position, sign)
        if refusal is None and signal.quantity is None:
            refusal = _same_side(position, held, sign)
            if refusal is not None:
                for other in obsolete:
                    self._executions.cancel(other, "replaced")
                return refusal
        drafts = self._drafts
        order = drafts.entry(position, intent_id, sign, *drafts.form(signal, position))
        if order.price is not None and order.price <= ZERO:
            return Refusal("bad_order", "the limit price must be above 0")
        order.protect = drafts.protection(position, signal)
        closing = abs(held) if held and (held > ZERO) != (sign > 0) else ZERO
        order.flips = bool(closing)
        for other in obsolete:
            # Set aside for an entry that is given up: the new one may use it.
            self._executions.reserve(other, -other.reserved)
        refusal = refusal or drafts.fund(order, signal.quantity, closing)
        return drafts.place(order, closing, signal, time, refusal=refusal, obsolete=obsolete)

    def _close(
        self, position: Position, intent_id: str, signal: Signal, time: int
    ) -> Refusal | None:
        """Deal with CLOSE: cancel entries that still work, exit what is held."""
        held = position.quantity
        exiting = ZERO
        if position.exits:
            exiting = sum((o.leaves for o in position.exits if o.price is None), ZERO)
        size = abs(held) - exiting
        if size <= ZERO:
            return self._nothing_to_close(position, exiting)
        if signal.quantity is not None:
            size = min(size, position.book.instrument.quantity(signal.quantity))
            if size <= ZERO:
                return Refusal("min_quantity", "the quantity to close is below one lot")
        drafts = self._drafts
        sign = -1 if held > ZERO else 1
        order = drafts.exit(position, intent_id, sign, *drafts.form(signal, position))
        return drafts.place(order, size, signal, time, obsolete=position.entries)

    def _nothing_to_close(self, position: Position, exiting: Decimal) -> Refusal:
        if position.entries:
            for entry in tuple(position.entries):
                self._executions.cancel(entry, "closed")
            return Refusal("entry_canceled", "nothing was held; working entries were cancelled")
        if exiting:
            return Refusal("already_closing", f"an exit of {plain(exiting)} works already")
        return Refusal("flat", f"there is no position in {position.symbol} to close")

    def _request(
        self, position: Position, intent_id: str, request: OrderRequest, time: int
    ) -> Refusal | None:
        """Deal with a plain order."""
        refusal = _check_request(position, request)
        if refusal is not None:
            return refusal
        sign = 1 if request.side is Side.BUY else -1
        instrument, drafts = position.book.instrument, self._drafts
        price = None if request.price is None else instrument.price(request.price)
        wanted = instrument.quantity(request.quantity)
        if request.reduce_only:
            order = drafts.exit(position, intent_id, sign, request.type, price)
            return drafts.place(order, wanted, request, time)
        order = drafts.entry(position, intent_id, sign, request.type, price)
        order.protect = drafts.protection(position)
        # What other working orders of this side will close is not there to be closed twice.
        claimed = sum((o.leaves - o.opens for o in position.entries if o.sign == sign), ZERO)
        closing = min(wanted, max(ZERO, position.closable(sign) - claimed))
        if wanted > closing:
            refusal = check_rate(position.participant, self._blotter.time) or drafts.fund(
                order, wanted - closing, closing
            )
        return drafts.place(order, closing, request, time, refusal=refusal)

    def _cancel(
        self, participant: Participant, intent_id: str, request: CancelRequest, time: int
    ) -> Refusal | None:
        """Deal with a cancel request."""
        for position in participant.positions.values():
            for order in (*position.entries, *position.exits, *position.protectors()):
                if order.id == request.order_id:
                    self._blotter.intent(participant.id, intent_id, request, time, "accepted")
                    self._executions.cancel(order, request.reason or "requested")
                    return None
        return Refusal(
            "unknown_order",
            f"no working order {request.order_id!r} of strategy {participant.id!r}",
        )


def _without_opposite_entries(position: Position, sign: int) -> tuple[Decimal, Sequence[Order]]:
    """Return what will be held, and the working entries of the other side, left out there."""
    opposite = [order for order in position.entries if order.sign != sign]
    held = position.projected()
    for order in opposite:
        if order.price is None:
            held -= order.leaves * order.sign
    return held, opposite


def _same_side(position: Position, held: Decimal, sign: int) -> Refusal | None:
    """Return why a signal without a quantity does not enter a side once more."""
    if position.quantity and (position.quantity > ZERO) == (sign > 0) and held:
        side = "long" if sign > 0 else "short"
        return Refusal(
            f"already_{side}",
            f"the position is {side} {plain(abs(position.quantity))} already; "
            "a signal with a quantity adds to it",
        )
    for order in position.entries:
        if order.sign == sign:
            return Refusal("entry_working", f"entry {order.id!r} works already")
    return None


def _check_request(position: Position, request: OrderRequest) -> Refusal | None:
    kind = request.type
    if kind not in _ASKABLE:
        return Refusal("bad_order", f"an order of type {kind} cannot be asked for")
    if (request.price is None) != (kind is OrderType.MARKET):
        needs = "a" if request.price is None else "no"
        return Refusal("bad_order", f"an order of type {kind} needs {needs} price")
    instrument = position.book.instrument
    if request.price is not None and instrument.price(request.price) <= ZERO:
        return Refusal("bad_order", f"price {plain(request.price)} must be above 0")
    if instrument.quantity(request.quantity) <= ZERO:
        return Refusal(
            "min_quantity",
            f"quantity {plain(request.quantity)} is below one lot of "
            f"{plain(instrument.lot_size)} {instrument.base}",
        )
    if request.reduce_only and not position.closable(1 if request.side is Side.BUY else -1):
        return Refusal("flat", f"there is no position in {position.symbol} to reduce")
    return None
