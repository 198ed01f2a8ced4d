"""The ledger: the one ordered, append-only record of signals, orders, fills and cancels.

The hash of a ledger is the SHA-256 over its lines (see `engine.trading.records`); the hash of an
instance is the SHA-256 over the lines that belong to it. The same candles and the same
configuration give the same lines, byte for byte, in a backtest and in a run of actors.

A line goes to the sink at once. Where there is none nobody waits for it, and lines are made in
batches: one after another they cost less than each between two steps of an order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Protocol

from engine.errors import TradingError
from engine.spool import Kept, NumberedLines, Spool, decoder_of, kept
from engine.trading.records import (
    FillRecord,
    NetRecord,
    OrderRecord,
    SignalRecord,
    cancel_line,
    fill_line,
    intent_line,
    mode_line,
    net_line,
    order_line,
    withdrawal_line,
)
from engine.types import Fill, OrderAccepted, OrderCanceled

__all__ = ["Ledger", "LedgerSink"]

_FLUSH_LINES = 32
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
        self.pending: list[bytes] = []

    def flush(self) -> None:
        self._hash.update(b"".join(self.pending))
        self.pending.clear()

    def hexdigest(self) -> str:
        self.flush()
        return self._hash.hexdigest()


_Order = tuple[int, OrderAccepted, str]
_Fill = tuple[int, Fill, Decimal]
_Cancel = tuple[int, OrderCanceled]

_signals = decoder_of(SignalRecord)
_orders = decoder_of(_Order)
_fills = decoder_of(_Fill)
_cancels = decoder_of(_Cancel)
_nets = decoder_of(NetRecord)


class _Pages(_Chain):
    """The part of one instance: its hash and its records.

    Orders, fills and cancels are kept as the bare fields their lines are made from: what became
    of which order is put together for reports, which ask once.
    """

    __slots__ = ("cancels", "fills", "orders", "signals")

    def __init__(self, spool: Spool | None) -> None:
        super().__init__()
        self.signals: Kept[SignalRecord] = kept(spool, _signals)
        self.orders: Kept[_Order] = kept(spool, _orders)
        self.cancels: Kept[_Cancel] = kept(spool, _cancels)
        self.fills: Kept[_Fill] = kept(spool, _fills)


class Ledger:
    """Append-only record of a run.

    Args:
        keep: Keep records for reports; the hashes work either way.
        sink: Gets every line before anything acts on it.
        spool: Where records are kept; None: in memory.
        tail: Keep the lines, too, for `lines_from`.
    """

    def __init__(
        self,
        *,
        keep: bool = True,
        sink: LedgerSink | None = None,
        spool: Spool | None = None,
        tail: bool = False,
    ) -> None:
        self._keep = keep
        self._sink = sink
        self._spool = spool
        self._chain = _Chain()
        self._pages: dict[str, _Pages] = {}
        self._nets: Kept[NetRecord] = kept(spool, _nets)
        self._tail = NumberedLines(spool) if tail else None
        self._lines = 0
        # Not yet in the hashes: whose page, what makes the line, and from what.
        self._waiting: list[tuple[_Pages, Callable[..., bytes], tuple[Any, ...]]] = []
        self._batch = _BATCH if sink is None else 1

    @property
    def lines(self) -> int:
        """Return how many records have been written."""
        return self._lines + len(self._waiting)

    def lines_from(self, start: int, limit: int) -> list[bytes]:
        """Return up to `limit` lines from number `start` (from 0) on (needs `tail`).

        The same run has the same lines under the same numbers, also after it was built again.

        Raises:
            TradingError: The ledger was made without `tail`.
            JournalError: They cannot be read back.
        """
        if self._tail is None:
            raise TradingError("ledger: keeps no lines; make it with tail=True")
        self._make_lines()
        return self._tail.read(start, limit)

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
        states = {fill.order_id: "filled" for _, fill, _ in page.fills if not fill.leaves}
        # Where the capital did not suffice, an order is cancelled after its last fill.
        states.update((event.order_id, event.reason) for _, event in page.cancels)
        orders = {
            order.order_id: OrderRecord(number, order, states.get(order.order_id, "working"))
            for number, order, _ in page.orders
        }
        return tuple(orders.values())

    def fills(self, instance: str) -> Sequence[FillRecord]:
        """Return an instance's fills, oldest first (needs `keep`)."""
        return tuple(FillRecord(*fields) for fields in self._page(instance).fills)

    def nets(self) -> Sequence[NetRecord]:
        """Return all executions of net orders, oldest first (needs `keep`)."""
        return tuple(self._nets)

    def write_intent(self, record: SignalRecord) -> None:
        """Record what an instance asked for, with its outcome."""
        page = self._write(record.instance, intent_line, (record,))
        if self._keep:
            page.signals.append(record)

    def write_order(self, number: int, order: OrderAccepted, net: str) -> None:
        """Record that an order works, or works on new terms; `net` is its net order or empty."""
        fields = (number, order, net)
        page = self._write(order.instance, order_line, fields)
        if self._keep:
            page.orders.append(fields)

    def write_fill(self, number: int, fill: Fill, realised: Decimal) -> None:
        """Record an execution."""
        fields = (number, fill, realised)
        page = self._write(fill.instance, fill_line, fields)
        if self._keep:
            page.fills.append(fields)

    def write_cancel(self, number: int, event: OrderCanceled) -> None:
        """Record that an order ended without (further) fills."""
        fields = (number, event)
        page = self._write(event.instance, cancel_line, fields)
        if self._keep:
            page.cancels.append(fields)

    def write_net(self, record: NetRecord) -> None:
        """Record an execution of a net order; it belongs to no single instance."""
        self._write("", net_line, (record,))
        if self._keep:
            self._nets.append(record)

    def write_withdrawal(self, number: int, time: int, instance: str, reason: str) -> None:
        """Record that an instance was taken out."""
        self._write(instance, withdrawal_line, (number, time, instance, reason))

    def write_mode(self, number: int, time: int, account: str, mode: str) -> None:
        """Record what an account, or all (empty), may do from now on."""
        self._write("", mode_line, (number, time, account, mode))

    def _page(self, instance: str) -> _Pages:
        page = self._pages.get(instance)
        if page is None:
            page = self._pages[instance] = _Pages(self._spool)
        return page

    def _write(
        self, instance: str, line_of: Callable[..., bytes], fields: tuple[Any, ...]
    ) -> _Pages:
        page = self._pages.get(instance)
        if page is None:
            page = self._page(instance)
        waiting = self._waiting
        waiting.append((page, line_of, fields))
        if len(waiting) >= self._batch:
            self._make_lines()
        return page

    def _make_lines(self) -> None:
        """Bring sink and hashes up to date."""
        waiting, self._waiting = self._waiting, []
        sink, gathered = self._sink, self._chain.pending
        before = len(gathered)
        for page, line_of, fields in waiting:
            line = line_of(*fields)
            if sink is not None:
                sink.append(line)
            gathered.append(line)
            own = page.pending
            own.append(line)
            if len(own) >= _FLUSH_LINES:
                page.flush()
        self._lines += len(waiting)
        if self._tail is not None:
            self._tail.extend(gathered[before:])
        if len(gathered) >= _FLUSH_LINES:
            self._chain.flush()
