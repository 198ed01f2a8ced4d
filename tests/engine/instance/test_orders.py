"""When an instance has to wait for the order manager before it may go on."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.instance import Instance
from engine.instance.orders import OrderMirror
from engine.instance.testing import random_candles
from engine.money import ZERO, Instrument
from engine.types import (
    Action,
    Candle,
    Fill,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderRole,
    OrderType,
    Side,
)
from tests.examples import examples

CANDLES = random_candles(30)
BTC, ETH = "BTC/USDT", "ETH/USDT"
Make = Callable[..., Instance]


def accepted(
    kind: OrderType,
    side: Side,
    price: str | None = None,
    *,
    order_id: str = "o",
    trail: str | None = None,
    symbol: str = BTC,
    intent_id: str = "i",
    quantity: str = "1",
) -> OrderAccepted:
    return OrderAccepted(
        instance="one",
        order_id=order_id,
        intent_id=intent_id,
        symbol=symbol,
        side=side,
        type=kind,
        role=OrderRole.STOP_LOSS,
        quantity=Decimal(quantity),
        price=None if price is None else Decimal(price),
        trail=None if trail is None else Decimal(trail),
        time=0,
    )


def a_fill(order_id: str = "o", leaves: str = "0") -> Fill:
    return Fill(
        "one",
        "f",
        order_id,
        BTC,
        Side.SELL,
        OrderRole.EXIT,
        Decimal(1),
        Decimal(100),
        ZERO,
        Decimal(leaves),
        0,
    )


def candle(low: float, high: float, seq: int = 0) -> Candle:
    return Candle("paper:BTC/USDT:1m", seq, 0, 60_000, low, high, low, high, 1.0)


def mirror(*orders: OrderAccepted) -> OrderMirror:
    found = OrderMirror(
        {
            BTC: Instrument(BTC, "BTC", "USDT", tick_size=Decimal("0.01")),
            ETH: Instrument(ETH, "ETH", "USDT"),
        }
    )
    for order in orders:
        found.accepted(order)
    return found


@pytest.mark.parametrize(
    ("kind", "side", "price", "low", "high", "expected"),
    [
        (OrderType.MARKET, Side.BUY, None, 99.0, 101.0, True),
        (OrderType.LIMIT, Side.BUY, "98", 98.01, 101.0, False),
        (OrderType.LIMIT, Side.BUY, "98", 98.0, 101.0, True),
        (OrderType.LIMIT, Side.SELL, "102", 99.0, 101.99, False),
        (OrderType.LIMIT, Side.SELL, "102", 99.0, 102.0, True),
        (OrderType.STOP, Side.SELL, "98", 98.01, 101.0, False),
        (OrderType.STOP, Side.SELL, "98", 98.0, 101.0, True),
        (OrderType.STOP, Side.BUY, "102", 99.0, 101.99, False),
        (OrderType.STOP, Side.BUY, "102", 99.0, 102.0, True),
        (OrderType.TAKE_PROFIT, Side.SELL, "102", 99.0, 102.0, True),
        (OrderType.TAKE_PROFIT, Side.SELL, "102", 99.0, 101.99, False),
        (OrderType.TAKE_PROFIT, Side.BUY, "98", 98.0, 101.0, True),
    ],
)
def test_a_candle_matters_if_it_reaches_the_price_of_an_order(
    kind: OrderType, side: Side, price: str | None, low: float, high: float, *, expected: bool
) -> None:
    orders = mirror(accepted(kind, side, price))
    assert orders.may_fill(BTC, candle(low, high), late=False) is expected
    assert orders.may_fill(BTC, candle(low, high), late=True)


def test_without_orders_nothing_can_happen_however_late() -> None:
    assert not mirror().may_fill(BTC, candle(1.0, 1000.0), late=True)


def test_a_trailing_stop_follows_the_best_price_and_counts_the_candles_own() -> None:
    orders = mirror(accepted(OrderType.TRAILING_STOP, Side.SELL, "98", trail="0.02"))
    assert not orders.may_fill(BTC, candle(99.0, 100.0), late=False)
    orders.follow(BTC, candle(109.5, 110.0))
    assert orders.may_fill(BTC, candle(107.8, 108.0), late=False)
    assert not orders.may_fill(BTC, candle(108.5, 109.0), late=False)
    # Its high may have come first: 112 * 0.98 = 109.76.
    assert orders.may_fill(BTC, candle(109.7, 112.0), late=False)


def test_a_trailing_stop_of_a_short_is_the_mirror_image() -> None:
    orders = mirror(accepted(OrderType.TRAILING_STOP, Side.BUY, "102", trail="0.02"))
    assert not orders.may_fill(BTC, candle(100.5, 101.0), late=False)
    orders.follow(BTC, candle(90.0, 90.5))
    assert orders.may_fill(BTC, candle(91.0, 91.8), late=False)
    assert not orders.may_fill(BTC, candle(90.5, 91.0), late=False)


def test_a_stop_that_was_reached_but_still_works_may_fill_at_any_price() -> None:
    orders = mirror(accepted(OrderType.STOP, Side.SELL, "98"))
    orders.follow(BTC, candle(97.0, 99.0))
    assert orders.may_fill(BTC, candle(105.0, 106.0), late=False)
    limit = mirror(accepted(OrderType.LIMIT, Side.BUY, "98"))
    limit.follow(BTC, candle(97.0, 99.0))
    assert not limit.may_fill(BTC, candle(105.0, 106.0), late=False)


def test_orders_in_another_symbol_are_not_covered_by_a_candle() -> None:
    orders = mirror(accepted(OrderType.STOP, Side.SELL, "98", symbol=ETH))
    assert orders.may_fill(BTC, candle(99.0, 100.0), late=False)


@pytest.mark.parametrize("end", ["fill", "cancel"])
def test_an_order_that_ended_no_longer_matters(end: str) -> None:
    orders = mirror(accepted(OrderType.MARKET, Side.SELL))
    if end == "fill":
        orders.filled(a_fill(leaves="0.4"))
        assert orders.may_fill(BTC, candle(99.0, 100.0), late=False)
        orders.filled(a_fill())
    else:
        orders.canceled(OrderCanceled("one", "o", BTC, "flat", 0))
    assert not orders.may_fill(BTC, candle(99.0, 100.0), late=False)
    assert not orders.working


def test_an_order_announced_again_works_on_its_new_terms_only() -> None:
    orders = mirror(
        accepted(OrderType.STOP, Side.SELL, "98"),
        accepted(OrderType.STOP, Side.SELL, "95", quantity="3"),
    )
    assert not orders.may_fill(BTC, candle(96.0, 100.0), late=False)
    assert orders.may_fill(BTC, candle(95.0, 100.0), late=False)
    assert [order.quantity for order in orders.working.values()] == [Decimal(3)]
    orders.filled(a_fill())
    assert not orders.may_fill(BTC, candle(1.0, 100.0), late=False)


def test_a_trailing_stop_announced_again_never_loses_its_best_price() -> None:
    orders = mirror(accepted(OrderType.TRAILING_STOP, Side.SELL, "98", trail="0.02"))
    orders.follow(BTC, candle(119.0, 120.0))
    orders.accepted(accepted(OrderType.TRAILING_STOP, Side.SELL, "98", trail="0.02"))
    assert orders.may_fill(BTC, candle(117.0, 117.5), late=False)


def test_an_intent_is_undecided_until_it_is_answered(make: Make) -> None:
    script: dict[int, Any] = {1: lambda s: s.order.buy(), 2: lambda s: s.order.sell()}
    instance = make(script)
    instance.on_candle(CANDLES[0])
    assert not instance.must_hear(CANDLES[1], late=False)
    decision = instance.on_candle(CANDLES[1])
    assert decision is not None
    assert instance.must_hear(CANDLES[2], late=False)
    instance.on_event(OrderRejected("one", decision.intent_id(0), BTC, "capital", "", 0))
    assert not instance.must_hear(CANDLES[2], late=False)
    decision = instance.on_candle(CANDLES[2])
    assert decision is not None
    stop = accepted(OrderType.STOP, Side.BUY, "1e6", intent_id=decision.intent_id(0))
    instance.on_event(stop)
    assert not instance.must_hear(CANDLES[3], late=False)


def test_holding_never_makes_it_wait(make: Make) -> None:
    instance = make({1: lambda s: s.order.hold()})
    instance.on_candle(CANDLES[0])
    decision = instance.on_candle(CANDLES[1])
    assert decision is not None
    assert decision.intents[0].action is Action.HOLD
    assert not instance.must_hear(CANDLES[2], late=False)


@pytest.mark.parametrize("answer", ["canceled", "refused"])
def test_a_cancel_is_undecided_until_the_order_ends_or_it_is_refused(
    make: Make, answer: str
) -> None:
    instance = make({1: lambda s: s.order.cancel("far")})
    instance.on_candle(CANDLES[0])
    instance.on_event(accepted(OrderType.LIMIT, Side.BUY, "1", order_id="far"))
    decision = instance.on_candle(CANDLES[1])
    assert decision is not None
    assert instance.must_hear(CANDLES[2], late=False)
    if answer == "canceled":
        instance.on_event(OrderCanceled("one", "far", BTC, "asked", 0))
    else:
        instance.on_event(OrderRejected("one", decision.intent_id(0), "", "unknown_order", "", 0))
    assert not instance.must_hear(CANDLES[2], late=False)


prices = st.integers(9000, 11000).map(lambda n: Decimal(n) / 100)
kinds = st.sampled_from(
    [OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP]
)


@examples(100)
@given(
    st.lists(st.tuples(kinds, st.sampled_from(Side), prices), min_size=1, max_size=6),
    st.integers(0, 10_000),
    st.sampled_from(["0.005", "0.02"]),
)
def test_it_never_misses_a_fill(
    wanted: list[tuple[OrderType, Side, Decimal]], seed: int, trail: str
) -> None:
    """An exact matcher per order, with the path open-high-low-close or open-low-high-close."""
    orders = mirror(
        *(
            accepted(
                kind,
                side,
                str(price),
                order_id=str(n),
                trail=trail if kind is OrderType.TRAILING_STOP else None,
            )
            for n, (kind, side, price) in enumerate(wanted)
        )
    )
    best = [float(price) for _, _, price in wanted]
    for n, (kind, side, price) in enumerate(wanted):
        if kind is OrderType.TRAILING_STOP:
            factor = 1 + float(trail) if side is Side.BUY else 1 - float(trail)
            best[n] = float(price) / factor
    for bar in random_candles(15, seed=seed, volatility=0.01):
        heard = orders.may_fill(BTC, bar, late=False)
        for n, (kind, side, price) in enumerate(wanted):
            for path in ((bar.open, bar.high, bar.low), (bar.open, bar.low, bar.high)):
                if fills(kind, side, float(price), best=best[n], trail=float(trail), path=path):
                    assert heard
            extreme = max if side is Side.SELL else min
            best[n] = extreme(best[n], bar.high if side is Side.SELL else bar.low)
        orders.follow(BTC, bar)


def fills(
    kind: OrderType,
    side: Side,
    price: float,
    *,
    best: float,
    trail: float,
    path: tuple[float, ...],
) -> bool:
    for point in path:
        if kind is OrderType.TRAILING_STOP:
            best = max(best, point) if side is Side.SELL else min(best, point)
            trigger = round(best * (1 - trail if side is Side.SELL else 1 + trail), 2)
            reached = point <= trigger if side is Side.SELL else point >= trigger
        elif (side is Side.BUY) is (kind is OrderType.STOP):
            reached = point >= price
        else:
            reached = point <= price
        if reached:
            return True
    return False
