"""The ledger: lines made in batches read the same as lines made at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from engine.errors import TradingError
from engine.spool import Spool
from engine.trading.ledger import Ledger
from engine.trading.records import NetRecord, SignalRecord
from engine.types import (
    Action,
    Fill,
    OrderAccepted,
    OrderCanceled,
    OrderRole,
    OrderType,
    Side,
    Signal,
)

_ONE = Decimal(1)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path)) as spool:
        yield spool


class _Lines:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def append(self, record: bytes) -> None:
        self.lines.append(record)


def _accepted(number: int, instance: str) -> OrderAccepted:
    return OrderAccepted(
        instance,
        f"o{number}",
        f"i{number}",
        "BTC/USDT",
        Side.BUY,
        OrderType.MARKET,
        OrderRole.ENTRY,
        _ONE,
        None,
        None,
        number,
    )


def _fill(number: int, instance: str, leaves: Decimal) -> Fill:
    return Fill(
        instance,
        f"o{number}#1",
        f"o{number}",
        "BTC/USDT",
        Side.BUY,
        OrderRole.ENTRY,
        _ONE,
        Decimal("100.50"),
        Decimal(0),
        leaves,
        number,
    )


def _write(ledger: Ledger, number: int) -> None:
    """Write an order of one of two instances, its fill, and something that belongs to neither."""
    instance = "ab"[number % 2]
    ledger.write_order(number, _accepted(number, instance), "")
    ledger.write_fill(number, _fill(number, instance, Decimal(0)), Decimal("1.00"))
    ledger.write_net(
        NetRecord(number, number, "paper", "n", "BTC/USDT", _ONE, _ONE, _ONE, Decimal(0))
    )


@pytest.mark.parametrize("orders", [0, 1, 11, 43, 300])
def test_hashes_are_over_all_lines_with_and_without_a_sink(orders: int) -> None:
    sink = _Lines()
    with_sink, without = Ledger(sink=sink), Ledger()
    for number in range(orders):
        _write(with_sink, number)
        _write(without, number)
        if number % 7 == 0:  # asking in between changes nothing
            assert without.sha256() == with_sink.sha256()
            assert without.sha256_of("a") == with_sink.sha256_of("a")
    own = [line for line in sink.lines if b',"a",' in line]

    assert len(own) == 2 * ((orders + 1) // 2)
    for ledger in (with_sink, without):
        assert ledger.lines == len(sink.lines) == 3 * orders
        assert ledger.sha256() == hashlib.sha256(b"".join(sink.lines)).hexdigest()
        assert ledger.sha256_of("a") == hashlib.sha256(b"".join(own)).hexdigest()


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_lines_are_read_by_their_numbers(spool: Spool, *, is_on_disk: bool) -> None:
    sink = _Lines()
    reference = Ledger(sink=sink)
    ledger = Ledger(tail=True, spool=spool if is_on_disk else None)
    for number in range(700):
        _write(ledger, number)
        _write(reference, number)
        if number % 50 == 0:
            assert ledger.lines_from(3 * number, 9) == sink.lines[3 * number :]
    for start, limit in ((0, 3000), (0, 1), (17, 900), (2090, 100), (2100, 5), (5000, 5), (3, 0)):
        assert ledger.lines_from(start, limit) == sink.lines[start : start + limit]
    assert ledger.sha256() == reference.sha256()


def test_a_ledger_without_a_tail_says_so() -> None:
    with pytest.raises(TradingError, match="make it with tail=True"):
        Ledger().lines_from(0, 1)


def test_a_line_reaches_the_sink_before_writing_it_returns() -> None:
    sink = _Lines()
    ledger = Ledger(sink=sink)

    ledger.write_order(0, _accepted(0, "a"), "")

    assert len(sink.lines) == 1


def test_orders_are_reported_once_on_their_latest_terms_with_how_they_ended() -> None:
    ledger = Ledger()
    for number in range(4):
        ledger.write_order(number, _accepted(number, "a"), "")
    again = _accepted(0, "a")
    ledger.write_order(7, again, "")
    ledger.write_fill(8, _fill(1, "a", Decimal(0)), Decimal(0))
    ledger.write_fill(8, _fill(2, "a", Decimal(0)), Decimal(0))
    ledger.write_cancel(8, OrderCanceled("a", "o2", "BTC/USDT", "capital", 8))
    ledger.write_fill(9, _fill(3, "a", _ONE), Decimal(0))

    orders = ledger.orders("a")

    assert [(record.slice, record.order.order_id, record.state) for record in orders] == [
        (7, "o0", "working"),
        (1, "o1", "filled"),
        (2, "o2", "capital"),
        (3, "o3", "working"),
    ]


def test_records_on_disk_are_those_in_memory(spool: Spool) -> None:
    on_disk, in_memory = Ledger(spool=spool), Ledger()
    for number in range(200):
        instance = "ab"[number % 2]
        signal = SignalRecord(
            number,
            number,
            instance,
            f"i{number}",
            Signal(Action.BUY, "BTC/USDT", 0.1 * number, f"rule {number}"),
            "accepted",
            "",
            f"o{number}",
        )
        for ledger in (on_disk, in_memory):
            ledger.write_intent(signal)
            _write(ledger, number)
            if number % 5 == 0:
                ledger.write_cancel(
                    number, OrderCanceled(instance, f"o{number}", "BTC/USDT", "capital", number)
                )

    assert on_disk.sha256() == in_memory.sha256()
    assert on_disk.nets() == in_memory.nets()
    for instance in "abc":
        assert on_disk.signals(instance) == in_memory.signals(instance)
        assert on_disk.orders(instance) == in_memory.orders(instance)
        assert on_disk.fills(instance) == in_memory.fills(instance)
    assert str(on_disk.fills("a")[0].fill.price) == "100.50"
