"""Halting and letting out: what is refused, what ends, what goes on, and who hears of it when."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from engine.config import AccountConfig
from engine.errors import ConfigError
from engine.trading import Registration
from engine.types import Action, CancelRequest, OrderCanceled, OrderRequest, OrderType, Side, Signal

SYMBOL = "BTC/USDT"
BUY = Signal(Action.BUY, SYMBOL)
SELL = Signal(Action.SELL, SYMBOL)
CLOSE = Signal(Action.CLOSE, SYMBOL)
HOLD = Signal(Action.HOLD, SYMBOL)
LIMIT = Signal(Action.BUY, SYMBOL, limit_price=Decimal(90))
EXIT = OrderRequest(SYMBOL, Side.SELL, OrderType.MARKET, Decimal(1), reduce_only=True)
FLAT = (100, 100, 100, 100)
OTHERS = AccountConfig(id="others", balances={"USDT": Decimal(10_000)})


def codes(stage: Any, name: str = "a") -> list[str]:
    return [record.code for record in stage.manager.ledger.signals(name)]


@pytest.mark.parametrize(
    ("mode", "wish", "outcome"),
    [
        ("halted", BUY, "trading_halted"),
        ("halted", CLOSE, "trading_halted"),
        ("halted", EXIT, "trading_halted"),
        ("halted", CancelRequest("a|paper:BTC/USDT:1m|0|0:sl"), "trading_halted"),
        ("halted", HOLD, "recorded"),
        ("reduce", Signal(Action.BUY, SYMBOL, quantity=Decimal(1)), "reduce_only"),
        ("reduce", CLOSE, "accepted"),
        ("reduce", EXIT, "accepted"),
        ("reduce", CancelRequest("a|paper:BTC/USDT:1m|0|0:sl"), "accepted"),
        ("reduce", HOLD, "recorded"),
    ],
)
def test_what_a_wish_becomes(scene: Any, mode: Any, wish: Any, outcome: str) -> None:
    stage = scene({"id": "a", "risk": {"stop_loss": "0.05"}})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.manager.set_trading(mode)
    stage.step(FLAT, {"a": wish})
    assert codes(stage)[-1] == outcome
    stage.manager.set_trading("running")
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, quantity=Decimal(1))})
    assert codes(stage)[-1] == "accepted"


def test_protection_works_on_whatever_is_halted(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"stop_loss": "0.05"}})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.manager.set_trading("halted")
    stage.step((94, 94, 94, 94))
    assert [fill[0] for fill in stage.short_fills()] == ["entry", "stop_loss"]


def test_a_reversal_closes_only_while_an_account_only_gets_out(scene: Any) -> None:
    stage = scene({"id": "a"})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.manager.set_trading("reduce")
    stage.step(FLAT, {"a": SELL})
    stage.step(FLAT)
    assert stage.position().quantity == 0
    assert stage.manager.ledger.signals("a")[-1].detail.startswith("closes only; reduce_only")


def test_a_halt_ends_working_entries_and_gives_their_capital_back(scene: Any) -> None:
    stage = scene({"id": "a"})
    stage.step(FLAT, {"a": LIMIT})
    assert stage.wallet().committed == 90
    stage.manager.set_trading("halted")
    assert stage.wallet().committed == 0
    assert [o.state for o in stage.manager.ledger.orders("a")] == ["halted"]
    stage.manager.set_trading("running")
    stage.step((89, 89, 89, 89))
    assert stage.fills() == []
    assert len([o for o in stage.manager.ledger.orders("a") if o.state == "working"]) == 0


def cancels(events: list[Any]) -> list[str]:
    return [event.reason for event in events if isinstance(event, OrderCanceled)]


def test_an_instance_hears_of_it_when_a_candle_touches_the_order(scene: Any) -> None:
    stage = scene({"id": "a"})
    stage.step(FLAT, {"a": LIMIT})
    stage.manager.set_trading("halted")
    assert stage.step(FLAT) == []
    assert cancels(stage.step((95, 95, 89, 95))) == ["halted"]
    assert cancels(stage.step((95, 95, 89, 95))) == []


@pytest.mark.parametrize("policy", ["independent", "net"])
def test_an_instance_hears_of_a_market_order_with_the_next_candle(scene: Any, policy: str) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, policy=policy)
    stage.step(FLAT, {"a": BUY, "b": SELL})
    stage.manager.set_trading("halted")
    assert cancels(stage.step(FLAT)) == ["halted", "halted"]
    assert stage.fills("a") == stage.fills("b") == []


def test_an_instance_hears_of_it_before_the_answer_to_its_next_wish(scene: Any) -> None:
    stage = scene({"id": "a"})
    stage.step(FLAT, {"a": LIMIT})
    stage.manager.set_trading("halted")
    assert stage.step(FLAT, {"a": HOLD}) == []
    events = stage.step(FLAT, {"a": [HOLD, BUY]})
    assert [type(event).__name__ for event in events] == ["OrderCanceled", "OrderRejected"]
    stage.manager.set_trading("running")
    stage.step(FLAT, {"a": BUY})
    assert codes(stage)[-1] == "accepted"
    stage.step(FLAT)
    assert len(stage.fills()) == 1


def test_an_instance_that_leaves_hears_of_it_then(scene: Any) -> None:
    stage = scene({"id": "a"})
    stage.step(FLAT, {"a": LIMIT})
    stage.manager.set_trading("halted")
    assert cancels(stage.manager.withdraw("a", "stopped")) == ["halted"]


def test_a_voided_order_stands_in_nobodys_way(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, policy="first", account={"max_open_positions": 1})
    stage.step(FLAT, {"a": LIMIT})
    stage.manager.set_trading("halted")
    stage.manager.set_trading("running")
    stage.step(FLAT, {"b": BUY})
    assert codes(stage, "b") == ["accepted"]


def test_accounts_are_halted_one_by_one_and_the_stricter_mode_counts(scene: Any) -> None:
    lines: list[bytes] = []
    stage = scene({"id": "a", "capital": 1000}, sink=lines)
    manager = stage.manager
    manager.set_trading("halted", "others")  # not opened yet
    manager.register(Registration.of_follower("f", stage.run.strategies[0], OTHERS))
    stage.step(FLAT, {"a": BUY})
    assert (codes(stage), codes(stage, "f")) == (["accepted"], ["trading_halted"])
    manager.set_trading("reduce")
    manager.set_trading("reduce")
    stage.step(FLAT, {"a": CLOSE})
    assert (codes(stage)[-1], codes(stage, "f")[-1]) == ("accepted", "trading_halted")
    assert manager.trading() == {"": "reduce", "others": "halted"}
    manager.set_trading("running", "others")
    stage.step(FLAT, {"a": BUY})
    assert (codes(stage)[-1], codes(stage, "f")[-1]) == ("reduce_only", "reduce_only")
    manager.set_trading("running")
    assert manager.trading() == {}
    told = [json.loads(line)[3:] for line in lines if line.startswith(b'["trading"')]
    assert told == [["others", "halted"], ["", "reduce"], ["others", "running"], ["", "running"]]


def test_a_followers_entries_end_with_those_of_its_account_only(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000})
    stage.manager.register(Registration.of_follower("f", stage.run.strategies[0], OTHERS))
    stage.step(FLAT, {"a": LIMIT})
    stage.manager.set_trading("halted", "others")
    assert [o.state for o in stage.manager.ledger.orders("f")] == ["halted"]
    assert [o.state for o in stage.manager.ledger.orders("a")] == ["working"]


def test_an_unknown_mode_is_refused(scene: Any) -> None:
    with pytest.raises(ConfigError, match="needs one of running, reduce, halted, got 'stopped'"):
        scene().manager.set_trading("stopped")
