"""Risk limits, sizing and capital: what gets through, how large, and why not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from engine.types import (
    Action,
    Decision,
    MarketSlice,
    OrderRejected,
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
DAY = 1440


def qty(action: Any, quantity: Any) -> Any:
    return Signal(action, SYMBOL, quantity=Decimal(str(quantity)))


SIZES = [
    # strategy fields, instrument fields, quantity or rejection (price 100, balance 10,000)
    ({"sizing": {"mode": "fixed_quantity", "value": "2.3456"}}, {}, "2.345"),
    ({"sizing": {"mode": "fixed_notional", "value": "250"}}, {}, "2.5"),
    ({"sizing": {"mode": "equity_fraction", "value": "0.25"}}, {}, "25"),
    ({"sizing": {}, "risk": {"max_position_size": "0.1"}}, {}, "10"),
    ({"sizing": {}}, {}, "100"),
    ({"sizing": {}, "capital": "500"}, {}, "5"),
    ({"sizing": {}, "capital": "500", "leverage": 4}, {}, "20"),
    ({"sizing": {"mode": "fixed_quantity", "value": 50}, "risk": {"max_position_size": "0.1"}},
     {}, "10"),
    ({"sizing": {"mode": "fixed_notional", "value": "0.09"}}, {}, "min_quantity"),
    ({"sizing": {"mode": "fixed_notional", "value": "9"}}, {"min_notional": 10}, "min_notional"),
    ({"sizing": {"mode": "fixed_notional", "value": "10"}}, {"min_notional": 10}, "0.1"),
    ({"risk": {"max_order_notional": "99"}}, {}, "max_order_notional"),
    ({"risk": {"max_order_notional": "100"}}, {}, "1"),
    ({"sizing": {"mode": "fixed_quantity", "value": "0.7"}}, {"lot_size": "0.25"}, "0.5"),
]  # fmt: skip


@pytest.mark.parametrize(("strategy", "instrument", "expected"), SIZES)
def test_size_of_an_entry(scene: Any, strategy: Any, instrument: Any, expected: Any) -> None:
    stage = scene({"id": "a", **strategy}, instrument=instrument, balance="10000")
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    if expected[0].isdigit():
        assert stage.position().quantity == Decimal(expected)
    else:
        assert stage.rejections() == [expected]
        assert stage.fills() == []


def test_equity_of_the_strategy_follows_what_it_has_realised(scene: Any) -> None:
    stage = scene({"id": "a", "sizing": {}, "capital": 1000}, balance="10000")
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.step((150, 150, 150, 150), {"a": CLOSE})
    stage.step((150, 150, 150, 150), {"a": BUY})
    stage.step((150, 150, 150, 150))
    assert stage.position().quantity == 10  # 1000 + 10 x 50 = 1500


def test_position_limit_counts_what_is_held_and_working(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"max_position_size": "0.1"}}, balance="10000")
    stage.step(FLAT, {"a": [qty(Action.BUY, 6), qty(Action.BUY, 3), qty(Action.BUY, 3)]})
    stage.step(FLAT, {"a": qty(Action.BUY, 1)})
    assert [fill[2] for fill in stage.short_fills()] == ["6", "3", "1"]
    assert stage.rejections() == ["max_position_size"]


def test_entry_is_cut_to_the_free_capital_fees_included(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, balance="1000", execution={"taker_fee_bps": 100})
    stage.step(FLAT, {"a": qty(Action.BUY, 6), "b": qty(Action.BUY, 6)})
    stage.step(FLAT)
    assert stage.position("a").quantity == 6
    assert stage.position("b").quantity == Decimal("3.900")  # (1000 - 606) / 101
    wallet = stage.wallet()
    assert wallet.balance == Decimal("990.1")
    assert wallet.committed == 990


@pytest.mark.parametrize(("instrument", "left"), [({}, "0.05"), ({"min_notional": 20}, "15")])
def test_entry_without_capital_is_refused(scene: Any, instrument: Any, left: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, balance=str(500 + Decimal(left)), instrument=instrument)
    stage.step(FLAT, {"a": qty(Action.BUY, 5)})
    stage.step(FLAT, {"b": BUY})
    assert stage.rejections("b") == ["capital"]


def test_fill_is_cut_when_the_price_ran_away(scene: Any) -> None:
    stage = scene({"id": "a", "sizing": {}}, balance="1000")
    stage.step(FLAT, {"a": BUY})
    stage.step((125, 125, 125, 125))
    assert stage.short_fills() == [("entry", "buy", "8", "125")]
    assert stage.fills()[0].leaves == 0
    assert stage.cancels() == [("0", "capital")]
    assert stage.wallet().committed == 1000


def test_fill_that_nothing_is_left_for_is_cancelled(scene: Any) -> None:
    stage = scene({"id": "a", "sizing": {}}, balance="1", instrument={"lot_size": "0.01"})
    stage.step(FLAT, {"a": BUY})
    stage.step((101, 101, 101, 101))
    assert stage.fills() == []
    assert stage.cancels() == [("0", "capital")]
    assert stage.wallet().committed == 0


def test_reserved_capital_is_not_given_twice_and_comes_back(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, balance="100")
    resting = Signal(Action.BUY, SYMBOL, limit_price=Decimal(90))
    stage.step(FLAT, {"a": resting})
    assert stage.wallet().committed == 90
    stage.step(FLAT, {"b": BUY})
    assert stage.accepted("b")[0].quantity == Decimal("0.1")
    stage.step(FLAT, {"a": CLOSE, "b": CLOSE})
    stage.step(FLAT, {"b": BUY})
    assert stage.accepted("b")[-1].quantity == 1


def test_unrealised_loss_reduces_what_is_free_and_profit_does_not_add(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, {"id": "c"}, balance="1000")
    stage.step(FLAT, {"a": qty(Action.BUY, 5)})
    stage.step((100, 100, 60, 60), {"b": Signal(Action.BUY, SYMBOL, quantity=Decimal(9))})
    assert stage.accepted("b")[0].quantity == 5  # (1000 - 500 - 200) / 60
    stage.step((60, 200, 60, 200), {"c": Signal(Action.BUY, SYMBOL, quantity=Decimal(9))})
    assert stage.accepted("c")[0].quantity == 1  # (1000 - 500 - 300) / 200


def test_strategy_keeps_to_its_own_share(scene: Any) -> None:
    stage = scene({"id": "a", "symbols": ["BTC/USDT", "ETH/USDT"], "capital": 150}, balance="1000",
                  symbols=("BTC/USDT", "ETH/USDT"))  # fmt: skip
    both = {"BTC/USDT": FLAT, "ETH/USDT": FLAT}
    stage.step(both, {"a": [qty(Action.BUY, 1), Signal(Action.BUY, "ETH/USDT")]})
    stage.step(both)
    assert stage.position("a").quantity == 1
    assert stage.position("a", "ETH/USDT").quantity == Decimal("0.5")


def test_reversal_may_use_what_the_close_sets_free(scene: Any) -> None:
    stage = scene({"id": "a", "sizing": {}}, balance="1000", execution={"taker_fee_bps": 10})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT, {"a": SELL})
    wallet = stage.wallet()
    assert wallet.committed <= wallet.balance
    stage.step(FLAT)
    assert stage.position().quantity == Decimal("-9.97")  # of 997.... after three fees
    wallet = stage.wallet()
    assert wallet.committed <= wallet.balance


def test_leverage_binds_a_fraction_and_losses_beyond_margin_stop_entries(scene: Any) -> None:
    stage = scene({"id": "a", "leverage": 10, "sizing": {}}, {"id": "b"}, balance="1000")
    stage.step(FLAT, {"a": BUY})
    stage.step((100, 100, 85, 85), {"b": BUY})
    assert stage.position().quantity == 100
    assert stage.wallet().committed == 1000
    assert stage.rejections("b") == ["capital"]
    stage.step((85, 85, 85, 85), {"a": CLOSE})
    stage.step((85, 85, 85, 85), {"b": BUY})
    assert stage.wallet().balance == -500
    assert stage.rejections("b") == ["capital", "capital"]


def test_trades_per_day(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"max_trades_per_day": 2}})
    for signal in (BUY, CLOSE, BUY, CLOSE, BUY, CLOSE):
        stage.step(FLAT, {"a": signal})
    assert stage.rejections() == ["max_trades_per_day", "flat"]
    stage.number = DAY
    stage.manager._next_match = stage.manager._next_decide = DAY
    stage.step(FLAT, {"a": BUY})
    assert len(stage.rejections()) == 2


RATED = {"id": "a", "risk": {"max_signals_per_minute": 2}}
RATE = "max_signals_per_minute"


def test_signals_beyond_the_rate_are_refused_until_a_minute_of_market_time_is_over(
    scene: Any,
) -> None:
    stage = scene(RATED)
    more = qty(Action.BUY, 1)
    for _ in range(2):
        stage.events.clear()
        stage.step(FLAT, {"a": [more, more, more, more]})
        assert stage.rejections() == [RATE, RATE]
    stage.step(FLAT)
    assert stage.position().quantity == 4
    codes = [record.code for record in stage.manager.ledger.signals("a")]
    assert codes == ["accepted", "accepted", RATE, RATE] * 2


def test_the_minute_slides_and_what_was_refused_for_the_rate_does_not_prolong_it(
    scene: Any,
) -> None:
    half = 30_000
    stage = scene(RATED)
    wish = Decision("a", "paper:BTC/USDT:1m", 0, 0, (qty(Action.BUY, 1),))
    refused = []
    for number in range(8):
        market_slice = MarketSlice(number, number * half + half, ())
        if not number:
            market_slice = msgspec.structs.replace(stage.slice_of({SYMBOL: FLAT}), time=half)
        stage.manager.match(market_slice)
        wish = msgspec.structs.replace(wish, seq=number, intents=wish.intents[:1] * (number + 1))
        events = stage.manager.decide(market_slice, [wish])
        refused.append(sum(isinstance(event, OrderRejected) for event in events))
    # One at first and one half a minute later; from then on whenever one is a minute old.
    assert refused == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_signal_counts_whatever_comes_of_it(scene: Any) -> None:
    stage = scene(RATED)
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT, {"a": [BUY, BUY, BUY]})
    assert stage.rejections() == ["already_long", "already_long", RATE]


def test_exits_are_neither_counted_nor_refused_for_the_rate(scene: Any) -> None:
    stage = scene(RATED)
    leave = OrderRequest(SYMBOL, Side.SELL, OrderType.MARKET, Decimal(1), reduce_only=True)
    hold = Signal(Action.HOLD, SYMBOL)
    stage.step(FLAT, {"a": [qty(Action.BUY, 3), hold, hold]})
    stage.step(FLAT, {"a": [hold, leave, leave, qty(Action.CLOSE, 1), qty(Action.BUY, 1)]})
    assert stage.rejections() == []
    stage.step(FLAT)
    assert stage.position().quantity == 1


@pytest.mark.parametrize(
    "wish", [SELL, OrderRequest(SYMBOL, Side.SELL, OrderType.MARKET, Decimal(5))]
)
def test_a_reversal_beyond_the_rate_closes_only(scene: Any, wish: Any) -> None:
    stage = scene({"id": "a", "risk": {"max_signals_per_minute": 1}})
    stage.step(FLAT, {"a": qty(Action.BUY, 2)})
    bid = OrderRequest(SYMBOL, Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(50))
    stage.step(FLAT, {"a": [bid, wish]})
    stage.step(FLAT)
    assert stage.short_fills()[-1][:3] == ("exit", "sell", "2")
    assert stage.position().quantity == 0
    assert RATE in stage.manager.ledger.signals("a")[-1].detail
    assert stage.rejections() == []


def test_each_strategy_has_a_rate_of_its_own(scene: Any) -> None:
    stage = scene(RATED, {"id": "b"})
    stage.step(FLAT, {"a": [BUY] * 3, "b": [qty(Action.BUY, 1)] * 9})
    assert stage.rejections("a") == ["entry_working", RATE]
    assert stage.rejections("b") == []


def skip_to(stage: Any, minute: Any) -> None:
    stage.number = stage.manager._next_match = stage.manager._next_decide = minute


def test_daily_loss_of_a_strategy_holds_until_the_next_day(scene: Any) -> None:
    stage = scene({"id": "a", "capital": 1000, "risk": {"max_daily_loss": "0.05"}})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT, {"a": CLOSE})
    stage.step((51, 51, 51, 51), {"a": BUY})  # lost 49 of 1000
    stage.step((51, 51, 51, 51), {"a": CLOSE})
    stage.step((50, 50, 50, 50), {"a": BUY})  # lost 50
    assert stage.rejections() == ["max_daily_loss"]
    skip_to(stage, DAY - 2)
    stage.step(FLAT, {"a": BUY})
    assert stage.rejections() == ["max_daily_loss", "max_daily_loss"]
    stage.step(FLAT, {"a": BUY})  # closes at midnight: the next day
    assert len(stage.rejections()) == 2


def test_daily_loss_counts_open_losses(scene: Any) -> None:
    symbols = ("BTC/USDT", "ETH/USDT")
    limited = {"id": "a", "capital": 1000, "risk": {"max_daily_loss": "0.05"}}
    stage = scene({**limited, "symbols": symbols}, symbols=symbols)
    stage.step({"BTC/USDT": FLAT, "ETH/USDT": FLAT}, {"a": BUY})
    fallen = (100, 100, 50, 50)
    stage.step({"BTC/USDT": fallen, "ETH/USDT": FLAT}, {"a": Signal(Action.BUY, "ETH/USDT")})
    assert stage.rejections() == ["max_daily_loss"]


ACCOUNT_LIMITS = [
    ({"max_open_positions": 1}, "account_max_open_positions"),
    ({"max_gross_exposure": "0.17"}, "account_max_gross_exposure"),
    ({"max_daily_loss": "0.02"}, "account_max_daily_loss"),
    ({"max_drawdown": "0.02"}, "account_max_drawdown"),
]


@pytest.mark.parametrize(("limits", "code"), ACCOUNT_LIMITS)
def test_account_limits_stop_entries_and_let_exits_pass(scene: Any, limits: Any, code: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, account=limits, balance="1000")
    stage.step(FLAT, {"a": BUY})
    stage.step((100, 100, 80, 80), {"b": qty(Action.BUY, 1), "a": CLOSE})
    assert stage.rejections("b") == [code]
    stage.step((80, 80, 80, 80))
    assert stage.position("a").quantity == 0


@pytest.mark.parametrize("limits", [limits for limits, _ in ACCOUNT_LIMITS])
def test_account_limits_let_entries_within_them_pass(scene: Any, limits: Any) -> None:
    roomy = {name: value if isinstance(value, int) else "0.9" for name, value in limits.items()}
    stage = scene({"id": "a"}, account=roomy, balance="1000")
    stage.step(FLAT, {"a": BUY})
    assert stage.rejections() == []


def test_drawdown_counts_from_the_highest_balance(scene: Any) -> None:
    stage = scene({"id": "a"}, account={"max_drawdown": "0.1"}, balance="1000")
    stage.step(FLAT, {"a": qty(Action.BUY, 5)})
    stage.step(FLAT, {"a": CLOSE})
    stage.step((300, 300, 300, 300), {"a": qty(Action.BUY, 1)})  # balance 2000
    stage.step((300, 300, 100, 100))
    assert stage.wallet().drawdown == Decimal("0.1")
    stage.step((100, 100, 100, 100), {"a": qty(Action.BUY, 1)})
    assert stage.rejections() == ["account_max_drawdown"]


def test_resting_entries_count_as_open_positions_and_exposure(scene: Any) -> None:
    for limits, code in ACCOUNT_LIMITS[:2]:
        stage = scene({"id": "a"}, {"id": "b"}, account=limits, balance="1000")
        bid = OrderRequest(SYMBOL, Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(95))
        stage.step(FLAT, {"a": bid})
        stage.step(FLAT, {"b": BUY})
        assert stage.rejections("b") == [code]


def test_reversal_refused_for_a_limit_still_closes(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"max_trades_per_day": 1}})
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT, {"a": SELL})
    stage.step(FLAT)
    assert stage.short_fills()[-1][:3] == ("exit", "sell", "1")
    assert stage.position().quantity == 0


def test_reversal_of_a_losing_position_counts_its_loss_once(scene: Any) -> None:
    stage = scene({"id": "a"}, balance="1000")
    stage.step(FLAT, {"a": qty(Action.BUY, 5)})
    stage.step((100, 100, 60, 60), {"a": qty(Action.SELL, 50)})
    assert stage.wallet().committed <= 1000
    stage.step((60, 60, 60, 60))
    assert stage.position().quantity == Decimal("-13.333")  # 1000 - 5 x 40 = 800
    assert stage.wallet().balance == 800


def test_second_order_does_not_count_on_closing_what_the_first_one_closes(scene: Any) -> None:
    stage = scene(balance="1000")
    stage.step(FLAT, {"a": BUY})
    ask = OrderRequest(SYMBOL, Side.SELL, OrderType.LIMIT, Decimal(1), Decimal(110))
    stage.step(FLAT, {"a": ask})
    assert stage.wallet().committed == 100
    stage.step(FLAT, {"a": ask})
    assert stage.wallet().committed == 210
