"""Protective orders: made, moved, resized, cancelled."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.types import Action, OrderAccepted, OrderRequest, OrderType, Side, Signal

SYMBOL = "BTC/USDT"
BUY = Signal(Action.BUY, SYMBOL)
SELL = Signal(Action.SELL, SYMBOL)
FLAT = (100, 100, 100, 100)
RISK = {"stop_loss": "0.1", "take_profit": "0.2"}


def terms(events: Any) -> Any:
    return [
        (e.order_id.rpartition("|")[2], str(e.price.normalize()), str(e.quantity.normalize()))
        for e in events
        if isinstance(e, OrderAccepted) and e.role not in {"entry", "exit"}
    ]


def test_signal_overrides_the_strategys_risk(scene: Any) -> None:
    stage = scene({"id": "a", "risk": RISK})
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, stop_loss=Decimal("0.05"))})
    assert terms(stage.step(FLAT)) == [("0:sl", "95", "1"), ("0:tp", "1.2E+2", "1")]


def test_protective_orders_carry_the_intent_and_type(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {**RISK, "trailing_stop": "0.05"}})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    protective = stage.accepted()[1:]
    assert [(o.role, o.type, o.side) for o in protective] == [
        ("stop_loss", "stop", "sell"),
        ("trailing_stop", "trailing_stop", "sell"),
        ("take_profit", "take_profit", "sell"),
    ]
    assert {o.intent_id for o in protective} == {"a|paper:BTC/USDT:1m|0|0"}
    assert [o.trail for o in protective] == [None, Decimal("0.05"), None]
    assert [o.price for o in protective] == [90, 95, 120]


def test_further_entry_moves_the_bracket_to_the_average_price(scene: Any) -> None:
    stage = scene({"id": "a", "risk": RISK})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, quantity=Decimal(3))})
    moved = terms(stage.step((104, 104, 104, 104)))  # average (100 + 3 x 104) / 4 = 103
    assert moved == [("0:sl", "92.7", "4"), ("0:tp", "123.6", "4")]
    stage.step((93, 93, 92.7, 93))
    assert stage.short_fills()[2:] == [("stop_loss", "sell", "4", "92.7")]


def test_partial_entry_fills_move_the_bracket_with_every_fill(scene: Any) -> None:
    stage = scene({"id": "a", "risk": RISK}, execution={"volume_share": "0.1"})
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, quantity=Decimal(2))})
    assert terms(stage.step((100, 100, 100, 100, 10))) == [
        ("0:sl", "9E+1", "1"),
        ("0:tp", "1.2E+2", "1"),
    ]
    assert terms(stage.step((110, 110, 110, 110, 10))) == [
        ("0:sl", "94.5", "2"),
        ("0:tp", "126", "2"),
    ]


def test_partial_exit_resizes_the_bracket(scene: Any) -> None:
    stage = scene({"id": "a", "risk": RISK})
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, quantity=Decimal(3))})
    stage.step(FLAT, {"a": Signal(Action.CLOSE, SYMBOL, quantity=Decimal(1))})
    assert terms(stage.step(FLAT)) == [("0:sl", "9E+1", "2"), ("0:tp", "1.2E+2", "2")]


def test_partly_filled_target_resizes_the_stop(scene: Any) -> None:
    stage = scene({"id": "a", "risk": RISK}, execution={"volume_share": "0.1"})
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, quantity=Decimal(3))})
    stage.step((100, 100, 100, 100, 100))
    assert terms(stage.step((119, 120, 119, 119, 10))) == [("0:sl", "9E+1", "2")]
    stage.step((91, 91, 90, 90, 100))
    assert [fill[0] for fill in stage.short_fills()] == ["entry", "take_profit", "stop_loss"]
    assert stage.position().quantity == 0


def test_close_cancels_the_bracket(scene: Any) -> None:
    stage = scene({"id": "a", "risk": RISK})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT, {"a": Signal(Action.CLOSE, SYMBOL)})
    stage.step(FLAT)
    assert stage.cancels() == [("0:sl", "flat"), ("0:tp", "flat")]
    assert stage.step((90, 130, 80, 100)) == []


def test_reversal_replaces_the_bracket(scene: Any) -> None:
    stage = scene({"id": "a", "risk": RISK})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT, {"a": SELL})
    assert terms(stage.step(FLAT)) == [("0:sl", "1.1E+2", "1"), ("0:tp", "8E+1", "1")]
    assert [order_id for order_id, reason in stage.cancels() if reason == "reversed"] == [
        "0:sl",
        "0:tp",
    ]
    stage.step((100, 110, 100, 110))
    assert stage.short_fills()[2:] == [("stop_loss", "buy", "1", "110")]


def test_stop_cancels_a_working_exit_with_it(scene: Any) -> None:
    stage = scene({"id": "a", "risk": RISK})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT, {"a": Signal(Action.CLOSE, SYMBOL, limit_price=Decimal(150))})
    stage.step((100, 100, 90, 90))
    assert stage.cancels() == [("0:tp", "flat"), ("0", "flat")]


def test_stop_ends_the_entry_that_was_still_filling(scene: Any) -> None:
    stage = scene({"id": "a", "risk": RISK}, execution={"volume_share": "0.1"})
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, quantity=Decimal(9))})
    stage.step((100, 100, 90, 95, 10))
    assert [fill[:3] for fill in stage.short_fills()] == [
        ("entry", "buy", "1"),
        ("stop_loss", "sell", "1"),
    ]
    assert ("0", "flat") in stage.cancels()
    assert stage.step((100, 100, 100, 100, 10)) == []


def test_second_bracket_of_an_entry_gets_new_ids(scene: Any) -> None:
    stage = scene({"id": "a", "risk": RISK}, execution={"volume_share": "0.1"})
    buy = OrderRequest(SYMBOL, Side.BUY, OrderType.LIMIT, Decimal(2), Decimal(99))
    sell = OrderRequest(SYMBOL, Side.SELL, OrderType.MARKET, Decimal(1))
    stage.step(FLAT, {"a": buy})
    stage.step((100, 100, 99, 100, 10), {"a": sell})
    stage.step((100, 100, 100, 100, 10))
    assert stage.position().quantity == 0
    again = stage.step((100, 100, 99, 100, 10))
    assert [order_id for order_id, _, _ in terms(again)] == ["0:sl2", "0:tp2"]


def test_levels_at_or_below_zero_make_no_order(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"stop_loss": "1", "take_profit": "1.5"}})
    stage.step(FLAT, {"a": SELL})
    assert terms(stage.step(FLAT)) == [("0:sl", "2E+2", "1")]


@pytest.mark.parametrize(("side", "level"), [("long", "99.99"), ("short", "100.01")])
def test_levels_are_rounded_to_the_nearest_tick(scene: Any, side: Any, level: Any) -> None:
    stage = scene({"id": "a", "risk": {"stop_loss": "0.000149"}})
    stage.step(FLAT, {"a": BUY if side == "long" else SELL})
    assert terms(stage.step((100, 100, 100, 100))) == [("0:sl", level, "1")]


def test_plain_entries_get_the_strategys_bracket(scene: Any) -> None:
    stage = scene({"id": "a", "risk": RISK})
    stage.step(
        FLAT, {"a": OrderRequest(SYMBOL, Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(99))}
    )
    assert terms(stage.step((100, 100, 99, 100))) == [
        ("0:sl", "89.1", "1"),
        ("0:tp", "118.8", "1"),
    ]
