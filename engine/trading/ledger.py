"""The ledger: the one ordered, append-only record of signals, orders, fills and cancels.

Every record is one line: a JSON array, its kind first, amounts as plain decimal texts (see
`engine.money.plain`), ending in a newline. The hash of a ledger is the SHA-256 over its lines;
the hash of an instance is the SHA-256 over the lines that belong to it. The same candles and the
same configuration give the same lines, byte for byte, in a backtest and in a run of actors.

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
==========  ===================================================================================

The outcome of a signal is ``accepted``, ``recorded`` (a HOLD) or a rejection code. An `order`
line with an id seen before means that the order now works on these terms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from engine.money import plain
from engine.types import (
    CancelRequest,
    Fill,
    Intent,
    OrderAccepted,
    OrderCanceled,
    OrderRequest,
    Signal,
)

__all__ = [
    "FillRecord",
    "Ledger",
    "LedgerSink",
    "NetRecord",
    "OrderRecord",
    "SignalRecord",
]

_FLUSH_BYTES = 4096
_encode = msgspec.json.Encoder().encode


class LedgerSink(Protocol):
    """Where lines go as they are written, such as a durable journal."""

    def append(self, record: bytes) -> None:
        """Take one line, newline included. Called before anything acts on the record."""
        ...


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


class _Chain:
    """A running hash; small pieces are gathered because hashing many at once is cheaper."""

    __slots__ = ("_hash", "_pending")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pending = bytearray()

    def append(self, line: bytes) -> None:
        pending = self._pending
        pending += line
        if len(pending) > _FLUSH_BYTES:
            self._hash.update(pending)
            pending.clear()

    def hexdigest(self) -> str:
        self._hash.update(self._pending)
        self._pending.clear()
        return self._hash.hexdigest()


class _Pages(_Chain):
    """The part of one instance: its hash and its records."""

    __slots__ = ("fills", "orders", "signals")

    def __init__(self) -> None:
        super().__init__()
        self.signals: list[SignalRecord] = []
        self.orders: dict[str, OrderRecord] = {}
        self.fills: list[FillRecord] = []


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


class Ledger:
    """Append-only record of a run.

    Args:
        keep: Keep records in memory for reports; the hashes work either way.
        sink: Gets every line before anything acts on it.
    """

    def __init__(self, *, keep: bool = True, sink: LedgerSink | None = None) -> None:
        self._keep = keep
        self._sink = sink
        self._chain = _Chain()
        self._pages: dict[str, _Pages] = {}
        self._nets: list[NetRecord] = []
        self._lines = 0

    @property
    def lines(self) -> int:
        """Return how many records have been written."""
        return self._lines

    def sha256(self) -> str:
        """Return the hex SHA-256 over all lines so far."""
        return self._chain.hexdigest()

    def sha256_of(self, instance: str) -> str:
        """Return the hex SHA-256 over the lines of one instance so far."""
        return self._page(instance).hexdigest()

    def signals(self, instance: str) -> Sequence[SignalRecord]:
        """Return an instance's signals with their outcomes, oldest first (needs `keep`)."""
        return self._page(instance).signals

    def orders(self, instance: str) -> Sequence[OrderRecord]:
        """Return an instance's orders on their latest terms, oldest first (needs `keep`)."""
        return list(self._page(instance).orders.values())

    def fills(self, instance: str) -> Sequence[FillRecord]:
        """Return an instance's fills, oldest first (needs `keep`)."""
        return self._page(instance).fills

    def nets(self) -> Sequence[NetRecord]:
        """Return all executions of net orders, oldest first (needs `keep`)."""
        return self._nets

    def write_intent(self, record: SignalRecord) -> None:
        """Record what an instance asked for, with its outcome."""
        intent = record.intent
        head = (record.slice, record.time, record.instance, record.intent_id)
        tail: tuple[Any, ...] = (record.code, record.detail, record.order_id)
        if isinstance(intent, Signal):
            line = (
                "signal",
                *head,
                intent.action,
                intent.symbol,
                intent.confidence,
                intent.reason,
                _text(intent.quantity),
                _text(intent.limit_price),
                _text(intent.stop_loss),
                _text(intent.take_profit),
                _text(intent.trailing_stop),
                *tail,
            )
        elif isinstance(intent, OrderRequest):
            line = (
                "request",
                *head,
                intent.symbol,
                intent.side,
                intent.type,
                _text(intent.quantity),
                _text(intent.price),
                intent.reduce_only,
                intent.confidence,
                intent.reason,
                *tail,
            )
        else:
            assert isinstance(intent, CancelRequest)  # noqa: S101  the union has three members
            line = ("cancel", *head, intent.order_id, intent.reason, record.code, record.detail)
        page = self._write(record.instance, line)
        if self._keep:
            page.signals.append(record)

    def write_order(self, number: int, order: OrderAccepted, net: str) -> None:
        """Record that an order works, or works on new terms; `net` is its net order or empty."""
        page = self._write(
            order.instance,
            (
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
                _text(order.price),
                _text(order.trail),
                net,
            ),
        )
        if self._keep:
            page.orders[order.order_id] = OrderRecord(number, order)

    def write_fill(self, number: int, fill: Fill, realised: Decimal) -> None:
        """Record an execution."""
        page = self._write(
            fill.instance,
            (
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
            ),
        )
        if self._keep:
            page.fills.append(FillRecord(number, fill, realised))
            if not fill.leaves:
                self._end(page, fill.order_id, "filled")

    def write_cancel(self, number: int, event: OrderCanceled) -> None:
        """Record that an order ended without (further) fills."""
        page = self._write(
            event.instance,
            (
                "canceled",
                number,
                event.time,
                event.instance,
                event.order_id,
                event.symbol,
                event.reason,
            ),
        )
        if self._keep:
            self._end(page, event.order_id, event.reason)

    def write_net(self, record: NetRecord) -> None:
        """Record an execution of a net order; it belongs to no single instance."""
        self._put(
            (
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
        )
        if self._keep:
            self._nets.append(record)

    def write_withdrawal(self, number: int, time: int, instance: str, reason: str) -> None:
        """Record that an instance was taken out."""
        self._write(instance, ("withdrawn", number, time, instance, reason))

    def _page(self, instance: str) -> _Pages:
        page = self._pages.get(instance)
        if page is None:
            page = self._pages[instance] = _Pages()
        return page

    def _write(self, instance: str, record: tuple[Any, ...]) -> _Pages:
        line = self._put(record)
        page = self._page(instance)
        page.append(line)
        return page

    def _put(self, record: tuple[Any, ...]) -> bytes:
        line = _encode(record) + b"\n"
        if self._sink is not None:
            self._sink.append(line)
        self._chain.append(line)
        self._lines += 1
        return line

    @staticmethod
    def _end(page: _Pages, order_id: str, state: str) -> None:
        known = page.orders.get(order_id)
        if known is not None:
            page.orders[order_id] = OrderRecord(known.slice, known.order, state)
