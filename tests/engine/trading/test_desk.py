"""What each intent becomes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.types import Action, CancelRequest, OrderRequest, OrderRole, OrderType, Side, Signal

SYMBOL = "BTC/USDT"
BUY = Signal(Action.BUY, SYMBOL)
SELL = Signal(Action.SELL, SYMBOL)
CLOSE = Signal(Action.CLOSE, SYMBOL)
HOLD = Signal(Action.HOLD, SYMBOL)
FLAT = (100, 100, 100, 100)


def adding(action: Any, quantity: Any) -> Any:
    return Signal(action, SYMBOL, quantity=Decimal(str(quantity)))


def limit(action: Any, price: Any) -> Any:
    return Signal(action, SYMBOL, limit_price=Decimal(price))


SIGNAL_ROWS = [
    # signals, one per candle (None: none); fills; rejection codes; final quantity
    ([BUY], [("entry", "buy", "1")], [], 1),
    ([SELL], [("entry", "sell", "1")], [], -1),
    ([BUY, BUY], [("entry", "buy", "1")], ["already_long"], 1),
    ([SELL, SELL], [("entry", "sell", "1")], ["already_short"], -1),
    ([BUY, adding(Action.BUY, 2)], [("entry", "buy", "1"), ("entry", "buy", "2")], [], 3),
    ([BUY, SELL], [("entry", "buy", "1"), ("entry", "sell", "2")], [], -1),
    ([SELL, adding(Action.BUY, 3)], [("entry", "sell", "1"), ("entry", "buy", "4")], [], 3),
    ([BUY, CLOSE], [("entry", "buy", "1"), ("exit", "sell", "1")], [], 0),
    ([SELL, CLOSE], [("entry", "sell", "1"), ("exit", "buy", "1")], [], 0),
    ([adding(Action.BUY, 3), adding(Action.CLOSE, 1)],
     [("entry", "buy", "3"), ("exit", "sell", "1")], [], 2),
    ([BUY, adding(Action.CLOSE, 9)], [("entry", "buy", "1"), ("exit", "sell", "1")], [], 0),
    ([CLOSE], [], ["flat"], 0),
    ([HOLD, HOLD], [], [], 0),
    ([limit(Action.BUY, 50), limit(Action.BUY, 60)], [], ["entry_working"], 0),
    ([limit(Action.BUY, 50), CLOSE], [], ["entry_canceled"], 0),
    ([limit(Action.BUY, 50), SELL], [("entry", "sell", "1")], [], -1),
    ([BUY, limit(Action.CLOSE, 200), CLOSE], [("entry", "buy", "1"), ("exit", "sell", "1")], [], 0),
]  # fmt: skip


@pytest.mark.parametrize(("signals", "fills", "codes", "quantity"), SIGNAL_ROWS)
def test_signal(scene: Any, signals: Any, fills: Any, codes: Any, quantity: Any) -> None:
    stage = scene()
    for signal in [*signals, None]:
        stage.step(FLAT, {} if signal is None else {"a": signal})
    assert [fill[:3] for fill in stage.short_fills()] == fills
    assert stage.rejections() == codes
    assert stage.position().quantity == quantity


def test_close_while_an_entry_works_cancels_it_and_exits_what_is_held(scene: Any) -> None:
    stage = scene(execution={"volume_share": "0.1"})
    stage.step(FLAT, {"a": adding(Action.BUY, 3)})
    stage.step((100, 100, 100, 100, 10), {"a": CLOSE})
    stage.step(FLAT)
    assert stage.cancels() == [("0", "replaced")]
    assert [fill[:3] for fill in stage.short_fills()] == [
        ("entry", "buy", "1"),
        ("exit", "sell", "1"),
    ]


def test_buy_takes_back_a_reversal_that_has_not_filled(scene: Any) -> None:
    stage = scene(execution={"latency_ms": 90_000})
    stage.step(FLAT, {"a": BUY})
    for signal in (None, None, SELL, BUY, None, None, None):
        stage.step(FLAT, {} if signal is None else {"a": signal})
    assert stage.rejections() == ["already_long"]
    assert stage.cancels() == [("3", "replaced")] or stage.cancels() == [("0", "replaced")]
    assert stage.position().quantity == 1


def test_second_close_is_answered_while_the_first_exit_works(scene: Any) -> None:
    stage = scene(execution={"latency_ms": 90_000})
    for signal in (BUY, None, None, CLOSE, CLOSE, None, None):
        stage.step(FLAT, {} if signal is None else {"a": signal})
    assert stage.rejections() == ["already_closing"]
    assert stage.position().quantity == 0


def test_entry_after_a_working_exit_opens_anew(scene: Any) -> None:
    stage = scene(execution={"latency_ms": 90_000})
    for signal in (BUY, None, None, CLOSE, BUY, None, None, None):
        stage.step(FLAT, {} if signal is None else {"a": signal})
    assert [fill[:3] for fill in stage.short_fills()] == [
        ("entry", "buy", "1"),
        ("exit", "sell", "1"),
        ("entry", "buy", "1"),
    ]


def test_reversal_whose_close_was_done_by_the_stop_opens_the_new_part_only(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"stop_loss": "0.02"}}, execution={"latency_ms": 1})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.step(FLAT, {"a": SELL})
    stage.step((100, 100, 98, 100))  # the stop fires inside, the reversal fills at the close
    assert [fill[:3] for fill in stage.short_fills()] == [
        ("entry", "buy", "1"),
        ("stop_loss", "sell", "1"),
        ("entry", "sell", "1"),
    ]
    assert stage.position().quantity == -1


def test_every_intent_gets_an_answer_that_names_it(scene: Any) -> None:
    stage = scene()
    intents = [BUY, BUY, CLOSE, Signal(Action.BUY, "ETH/USDT"), CancelRequest("nothing")]
    events = stage.step(FLAT, {"a": intents})
    answered = {getattr(event, "intent_id", None) for event in events}
    for n in range(len(intents)):
        assert f"a|paper:BTC/USDT:1m|0|{n}" in answered
    assert stage.rejections() == [
        "entry_working",
        "entry_canceled",
        "unknown_symbol",
        "unknown_order",
    ]


def plain_order(
    side: Any, kind: Any, quantity: Any, price: Any = None, *, reduce_only: Any = False
) -> Any:
    return OrderRequest(
        SYMBOL,
        side,
        kind,
        Decimal(str(quantity)),
        None if price is None else Decimal(str(price)),
        reduce_only,
    )


REFUSED_REQUESTS = [
    (plain_order(Side.BUY, OrderType.TRAILING_STOP, 1, 99), "bad_order"),
    (plain_order(Side.BUY, OrderType.LIMIT, 1), "bad_order"),
    (plain_order(Side.BUY, OrderType.MARKET, 1, 99), "bad_order"),
    (plain_order(Side.BUY, OrderType.LIMIT, 1, -5), "bad_order"),
    (plain_order(Side.BUY, OrderType.LIMIT, 1, "0.001"), "bad_order"),  # below a tick
    (plain_order(Side.BUY, OrderType.MARKET, "0.0009"), "min_quantity"),
    (plain_order(Side.BUY, OrderType.MARKET, -1), "min_quantity"),
    (plain_order(Side.SELL, OrderType.MARKET, 1, reduce_only=True), "flat"),
]


@pytest.mark.parametrize(("request_", "code"), REFUSED_REQUESTS)
def test_unusable_request_is_refused(scene: Any, request_: Any, code: Any) -> None:
    stage = scene()
    stage.step(FLAT, {"a": request_})
    assert stage.rejections() == [code]


def test_reduce_only_orders_never_turn_the_position(scene: Any) -> None:
    stage = scene()
    stage.step(FLAT, {"a": adding(Action.BUY, 2)})
    exits = [
        plain_order(Side.SELL, OrderType.LIMIT, "1.5", 101, reduce_only=True),
        plain_order(Side.SELL, OrderType.LIMIT, "1.5", 102, reduce_only=True),
        plain_order(Side.SELL, OrderType.LIMIT, "1.5", 103, reduce_only=True),
    ]
    stage.step(FLAT, {"a": exits})
    stage.step((100, 110, 100, 110))
    assert [fill[2:] for fill in stage.short_fills()[1:]] == [("1.5", "101"), ("0.5", "102")]
    assert stage.cancels() == [("2", "flat")]
    assert stage.position().quantity == 0


def test_plain_orders_are_entries_and_may_pass_through_flat(scene: Any) -> None:
    stage = scene()
    stage.step(FLAT, {"a": plain_order(Side.BUY, OrderType.MARKET, 1)})
    stage.step(FLAT, {"a": plain_order(Side.SELL, OrderType.MARKET, 3)})
    stage.step(FLAT)
    assert stage.position().quantity == -2
    assert {order.role for order in stage.accepted()} == {OrderRole.ENTRY}


def test_cancel_request_ends_own_working_orders_only(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"})
    stage.step(FLAT, {"a": limit(Action.BUY, 50), "b": limit(Action.BUY, 50)})
    theirs, mine = (f"{who}|paper:BTC/USDT:1m|0|0" for who in "ba")
    stage.step(FLAT, {"a": [CancelRequest(theirs), CancelRequest(mine, "changed my mind")]})
    assert stage.rejections("a") == ["unknown_order"]
    assert stage.cancels("a") == [("0", "changed my mind")]
    assert stage.cancels("b") == []
    stage.step(FLAT, {"a": CancelRequest(mine)})
    assert stage.rejections("a") == ["unknown_order", "unknown_order"]


def test_signal_before_any_candle_of_its_symbol_is_refused(scene: Any) -> None:
    stage = scene(
        {"id": "a", "symbols": ["BTC/USDT", "ETH/USDT"]}, symbols=("BTC/USDT", "ETH/USDT")
    )
    stage.step(FLAT, {"a": Signal(Action.BUY, "ETH/USDT")})
    assert stage.rejections() == ["no_price"]
