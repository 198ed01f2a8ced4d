"""The ledger: the one ordered, append-only record of signals, orders, fills and cancels.

The hash of a ledger is the SHA-256 over its lines (see `engine.trading.records`); the hash of an
instance is the SHA-256 over the lines that belong to it. The same candles and the same
configuration give the same lines, byte for byte, in a backtest and in a run of actors.

A line goes to the sink at once. Where there is none nobody waits for it, and lines are made in
batches: one after another they cost half of what each costs between the steps of an order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Protocol

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
_BATCH = 128
"""Records whose lines are made together, without a sink."""


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
    """The part of one instance: its hash and its records.

    Orders and fills are kept as the bare fields their lines are made from: their records are for
    reports, which ask once.

    Attributes:
        orders: Latest terms of each order by id.
        ends: How those ended that do not work any more.
    """

    __slots__ = ("ends", "fills", "orders", "signals")

    def __init__(self) -> None:
        super().__init__()
        self.signals: list[SignalRecord] = []
        self.orders: dict[str, tuple[int, OrderAccepted, str]] = {}
        self.ends: dict[str, str] = {}
        self.fills: list[tuple[int, Fill, Decimal]] = []


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
        # Not yet in the hashes: whose page (if any), what makes the line, and from what.
        self._waiting: list[tuple[_Pages | None, Callable[..., bytes], tuple[Any, ...]]] = []
        self._batch = _BATCH if sink is None else 1

    @property
    def lines(self) -> int:
        """Return how many records have been written."""
        return self._lines

    def sha256(self) -> str:
        """Return the hex SHA-256 over all lines so far."""
        self._make_lines()
        return self._chain.hexdigest()

    def sha256_of(self, instance: str) -> str:
        """Return the hex SHA-256 over the lines of one instance so far."""
        self._make_lines()
        return self._page(instance).hexdigest()

    def signals(self, instance: str) -> Sequence[SignalRecord]:
        """Return an instance's signals with their outcomes, oldest first (needs `keep`)."""
        return tuple(self._page(instance).signals)

    def orders(self, instance: str) -> Sequence[OrderRecord]:
        """Return an instance's orders on their latest terms, oldest first (needs `keep`)."""
        page = self._page(instance)
        return tuple(
            OrderRecord(number, order, page.ends.get(order_id, "working"))
            for order_id, (number, order, _) in page.orders.items()
        )

    def fills(self, instance: str) -> Sequence[FillRecord]:
        """Return an instance's fills, oldest first (needs `keep`)."""
        return tuple(FillRecord(*fields) for fields in self._page(instance).fills)

    def nets(self) -> Sequence[NetRecord]:
        """Return all executions of net orders, oldest first (needs `keep`)."""
        return tuple(self._nets)

    def write_intent(self, record: SignalRecord) -> None:
        """Record what an instance asked for, with its outcome."""
        page = self._page(record.instance)
        self._write(page, intent_line, (record,))
        if self._keep:
            page.signals.append(record)

    def write_order(self, number: int, order: OrderAccepted, net: str) -> None:
        """Record that an order works, or works on new terms; `net` is its net order or empty."""
        page = self._page(order.instance)
        fields = (number, order, net)
        self._write(page, order_line, fields)
        if self._keep:
            page.orders[order.order_id] = fields

    def write_fill(self, number: int, fill: Fill, realised: Decimal) -> None:
        """Record an execution."""
        page = self._page(fill.instance)
        fields = (number, fill, realised)
        self._write(page, fill_line, fields)
        if self._keep:
            page.fills.append(fields)
            if not fill.leaves:
                page.ends[fill.order_id] = "filled"

    def write_cancel(self, number: int, event: OrderCanceled) -> None:
        """Record that an order ended without (further) fills."""
        page = self._page(event.instance)
        self._write(page, cancel_line, (number, event))
        if self._keep:
            page.ends[event.order_id] = event.reason

    def write_net(self, record: NetRecord) -> None:
        """Record an execution of a net order; it belongs to no single instance."""
        self._write(None, net_line, (record,))
        if self._keep:
            self._nets.append(record)

    def write_withdrawal(self, number: int, time: int, instance: str, reason: str) -> None:
        """Record that an instance was taken out."""
        self._write(self._page(instance), withdrawal_line, (number, time, instance, reason))

    def _page(self, instance: str) -> _Pages:
        page = self._pages.get(instance)
        if page is None:
            page = self._pages[instance] = _Pages()
        return page

    def _write(
        self, page: _Pages | None, line_of: Callable[..., bytes], fields: tuple[Any, ...]
    ) -> None:
        waiting = self._waiting
        waiting.append((page, line_of, fields))
        if len(waiting) >= self._batch:
            self._make_lines()
        self._lines += 1

    def _make_lines(self) -> None:
        """Bring sink and hashes up to date."""
        waiting, self._waiting = self._waiting, []
        sink, pending = self._sink, self._chain.pending
        for page, line_of, fields in waiting:
            line = line_of(*fields)
            if sink is not None:
                sink.append(line)
            pending += line
            if page is not None:
                own = page.pending
                own += line
                if len(own) > _FLUSH_BYTES:
                    page.flush()
        if len(pending) > _FLUSH_BYTES:
            self._chain.flush()
