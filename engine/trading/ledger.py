"""The ledger: the one ordered, append-only record of signals, orders, fills and cancels.

The hash of a ledger is the SHA-256 over its lines (see `engine.trading.records`); the hash of an
instance is the SHA-256 over the lines that belong to it. The same candles and the same
configuration give the same lines, byte for byte, in a backtest and in a run of actors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from engine.trading.records import (
    FillRecord,
    NetRecord,
    OrderRecord,
    SignalRecord,
    cancel_line,
    fill_line,
    intent_line,
    net_line,
    order_line,
    withdrawal_line,
)
from engine.types import Fill, OrderAccepted, OrderCanceled

__all__ = ["Ledger", "LedgerSink"]

_FLUSH_BYTES = 4096


class LedgerSink(Protocol):
    """Where lines go as they are written, such as a durable journal."""

    def append(self, record: bytes) -> None:
        """Take one line, newline included. Called before anything acts on the record."""
        ...


class _Chain:
    """A running hash; lines are gathered because hashing many at once is cheaper."""

    __slots__ = ("_hash", "pending")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.pending = bytearray()

    def flush(self) -> None:
        self._hash.update(self.pending)
        self.pending.clear()

    def hexdigest(self) -> str:
        self.flush()
        return self._hash.hexdigest()


class _Pages(_Chain):
    """The part of one instance: its hash and its records."""

    __slots__ = ("fills", "orders", "signals")

    def __init__(self) -> None:
        super().__init__()
        self.signals: list[SignalRecord] = []
        self.orders: dict[str, OrderRecord] = {}
        self.fills: list[FillRecord] = []


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
        return tuple(self._page(instance).signals)

    def orders(self, instance: str) -> Sequence[OrderRecord]:
        """Return an instance's orders on their latest terms, oldest first (needs `keep`)."""
        return tuple(self._page(instance).orders.values())

    def fills(self, instance: str) -> Sequence[FillRecord]:
        """Return an instance's fills, oldest first (needs `keep`)."""
        return tuple(self._page(instance).fills)

    def nets(self) -> Sequence[NetRecord]:
        """Return all executions of net orders, oldest first (needs `keep`)."""
        return tuple(self._nets)

    def write_intent(self, record: SignalRecord) -> None:
        """Record what an instance asked for, with its outcome."""
        page = self._write(record.instance, intent_line(record))
        if self._keep:
            page.signals.append(record)

    def write_order(self, number: int, order: OrderAccepted, net: str) -> None:
        """Record that an order works, or works on new terms; `net` is its net order or empty."""
        page = self._write(order.instance, order_line(number, order, net))
        if self._keep:
            page.orders[order.order_id] = OrderRecord(number, order)

    def write_fill(self, number: int, fill: Fill, realised: Decimal) -> None:
        """Record an execution."""
        page = self._write(fill.instance, fill_line(number, fill, realised))
        if self._keep:
            page.fills.append(FillRecord(number, fill, realised))
            if not fill.leaves:
                self._end(page, fill.order_id, "filled")

    def write_cancel(self, number: int, event: OrderCanceled) -> None:
        """Record that an order ended without (further) fills."""
        page = self._write(event.instance, cancel_line(number, event))
        if self._keep:
            self._end(page, event.order_id, event.reason)

    def write_net(self, record: NetRecord) -> None:
        """Record an execution of a net order; it belongs to no single instance."""
        self._put(net_line(record))
        if self._keep:
            self._nets.append(record)

    def write_withdrawal(self, number: int, time: int, instance: str, reason: str) -> None:
        """Record that an instance was taken out."""
        self._write(instance, withdrawal_line(number, time, instance, reason))

    def _page(self, instance: str) -> _Pages:
        page = self._pages.get(instance)
        if page is None:
            page = self._pages[instance] = _Pages()
        return page

    def _write(self, instance: str, line: bytes) -> _Pages:
        self._put(line)
        page = self._pages.get(instance)
        if page is None:
            page = self._page(instance)
        pending = page.pending
        pending += line
        if len(pending) > _FLUSH_BYTES:
            page.flush()
        return page

    def _put(self, line: bytes) -> None:
        if self._sink is not None:
            self._sink.append(line)
        chain = self._chain
        pending = chain.pending
        pending += line
        if len(pending) > _FLUSH_BYTES:
            chain.flush()
        self._lines += 1

    @staticmethod
    def _end(page: _Pages, order_id: str, state: str) -> None:
        known = page.orders[order_id]
        page.orders[order_id] = OrderRecord(known.slice, known.order, state)
