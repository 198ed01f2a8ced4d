"""Scenario tables of the paper gateway: each row is the specification of one case."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.types import Action, OrderRequest, OrderType, Side, Signal

SYMBOL = "BTC/USDT"
BUY = Signal(Action.BUY, SYMBOL)
SELL = Signal(Action.SELL, SYMBOL)
CLOSE = Signal(Action.CLOSE, SYMBOL)
FLAT = (100, 100, 100, 100)


def request(
    side: Any, kind: Any, price: Any, quantity: Any = 1, *, reduce_only: Any = False
) -> Any:
    return OrderRequest(
        SYMBOL,
        side,
        kind,
        Decimal(quantity),
        None if price is None else Decimal(str(price)),
        reduce_only,
    )


def test_market_order_fills_at_the_open_of_the_next_candle(scene: Any) -> None:
    stage = scene()
    stage.step(FLAT, {"a": BUY})
    assert stage.fills() == []
    stage.step((101.5, 103, 99, 102))
    (fill,) = stage.fills()
    assert (fill.price, fill.quantity, fill.time) == (Decimal("101.5"), 1, 60_000)
    assert fill.leaves == 0
    assert fill.order_id == "a|paper:BTC/USDT:1m|0|0"
    assert fill.fill_id == "a|paper:BTC/USDT:1m|0|0#1"


def test_market_order_waits_over_missing_candles(scene: Any) -> None:
    stage = scene()
    stage.step(FLAT, {"a": BUY})
    stage.step(None)
    stage.step((105, 106, 104, 105))
    assert stage.short_fills() == [("entry", "buy", "1", "105")]


@pytest.mark.parametrize(
    ("latency_ms", "fills_in", "price", "time"),
    [
        (0, 1, "101", 60_000),
        (1, 1, "109", 120_000),
        (59_999, 1, "109", 120_000),
        (60_000, 2, "111", 120_000),
        (60_001, 2, "119", 180_000),
    ],
)
def test_latency_delays_a_market_order(
    scene: Any, latency_ms: Any, fills_in: Any, price: Any, time: Any
) -> None:
    stage = scene(execution={"latency_ms": latency_ms})
    stage.step(FLAT, {"a": BUY})
    for n in (1, 2):
        stage.step((100 + 10 * (n - 1) + 1, 130, 90, 100 + 10 * (n - 1) + 9))
        assert len(stage.fills()) == (1 if n >= fills_in else 0)
    (fill,) = stage.fills()
    assert (fill.price, fill.time) == (Decimal(price), time)


def test_tick_fills_a_market_order_before_the_candle(scene: Any) -> None:
    stage = scene(execution={"latency_ms": 500})
    stage.step(FLAT, {"a": BUY})
    assert stage.tick(499, 98.0) == []
    stage.tick(500, 99.0)
    stage.step((101, 103, 99, 102))
    (fill,) = stage.fills()
    assert (fill.price, fill.time) == (99, 60_500)


@pytest.mark.parametrize(
    ("first", "slippage_bps", "price"),
    [
        (BUY, "0", "100.05"),
        (BUY, "10", "100.16"),  # 100.15005 rounded up to a tick
        (SELL, "10", "99.94"),  # 99.94995 rounded down to a tick
        (BUY, "0.0001", "100.06"),  # any slippage costs at least a tick
    ],
)
def test_slippage_worsens_market_fills_and_rounds_against_the_trader(
    scene: Any, first: Any, slippage_bps: Any, price: Any
) -> None:
    stage = scene(execution={"slippage_bps": slippage_bps})
    stage.step(FLAT, {"a": first})
    stage.step((100.05, 101, 99, 100))
    assert stage.fills()[0].price == Decimal(price)


LIMIT_ROWS = [
    # side, kind, price, candle after the order, fill price or None
    ("buy", "limit", 99, (100, 101, 99, 100), "99"),  # touched
    ("buy", "limit", 99, (100, 101, 98, 100), "99"),  # traded through
    ("buy", "limit", 99, (100, 101, 99.01, 100), None),
    ("buy", "limit", 99, (98, 101, 97, 100), "98"),  # the open is better
    ("sell", "limit", 101, (100, 101, 99, 100), "101"),
    ("sell", "limit", 101, (100, 100.99, 99, 100), None),
    ("sell", "limit", 101, (102, 103, 99, 100), "102"),
    ("sell", "take_profit", 101, (100, 101, 99, 100), "101"),
    ("buy", "take_profit", 99, (98, 101, 97, 100), "98"),
    ("buy", "stop", 101, (100, 101, 99, 100), "101"),
    ("buy", "stop", 101, (100, 100.99, 99, 100), None),
    ("buy", "stop", 101, (103, 104, 102, 103), "103"),  # gap: the open is beyond
    ("sell", "stop", 99, (100, 101, 99, 100), "99"),
    ("sell", "stop", 99, (100, 101, 99.01, 100), None),
    ("sell", "stop", 99, (97, 98, 96, 97), "97"),
]


@pytest.mark.parametrize("row", LIMIT_ROWS)
def test_resting_order_fills(scene: Any, row: Any) -> None:
    side, kind, price, candle, filled_at = row
    stage = scene()
    stage.step(FLAT, {"a": request(Side(side), OrderType(kind), price)})
    stage.step(candle)
    expected = [] if filled_at is None else [("entry", side, "1", filled_at)]
    assert stage.short_fills() == expected


def test_resting_order_takes_no_part_in_a_candle_that_opened_before_it_was_active(
    scene: Any,
) -> None:
    stage = scene(execution={"latency_ms": 1})
    stage.step(FLAT, {"a": request(Side.BUY, OrderType.LIMIT, 99)})
    stage.step((100, 101, 90, 100))
    assert stage.fills() == []
    stage.step((100, 101, 99, 100))
    assert stage.fills()[0].time == 180_000


def test_stop_pays_slippage_and_taker_fee_and_limit_neither(scene: Any) -> None:
    fees = {"slippage_bps": 10, "taker_fee_bps": 5, "maker_fee_bps": 1}
    stage = scene(execution=fees)
    stage.step(FLAT, {"a": request(Side.BUY, OrderType.STOP, 101)})
    stage.step((100, 102, 99.5, 101), {"a": request(Side.SELL, OrderType.LIMIT, 103)})
    stage.step((102, 104, 101, 103))
    stop, limit = stage.fills()
    assert (stop.price, stop.fee) == (Decimal("101.11"), Decimal("0.050555"))
    assert (limit.price, limit.fee) == (Decimal(103), Decimal("0.0103"))


BRACKET_ROWS = [
    # entry side, candle of the entry (filled at its open 100), next candle, exits
    ("long", (100, 103, 98.5, 100), (100, 103, 98.5, 100), []),
    ("long", (100, 103, 98, 100), None, [("stop_loss", "98")]),  # same candle as the entry
    ("long", (100, 104, 99, 100), None, [("take_profit", "104")]),
    ("long", (100, 104, 98, 100), None, [("stop_loss", "98")]),  # both: the worse one
    ("long", (100, 103, 99, 100), (100, 104, 98, 100), [("stop_loss", "98")]),
    ("long", (100, 103, 99, 100), (97, 105, 96, 100), [("stop_loss", "97")]),  # gap
    ("long", (100, 103, 99, 100), (105, 106, 97, 100), [("take_profit", "105")]),  # gap
    ("short", (100, 102, 97, 100), None, [("stop_loss", "102")]),
    ("short", (100, 101, 96, 100), None, [("take_profit", "96")]),
    ("short", (100, 102, 96, 100), None, [("stop_loss", "102")]),
    ("short", (100, 101, 97, 100), (103, 104, 95, 100), [("stop_loss", "103")]),
    ("short", (100, 101, 97, 100), (95, 104, 94, 100), [("take_profit", "95")]),
]


@pytest.mark.parametrize(("side", "entry_candle", "next_candle", "exits"), BRACKET_ROWS)
def test_bracket_of_a_market_entry(
    scene: Any, side: Any, entry_candle: Any, next_candle: Any, exits: Any
) -> None:
    stage = scene({"id": "a", "risk": {"stop_loss": "0.02", "take_profit": "0.04"}})
    stage.step(FLAT, {"a": BUY if side == "long" else SELL})
    stage.step(entry_candle)
    if next_candle is not None:
        stage.step(next_candle)
    stage.step(FLAT)
    found = [(role, price) for role, _, _, price in stage.short_fills()[1:]]
    assert found == exits
    if exits:
        other = "tp" if exits[0][0] == "stop_loss" else "sl"
        assert stage.cancels() == [(f"0:{other}", "flat")]
        assert stage.position().quantity == 0


INSIDE_ROWS = [
    # the entry is a limit buy at 99; stop 97.02, target 102.96
    ((100, 100, 99, 100), None, []),
    ((100, 104, 99, 100), None, []),  # the target waits for the next candle
    ((100, 104, 99, 100), (100, 103, 99, 100), [("take_profit", "102.96")]),
    ((100, 104, 97, 100), None, [("stop_loss", "97.02")]),  # the stop does not
    ((99, 104, 98, 100), None, [("take_profit", "102.96")]),  # filled at the open after all
]


@pytest.mark.parametrize(("entry_candle", "next_candle", "exits"), INSIDE_ROWS)
def test_bracket_of_an_entry_filled_inside_the_candle(
    scene: Any, entry_candle: Any, next_candle: Any, exits: Any
) -> None:
    stage = scene({"id": "a", "risk": {"stop_loss": "0.02", "take_profit": "0.04"}})
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, limit_price=Decimal(99))})
    stage.step(entry_candle)
    if next_candle is not None:
        stage.step(next_candle)
    assert [(role, price) for role, _, _, price in stage.short_fills()[1:]] == exits


def test_bracket_of_an_entry_filled_at_the_close_starts_with_the_next_candle(scene: Any) -> None:
    stage = scene(
        {"id": "a", "risk": {"stop_loss": "0.02", "take_profit": "0.04"}},
        execution={"latency_ms": 10},
    )
    stage.step(FLAT, {"a": BUY})
    stage.step((100, 200, 50, 100))
    assert stage.short_fills() == [("entry", "buy", "1", "100")]
    stage.step((100, 101, 98, 100))
    assert stage.short_fills()[1:] == [("stop_loss", "sell", "1", "98")]


def test_stop_after_a_tick_entry_may_fire_in_the_open_candle_the_target_may_not(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"stop_loss": "0.02", "take_profit": "0.04"}})
    stage.step(FLAT, {"a": BUY})
    stage.tick(1000, 100.0)
    stage.step((100, 110, 99, 100))
    assert len(stage.fills()) == 1
    stage.step((100, 104, 99, 100))
    assert stage.short_fills()[1:] == [("take_profit", "sell", "1", "104")]

    stage = scene({"id": "a", "risk": {"stop_loss": "0.02", "take_profit": "0.04"}})
    stage.step(FLAT, {"a": BUY})
    stage.tick(1000, 100.0)
    stage.step((100, 110, 98, 100))
    assert stage.short_fills()[1:] == [("stop_loss", "sell", "1", "98")]


TRAIL_ROWS = [
    # side, candles after the order (entry at the first open, 100), exits
    ("long", [(100, 110, 95.01, 110)], []),  # 5 % below the open of 100: 95
    ("long", [(100, 110, 95, 100)], ["95"]),  # the high of this candle does not count yet
    ("long", [(100, 110, 99, 110), (109, 110, 104.51, 109)], []),
    ("long", [(100, 110, 99, 110), (109, 110, 104.5, 109)], ["104.5"]),
    ("long", [(100, 110, 99, 110), (103, 104, 102, 103)], ["103"]),  # gap below
    ("long", [(100, 110, 99, 110), (120, 121, 114, 120)], ["114"]),  # the open counts
    ("long", [(100, 110, 99, 110), (120, 121, 114.01, 120), (120, 120, 114.95, 115)], ["114.95"]),
    ("short", [(100, 104.99, 90, 95)], []),
    ("short", [(100, 105, 90, 95)], ["105"]),
    ("short", [(100, 101, 90, 91), (91, 94.5, 90, 91)], ["94.5"]),
    ("short", [(100, 101, 90, 91), (96, 97, 95, 96)], ["96"]),
]


@pytest.mark.parametrize(("side", "candles", "exits"), TRAIL_ROWS)
def test_trailing_stop(scene: Any, side: Any, candles: Any, exits: Any) -> None:
    stage = scene({"id": "a", "risk": {"trailing_stop": "0.05"}})
    stage.step(FLAT, {"a": BUY if side == "long" else SELL})
    for candle in candles:
        stage.step(candle)
    assert [fill[3] for fill in stage.short_fills()[1:]] == exits
    assert all(fill[0] == "trailing_stop" for fill in stage.short_fills()[1:])


def test_trailing_stop_of_an_entry_inside_the_candle_follows_its_close_only(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"trailing_stop": "0.05"}})
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, limit_price=Decimal(99))})
    stage.step((110, 110, 99, 100))  # best is 100, not 110
    stage.step((100, 100, 95.01, 100))
    assert len(stage.fills()) == 1
    stage.step((100, 100, 95, 100))
    assert stage.short_fills()[1:] == [("trailing_stop", "sell", "1", "95")]


def test_nearer_of_stop_and_trailing_stop_fires_first(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"stop_loss": "0.1", "trailing_stop": "0.05"}})
    stage.step(FLAT, {"a": BUY})
    stage.step((100, 100, 80, 85))
    assert stage.short_fills()[1:] == [("trailing_stop", "sell", "1", "95")]
    assert stage.cancels() == [("0:sl", "flat")]


def test_quiet_candles_leave_a_resting_order_alone(scene: Any) -> None:
    stage = scene()
    stage.step(FLAT, {"a": request(Side.BUY, OrderType.LIMIT, 90)})
    for _ in range(5):
        assert stage.step((100, 101, 99, 100)) == []
    stage.step((91, 91, 90, 91))
    assert stage.short_fills() == [("entry", "buy", "1", "90")]


def test_volume_share_fills_a_market_order_over_several_opens(scene: Any) -> None:
    stage = scene(execution={"volume_share": "0.1"})
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, quantity=Decimal("2.5"))})
    stage.step((101, 101, 101, 101, 10))
    stage.step((102, 102, 102, 102, 0.005))  # a share of half a lot: nothing
    stage.step((103, 103, 103, 103, 12.345))
    stage.step((104, 104, 104, 104, 100))
    assert [(f[2], f[3]) for f in stage.short_fills()] == [
        ("1", "101"),
        ("1.234", "103"),
        ("0.266", "104"),
    ]
    assert [f.fill_id.rpartition("#")[2] for f in stage.fills()] == ["1", "2", "3"]
    assert [f.leaves for f in stage.fills()] == [Decimal("1.5"), Decimal("0.266"), 0]


def test_rest_of_a_fired_stop_goes_on_at_the_next_opens(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"stop_loss": "0.02"}}, execution={"volume_share": "0.1"})
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, quantity=Decimal(3))})
    stage.step((100, 100, 100, 100, 30))
    stage.step((100, 100, 98, 99, 10))
    stage.step((105, 105, 105, 105, 10))  # the price has recovered, the stop has fired
    stage.step((106, 106, 106, 106, 10))
    assert [(f[0], f[2], f[3]) for f in stage.short_fills()] == [
        ("entry", "3", "100"),
        ("stop_loss", "1", "98"),
        ("stop_loss", "1", "105"),
        ("stop_loss", "1", "106"),
    ]


def test_limit_fills_once_per_candle_up_to_its_share(scene: Any) -> None:
    stage = scene(execution={"volume_share": "0.1"})
    stage.step(FLAT, {"a": request(Side.BUY, OrderType.LIMIT, 99, 2)})
    stage.step((98, 99, 97, 98, 10))
    stage.step((100, 100, 99, 100, 10))
    assert [(f[2], f[3]) for f in stage.short_fills()] == [("1", "98"), ("1", "99")]


def test_ticks_use_up_the_share_of_the_candle_they_belong_to(scene: Any) -> None:
    stage = scene(execution={"volume_share": "0.1"})
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, quantity=Decimal(3))})
    stage.tick(10, 100.0, 4)
    stage.step((101, 101, 101, 101, 10))
    stage.step((102, 102, 102, 102, 30))
    assert [(f[2], f[3]) for f in stage.short_fills()] == [
        ("0.4", "100"),
        ("0.6", "101"),
        ("2", "102"),
    ]


TICK_ROWS = [
    (("buy", "limit", 99), [99.5], None),
    (("buy", "limit", 99), [99.0], "99"),
    (("buy", "limit", 99), [98.5], "98.5"),
    (("buy", "stop", 101), [101.5], "101.5"),
    (("sell", "stop", 99), [99.5, 98.9], "98.9"),
]


@pytest.mark.parametrize(("order", "ticks", "filled_at"), TICK_ROWS)
def test_tick_fills_resting_orders(scene: Any, order: Any, ticks: Any, filled_at: Any) -> None:
    side, kind, price = order
    stage = scene()
    stage.step(FLAT, {"a": request(Side(side), OrderType(kind), price)})
    for n, tick in enumerate(ticks):
        stage.tick(n, tick)
    expected = [] if filled_at is None else [("entry", side, "1", filled_at)]
    assert stage.short_fills() == expected


def test_ticks_move_a_trailing_stop(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"trailing_stop": "0.05"}})
    stage.step(FLAT, {"a": BUY})
    stage.step((100, 100, 100, 100))
    for n, price in enumerate((110.0, 104.51, 104.5)):
        stage.tick(n, price)
    assert stage.short_fills()[1:] == [("trailing_stop", "sell", "1", "104.5")]


def test_several_orders_work_at_once_and_market_orders_go_first(scene: Any) -> None:
    stage = scene()
    grid = [request(Side.BUY, OrderType.LIMIT, price) for price in (99, 98, 97)]
    stage.step(FLAT, {"a": grid})
    stage.step((100, 100, 97.5, 98), {"a": request(Side.SELL, OrderType.MARKET, None, 2)})
    stage.step((96, 100, 95, 98))
    assert [(f[1], f[3]) for f in stage.short_fills()] == [
        ("buy", "99"),
        ("buy", "98"),
        ("sell", "96"),
        ("buy", "96"),
    ]
    assert stage.position().quantity == 1


def test_stops_go_before_limits_where_the_open_is_beyond_both(scene: Any) -> None:
    stage = scene()
    resting = [request(Side.BUY, OrderType.LIMIT, 99), request(Side.SELL, OrderType.STOP, 99)]
    stage.step(FLAT, {"a": resting})
    stage.step((98, 98, 98, 98))
    assert [fill[1] for fill in stage.short_fills()] == ["sell", "buy"]
