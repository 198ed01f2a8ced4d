"""What a follower gets of each wish, and when it comes, changes and goes."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from engine.config import AccountConfig, RiskConfig
from engine.errors import ConfigError, TradingError
from engine.trading import Registration
from engine.types import (
    Action,
    CancelRequest,
    OrderRequest,
    OrderType,
    Side,
    Signal,
)

SYMBOL = "BTC/USDT"
BUY = Signal(Action.BUY, SYMBOL)
SELL = Signal(Action.SELL, SYMBOL)
CLOSE = Signal(Action.CLOSE, SYMBOL)
FLAT = (100, 100, 100, 100)
OTHERS = AccountConfig(id="others", balances={"USDT": Decimal(10_000)})


def qty(action: Action, quantity: str, **more: Any) -> Signal:
    return Signal(action, SYMBOL, quantity=Decimal(quantity), **more)


def order(side: Side, quantity: str, **more: Any) -> OrderRequest:
    return OrderRequest(SYMBOL, side, OrderType.MARKET, Decimal(quantity), **more)


def follow(stage: Any, name: str = "f", account: AccountConfig = OTHERS, **means: Any) -> None:
    leader = stage.run.strategies[0]
    stage.manager.register(Registration.of_follower(name, leader, account, **means))


def held(stage: Any, name: str = "f") -> Decimal:
    return sum((p.quantity for p in stage.manager.positions(name)), Decimal(0))


def outcomes(stage: Any, name: str = "f") -> list[str]:
    return [record.code for record in stage.manager.ledger.signals(name)]


def a_stage(scene: Any, **fields: Any) -> Any:
    """Return a stage with strategy `a`, capital 1000, and a follower with a quarter of that."""
    stage = scene({"id": "a", "capital": 1000, **fields})
    follow(stage, capital=Decimal(250))
    return stage


PARTS = [
    # fields of the strategy, its wish when flat, and what strategy and follower hold then
    ({}, BUY, "1", "0.25"),
    ({"sizing": {"mode": "fixed_notional", "value": 500}}, BUY, "5", "1.25"),
    ({"sizing": {}}, BUY, "10", "2.5"),
    ({}, qty(Action.BUY, "2"), "2", "0.5"),
    ({}, qty(Action.SELL, "0.005"), "-0.005", "-0.001"),
    ({}, qty(Action.BUY, "0.003"), "0.003", "min_quantity"),
    ({}, order(Side.SELL, "4"), "-4", "-1"),
    ({}, order(Side.BUY, "0.0039"), "0.003", "min_quantity"),
]


@pytest.mark.parametrize(("fields", "wish", "own", "followed"), PARTS)
def test_entries_are_scaled_to_the_followers_capital(
    scene: Any, fields: Any, wish: Any, own: str, followed: str
) -> None:
    stage = a_stage(scene, **fields)
    stage.step(FLAT, {"a": wish})
    stage.step(FLAT)
    assert held(stage, "a") == Decimal(own)
    if followed == "min_quantity":
        assert outcomes(stage) == [followed]
        assert held(stage) == 0
    else:
        assert held(stage) == Decimal(followed)
    assert all(event.instance == "a" for event in stage.events)


def test_equity_is_the_followers_own(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000, "sizing": {}})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.step((200, 200, 200, 200), {"a": CLOSE})
    follow(stage, capital=Decimal(500))
    stage.step((200, 200, 200, 200), {"a": BUY})
    stage.step((200, 200, 200, 200))
    assert held(stage, "a") == 10
    assert held(stage) == Decimal("2.5")


def test_followers_of_one_account_and_limits_of_their_own(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000, "sizing": {}})
    account = OTHERS.model_copy(update={"max_open_positions": 1})
    follow(stage, "limited", risk=RiskConfig(max_order_notional=Decimal(100)))
    follow(stage, "second", account.model_copy(update={"id": "narrow"}))
    follow(stage, "third", account.model_copy(update={"id": "narrow"}))
    stage.step(FLAT, {"a": BUY})
    assert outcomes(stage, "limited") == ["max_order_notional"]
    assert outcomes(stage, "second") == ["accepted"]
    assert outcomes(stage, "third") == ["account_max_open_positions"]


PARTIAL = [
    # wish, what is left of 4 and of 2, which the follower holds
    (CLOSE, "0", "0"),
    (qty(Action.CLOSE, "1"), "3", "1.5"),
    (qty(Action.CLOSE, "9"), "0", "0"),
    (order(Side.SELL, "3", reduce_only=True), "1", "0.5"),
]


@pytest.mark.parametrize(("wish", "own", "followed"), PARTIAL)
def test_an_exit_takes_the_same_share_of_the_followers_position(
    scene: Any, wish: Any, own: str, followed: str
) -> None:
    stage = scene({"id": "a", "capital": 1000})
    stage.step(FLAT)
    # Half of what its capital would give it: the limit cuts it.
    risk = RiskConfig(max_position_size=Decimal("0.2"))
    follow(stage, capital=Decimal(1000), risk=risk)
    stage.step(FLAT, {"a": qty(Action.BUY, "4")})
    stage.step(FLAT, {"a": wish})
    stage.step(FLAT)
    assert held(stage, "a") == Decimal(own)
    assert held(stage) == Decimal(followed)


def test_what_the_strategy_holds_no_more_is_closed_entirely(scene: Any) -> None:
    stage = a_stage(scene, risk={"stop_loss": "0.01"})
    stage.step(FLAT, {"a": qty(Action.BUY, "4")})
    stage.step(FLAT)
    stage.step((99, 99, 98, 98))
    assert (held(stage, "a"), held(stage)) == (0, 1)
    stage.step(FLAT, {"a": qty(Action.CLOSE, "0.001")})
    stage.step(FLAT)
    assert outcomes(stage, "a")[-1] == "flat"
    assert held(stage) == 0


def test_a_cancellation_ends_the_followers_order_of_the_same_wish(scene: Any) -> None:
    stage = a_stage(scene)
    stage.step(FLAT, {"a": qty(Action.BUY, "1", limit_price=Decimal(90))})
    (entry,) = stage.manager.ledger.orders("a")
    stage.step(FLAT, {"a": CancelRequest(entry.order.order_id)})
    states = [(o.order.order_id, o.state) for o in stage.manager.ledger.orders("f")]
    assert states == [("f|paper:BTC/USDT:1m|0|0", "requested")]
    assert outcomes(stage) == ["accepted", "accepted"]
    stage.step(FLAT, {"a": CancelRequest("nobody's")})
    assert outcomes(stage)[-1] == "unknown_order"


def test_protection_is_of_the_signal_or_of_the_followers_own_risk(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000, "risk": {"stop_loss": "0.1"}})
    risk = RiskConfig(stop_loss=Decimal("0.05"), take_profit=Decimal("0.2"))
    follow(stage, risk=risk)
    stage.step(FLAT, {"a": qty(Action.BUY, "1", take_profit=Decimal("0.3"))})
    stage.step(FLAT)
    orders = stage.manager.ledger.orders("f")
    assert [(o.order.role, o.order.price) for o in orders[1:]] == [
        ("stop_loss", 95),
        ("take_profit", 130),
    ]


def test_one_that_joins_waits_for_the_next_entry(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    follow(stage)
    stage.step(FLAT, {"a": CLOSE})
    assert outcomes(stage) == ["flat"]
    stage.step(FLAT, {"a": SELL})
    stage.step(FLAT)
    assert held(stage) == -10


def test_a_repeated_wish_is_none_to_a_follower_that_came_in_between(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000})
    stage.step(FLAT, {"a": BUY})
    follow(stage)
    again = stage.decisions({"a": BUY})
    slice_ = stage.slice_of({})
    stage.manager.match(slice_)
    assert len(stage.manager.decide(slice_, again)) == 1
    assert outcomes(stage) == []


def test_a_wish_repeated_inside_a_slice_counts_once_for_followers(scene: Any) -> None:
    stage = a_stage(scene)
    slice_ = stage.slice_of({SYMBOL: FLAT})
    stage.number += 1
    stage.manager.match(slice_)
    stage.manager.decide(slice_, stage.decisions({"a": BUY}) * 2)
    assert outcomes(stage) == ["accepted"]


# ---------------------------------------------------------------------- going, coming, changing


def test_one_that_is_withdrawn_keeps_its_position_and_protection_only(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000})
    follow(stage, risk=RiskConfig(stop_loss=Decimal("0.05")))
    stage.step(FLAT, {"a": qty(Action.BUY, "1")})
    stage.step(FLAT, {"a": qty(Action.BUY, "1", limit_price=Decimal(90))})
    assert stage.manager.withdraw("f", "paused") == []
    assert not stage.manager.takes_part("f")
    states = {o.order.role: o.state for o in stage.manager.ledger.orders("f")}
    assert states == {"entry": "withdrawn", "stop_loss": "working"}
    stage.step(FLAT, {"a": CLOSE})
    assert outcomes(stage) == ["accepted", "accepted"]
    assert held(stage) == 10
    stage.step((94, 94, 94, 94))
    assert held(stage) == 0
    assert stage.manager.takes_part("a")


def test_followers_of_a_withdrawn_strategy_do_nothing_until_it_is_back(scene: Any) -> None:
    stage = a_stage(scene)
    stage.step(FLAT, {"a": qty(Action.BUY, "1", limit_price=Decimal(90))})
    stage.manager.withdraw("a", "stopped")
    assert [o.state for o in stage.manager.ledger.orders("f")] == ["withdrawn"]
    stage.step(FLAT, {"a": BUY})
    assert outcomes(stage, "a")[-1] == "withdrawn"
    assert outcomes(stage) == ["accepted"]
    stage.manager.register(Registration(stage.run.strategies[0]))
    stage.step(FLAT, {"a": BUY})
    assert outcomes(stage) == ["accepted", "accepted"]


def test_other_capital_counts_at_once_and_leaves_what_was_made(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000, "sizing": {}})
    follow(stage, capital=Decimal(1000))
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.step((110, 110, 110, 110), {"a": CLOSE})
    stage.step((110, 110, 110, 110))
    stage.manager.withdraw("f", "changed")
    follow(stage, capital=Decimal(450))
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    assert held(stage) == Decimal("5.5")  # 450 + 100 made


def test_other_leverage_changes_the_margin_of_what_is_held(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000})
    follow(stage, capital=Decimal(1000), leverage=Decimal(4))
    stage.step(FLAT, {"a": qty(Action.BUY, "8")})
    stage.step(FLAT)

    def committed() -> Decimal:
        return next(s.committed for s in stage.manager.account_states() if s.account == "others")

    assert committed() == 200
    stage.manager.withdraw("f", "changed")
    follow(stage, capital=Decimal(1000), leverage=Decimal(2))
    assert committed() == 400
    stage.step(FLAT, {"a": CLOSE})
    stage.step(FLAT)
    assert committed() == 0


def test_other_limits_count_at_once(scene: Any) -> None:
    stage = a_stage(scene)
    stage.manager.withdraw("f", "changed")
    follow(stage, risk=RiskConfig(max_daily_loss=Decimal("0.001"), stop_loss=Decimal("0.02")))
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.step((97, 97, 97, 97), {"a": BUY})
    assert outcomes(stage)[-1] == "max_daily_loss"


def test_symbols_and_sizing_are_always_those_of_the_strategy(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000}, symbols=(SYMBOL, "ETH/USDT", "ETH/BTC"))
    follow(stage, capital=Decimal(100))
    stage.manager.withdraw("a", "changed")
    leader = stage.run.strategies[0]
    symbols = (SYMBOL, "ETH/USDT")
    stage.manager.register(Registration(leader.model_copy(update={"symbols": symbols})))
    stage.step({"ETH/USDT": FLAT}, {"a": Signal(Action.BUY, "ETH/USDT")})
    stage.step({"ETH/USDT": FLAT})
    assert held(stage) == Decimal("0.1")


# ---------------------------------------------------------------------- limits of followers only


def test_a_follower_pauses_after_exits_of_its_own(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000})
    follow(stage, risk=RiskConfig(stop_loss=Decimal("0.01"), cooldown_candles=2))
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.step((99, 99, 98, 98), {"a": qty(Action.BUY, "1")})  # stopped out in this candle
    stage.step(FLAT, {"a": qty(Action.BUY, "1")})
    stage.step(FLAT, {"a": qty(Action.BUY, "1")})
    assert outcomes(stage) == ["accepted", "cooldown", "cooldown", "accepted"]
    assert set(outcomes(stage, "a")) == {"accepted"}


def test_a_follower_that_has_lost_too_much_enters_nothing(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000, "sizing": {}})
    follow(stage, capital=Decimal(1000), risk=RiskConfig(max_drawdown=Decimal("0.1")))
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.step((90, 90, 90, 90), {"a": SELL})
    stage.step((90, 90, 90, 90))
    assert outcomes(stage) == ["accepted", "accepted"]
    assert stage.manager.ledger.signals("f")[-1].detail.startswith("closes only; max_drawdown")
    assert (held(stage, "a") < 0, held(stage)) == (True, 0)


# ---------------------------------------------------------------------- refused


def test_an_account_is_opened_once_and_stays_as_it_was_opened(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"})
    follow(stage)
    follow(stage, "g")
    with pytest.raises(ConfigError, match="'others': was opened with other balances or limits"):
        follow(stage, "h", OTHERS.model_copy(update={"max_open_positions": 3}))
    with pytest.raises(ConfigError, match="trades with account 'mine', but 'others' comes with it"):
        stage.manager.register(
            Registration(stage.run.strategies[0].model_copy(update={"account": "mine"}), OTHERS)
        )
    assert [s.account for s in stage.manager.account_states()] == ["paper", "others"]


def test_a_strategy_may_bring_its_account_or_name_one_opened_before(scene: Any) -> None:
    stage = scene({"id": "a"})
    strategy = stage.run.strategies[0]
    stage.manager.register(Registration(strategy.model_copy(update={"id": "b"}), OTHERS))
    named = strategy.model_copy(update={"id": "c", "account": "others"})
    stage.manager.register(Registration(named))
    stage.step(FLAT, {"b": BUY, "c": BUY})
    stage.step(FLAT)
    committed = {s.account: s.committed for s in stage.manager.account_states()}
    assert committed == {"paper": 0, "others": 200}


def test_nothing_is_opened_for_one_that_is_refused(scene: Any) -> None:
    stage = scene({"id": "a"})
    euros = AccountConfig(id="euros", balances={"EUR": Decimal(5)})
    with pytest.raises(ConfigError, match="traded in USDT, but account 'euros' holds EUR"):
        follow(stage, "f", euros)
    assert [s.account for s in stage.manager.account_states()] == ["paper"]
    with pytest.raises(TradingError, match="'f': cannot be withdrawn"):
        stage.manager.withdraw("f", "gone")


def test_who_cannot_follow_is_told_why(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"time_limit_candles": 20}})
    follow(stage)
    leader = stage.run.strategies[0]

    def refused(match: str, registration: Registration) -> None:
        with pytest.raises(ConfigError, match=match):
            stage.manager.register(registration)

    unknown = leader.model_copy(update={"id": "nobody"})
    refused(
        "'g': strategy 'nobody' is not registered", Registration.of_follower("g", unknown, OTHERS)
    )
    chained = leader.model_copy(update={"id": "f"})
    refused("'f' is a follower, too; follow 'a'", Registration.of_follower("g", chained, OTHERS))
    refused("'a': cannot follow itself", Registration.of_follower("a", leader, OTHERS))
    own = stage.run.accounts[0]
    refused(
        "'paper' is the one strategy 'a' trades with", Registration.of_follower("g", leader, own)
    )
    refused("'f': is registered already", Registration.of_follower("f", leader, OTHERS))
    short = RiskConfig(time_limit_candles=5)
    refused(
        "timeLimitCandles is kept by the strategy, and 'a' has 20",
        Registration.of_follower("g", leader, OTHERS, risk=short),
    )
    stage.manager.withdraw("f", "gone")
    refused(
        "'f': has followed 'a' and cannot change that",
        Registration(leader.model_copy(update={"id": "f"}), OTHERS),
    )
    follow(stage, "long", risk=RiskConfig(time_limit_candles=20))


def test_the_ledger_tells_followers_apart(scene: Any) -> None:
    lines: list[bytes] = []
    stage = scene({"id": "a", "capital": 1000}, sink=lines)
    follow(stage, capital=Decimal(500))
    stage.step(FLAT, {"a": qty(Action.BUY, "1")})
    signals = [json.loads(line) for line in lines if line.startswith(b'["signal"')]
    assert [(s[3], s[4], s[9]) for s in signals] == [
        ("a", "a|paper:BTC/USDT:1m|0|0", "1"),
        ("f", "f|paper:BTC/USDT:1m|0|0", "0.5"),
    ]
