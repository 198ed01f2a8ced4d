"""Positions mirrored from fills: exact whatever the order of buys and sells."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.instance.position import Position, RoundTrip, added
from engine.money import ZERO, Instrument
from engine.types import Fill, OrderRole, Side
from tests.examples import examples

INSTRUMENT = Instrument("BTC/USDT", "BTC", "USDT")


def a_fill(
    signed: str | Decimal, price: str | Decimal, fee: str | Decimal = "0", time: int = 0
) -> Fill:
    quantity = Decimal(signed)
    side = Side.BUY if quantity > 0 else Side.SELL
    return Fill(
        "one",
        "f",
        "o",
        "BTC/USDT",
        side,
        OrderRole.ENTRY,
        abs(quantity),
        Decimal(price),
        Decimal(fee),
        ZERO,
        time,
    )


def after(*fills: Fill) -> tuple[Position, list[RoundTrip]]:
    position = Position("BTC/USDT", INSTRUMENT)
    ended = [position.apply(fill) for fill in fills]
    return position, [trip for trip in ended if trip is not None]


def test_adding_moves_the_average_price() -> None:
    position, ended = after(a_fill("1", "100", time=5), a_fill("3", "120", time=9))
    assert (position.quantity, position.average_price) == (4.0, 115.0)
    assert (position.is_long, position.is_flat, position.is_short) == (True, False, False)
    assert position.entry_time == 5
    assert ended == []


def test_closing_part_keeps_the_average_and_realises_the_rest() -> None:
    position, ended = after(a_fill("4", "115"), a_fill("-1", "125"))
    assert position.exact_average_price == 115
    assert position.realised == 10
    assert ended == []


def test_a_round_trip_is_net_of_the_fees_of_both_sides() -> None:
    position, ended = after(a_fill("2", "100", "0.2", time=1), a_fill("-2", "110", "0.22", time=7))
    assert ended == [
        RoundTrip("BTC/USDT", Side.BUY, Decimal(2), Decimal(200), Decimal("19.58"), 1, 7)
    ]
    assert position.is_flat
    assert position.average_price == 0.0
    assert position.entry_time == 0


def test_turning_round_ends_one_position_and_opens_the_other_and_shares_the_fee() -> None:
    position, ended = after(a_fill("1", "100", "0.1"), a_fill("-3", "90", "0.9", time=4))
    assert [trip.pnl for trip in ended] == [Decimal("-10.4")]
    assert position.quantity == -2.0
    assert position.is_short
    assert position.average_price == 90.0
    assert position.entry_time == 4
    _, later = after(a_fill("1", "100", "0.1"), a_fill("-3", "90", "0.9"), a_fill("2", "80", "0.5"))
    assert [trip.pnl for trip in later] == [Decimal("-10.4"), Decimal("18.9")]
    assert later[1].side is Side.SELL


@pytest.mark.parametrize(
    ("signed", "last", "expected"), [("2", 110.0, 20.0), ("-2", 110.0, -20.0), ("-2", 95.0, 10.0)]
)
def test_open_profit_follows_the_last_price(signed: str, last: float, expected: float) -> None:
    position, _ = after(a_fill(signed, "100"))
    position.last_price = last
    assert position.unrealised == expected


amounts = st.integers(1, 500).map(lambda n: Decimal(n) / 100)
fills = st.lists(
    st.builds(
        a_fill,
        st.builds(lambda n, sign: n * sign, amounts, st.sampled_from([1, -1])),
        amounts.map(lambda n: n + 95),
        amounts.map(lambda n: n / 1000),
    ),
    max_size=25,
)


@examples(80)
@given(fills)
def test_cash_and_holdings_reconcile_with_the_fills(sequence: list[Fill]) -> None:
    position, ended = after(*sequence)
    held = sum((fill.side.sign * fill.quantity for fill in sequence), ZERO)
    cash = -sum((fill.side.sign * fill.quantity * fill.price for fill in sequence), ZERO)
    assert position.exact_quantity == held
    assert position.fees == sum((fill.fee for fill in sequence), ZERO)
    booked = position.realised - held * position.exact_average_price
    assert abs(booked - cash) < Decimal("1e-18")
    if not held:
        net = sum((trip.pnl for trip in ended), ZERO)
        assert abs(net - (position.realised - position.fees)) < Decimal("1e-18")


@examples(40)
@given(fills, st.integers(0, 25))
def test_a_stored_position_goes_on_identically(sequence: list[Fill], cut: int) -> None:
    whole, trips = after(*sequence)
    first, before = after(*sequence[:cut])
    second = Position("BTC/USDT", INSTRUMENT)
    second.load(first.state())
    later = [trip for fill in sequence[cut:] if (trip := second.apply(fill)) is not None]
    assert second.state() == whole.state()
    assert [*before, *later] == trips


def test_floats_are_added_one_after_the_other_on_every_interpreter() -> None:
    assert added([1e16, 1.0, -1e16]) == 0.0
