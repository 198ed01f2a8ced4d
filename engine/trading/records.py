"""The records of the ledger and their canonical lines.

Every record is one line: a JSON array, its kind first, amounts as plain decimal texts (see
`engine.money.plain`), ending in a newline.

==========  ===================================================================================
kind        fields after the kind
==========  ===================================================================================
signal      slice, time, instance, intent, action, symbol, confidence, reason, quantity,
            limit price, stop loss, take profit, trailing stop, outcome, detail, order
request     slice, time, instance, intent, symbol, side, type, quantity, price, reduce only,
            confidence, reason, outcome, detail, order
cancel      slice, time, instance, intent, order to cancel, reason, outcome, detail
order       slice, time, instance, order, intent, symbol, side, type, role, quantity, price,
            trail, net order
fill        slice, time, instance, fill, order, symbol, side, role, quantity, price, fee, leaves,
            realised profit
canceled    slice, time, instance, order, symbol, reason
net         slice, time, account, net order, symbol, signed net quantity, quantity crossed
            inside the account, price, fee
withdrawn   slice, time, instance, reason
trading     slice, time, account (empty: all of them), mode (see `engine.trading.modes`)
==========  ===================================================================================

The outcome of a signal is ``accepted``, ``recorded`` (a HOLD) or a code of
`engine.trading.refusals`. An `order` line with an id seen before means that the order now works
on these terms.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.money import plain
from engine.types import (
    Fill,
    Intent,
    OrderAccepted,
    OrderCanceled,
    OrderRequest,
    Signal,
)

__all__ = [
    "FillRecord",
    "NetRecord",
    "OrderRecord",
    "SignalRecord",
    "cancel_line",
    "fill_line",
    "intent_line",
    "mode_line",
    "net_line",
    "order_line",
    "withdrawal_line",
]

_encode = msgspec.json.Encoder().encode


class SignalRecord(msgspec.Struct, frozen=True):
    """What an instance asked for and what became of it.

    `code` is ``accepted``, ``recorded`` or a rejection code; `order_id` is empty without order.
    """

    slice: int
    time: int
    instance: str
    intent_id: str
    intent: Intent
    code: str
    detail: str
    order_id: str


class OrderRecord(msgspec.Struct, frozen=True):
    """An order and how it ended: `state` is ``working``, ``filled`` or a reason to cancel."""

    slice: int
    order: OrderAccepted
    state: str = "working"


class FillRecord(msgspec.Struct, frozen=True):
    """A fill and the profit it realised, quote currency, before its fee."""

    slice: int
    fill: Fill
    realised: Decimal


class NetRecord(msgspec.Struct, frozen=True):
    """An execution of a net order: `quantity` is signed, `crossed` stayed inside the account."""

    slice: int
    time: int
    account: str
    order_id: str
    symbol: str
    quantity: Decimal
    crossed: Decimal
    price: Decimal
    fee: Decimal


def intent_line(record: SignalRecord) -> bytes:
    """Return the line of an intent with its outcome."""
    intent = record.intent
    number, time, instance, intent_id = (
        record.slice,
        record.time,
        record.instance,
        record.intent_id,
    )
    code, detail, order_id = record.code, record.detail, record.order_id
    if isinstance(intent, Signal):
        quantity, limit, stop = intent.quantity, intent.limit_price, intent.stop_loss
        target, trail = intent.take_profit, intent.trailing_stop
        line: tuple[object, ...] = (
            "signal",
            number,
            time,
            instance,
            intent_id,
            intent.action,
            intent.symbol,
            intent.confidence,
            intent.reason,
            None if quantity is None else plain(quantity),
            None if limit is None else plain(limit),
            None if stop is None else plain(stop),
            None if target is None else plain(target),
            None if trail is None else plain(trail),
            code,
            detail,
            order_id,
        )
    elif isinstance(intent, OrderRequest):
        line = (
            "request",
            number,
            time,
            instance,
            intent_id,
            intent.symbol,
            intent.side,
            intent.type,
            plain(intent.quantity),
            None if intent.price is None else plain(intent.price),
            intent.reduce_only,
            intent.confidence,
            intent.reason,
            code,
            detail,
            order_id,
        )
    else:
        asked = intent.order_id, intent.reason
        line = ("cancel", number, time, instance, intent_id, *asked, code, detail)
    return _encode(line) + b"\n"


def order_line(number: int, order: OrderAccepted, net: str) -> bytes:
    """Return the line of an order on its present terms."""
    price, trail = order.price, order.trail
    line = (
        "order",
        number,
        order.time,
        order.instance,
        order.order_id,
        order.intent_id,
        order.symbol,
        order.side,
        order.type,
        order.role,
        plain(order.quantity),
        None if price is None else plain(price),
        None if trail is None else plain(trail),
        net,
    )
    return _encode(line) + b"\n"


def fill_line(number: int, fill: Fill, realised: Decimal) -> bytes:
    """Return the line of an execution."""
    line = (
        "fill",
        number,
        fill.time,
        fill.instance,
        fill.fill_id,
        fill.order_id,
        fill.symbol,
        fill.side,
        fill.role,
        plain(fill.quantity),
        plain(fill.price),
        plain(fill.fee),
        plain(fill.leaves),
        plain(realised),
    )
    return _encode(line) + b"\n"


def cancel_line(number: int, event: OrderCanceled) -> bytes:
    """Return the line of an order that ended without (further) fills."""
    line = (
        "canceled",
        number,
        event.time,
        event.instance,
        event.order_id,
        event.symbol,
        event.reason,
    )
    return _encode(line) + b"\n"


def net_line(record: NetRecord) -> bytes:
    """Return the line of an execution of a net order."""
    line = (
        "net",
        record.slice,
        record.time,
        record.account,
        record.order_id,
        record.symbol,
        plain(record.quantity),
        plain(record.crossed),
        plain(record.price),
        plain(record.fee),
    )
    return _encode(line) + b"\n"


def withdrawal_line(number: int, time: int, instance: str, reason: str) -> bytes:
    """Return the line of an instance that was taken out."""
    return _encode(("withdrawn", number, time, instance, reason)) + b"\n"


def mode_line(number: int, time: int, account: str, mode: str) -> bytes:
    """Return the line of what an account may do from now on."""
    return _encode(("trading", number, time, account, mode)) + b"\n"
