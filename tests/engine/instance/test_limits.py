"""Limits an instance keeps by itself: time in a position, drawdown, pause after an exit."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from engine.instance import Instance, Restart, Status
from engine.instance.testing import Desk, random_candles
from engine.types import (
    Action,
    CancelRequest,
    Candle,
    Decision,
    OrderRejected,
    OrderType,
    Side,
    Signal,
)

CANDLES = random_candles(80)
Make = Callable[..., Instance]


def flat(seq: int, price: float = 100.0) -> Candle:
    start = seq * 60_000
    return Candle("paper:BTC/USDT:1m", seq, start, start + 60_000, *([price] * 4), 1.0)


def actions(decision: Decision | None) -> list[str]:
    if decision is None:
        return []
    return [
        intent.action if isinstance(intent, Signal) else type(intent).__name__
        for intent in decision.intents
    ]


@pytest.mark.parametrize("limit", [1, 3])
def test_a_position_older_than_the_time_limit_is_closed(make: Make, limit: int) -> None:
    instance = make({2: lambda s: s.order.buy()}, risk={"timeLimitCandles": limit})
    desk = Desk(instance)
    decisions = desk.play(CANDLES[:12])
    # Bought at the open of candle 3, so held at its close for one candle.
    assert [(d.seq, actions(d)) for d in decisions] == [(2, ["BUY"]), (2 + limit, ["CLOSE"])]
    assert decisions[1].intents[0].reason == f"time limit of {limit} candles"
    assert instance.metrics().position == 0.0


def test_the_time_limit_replaces_what_the_strategy_wants_in_that_symbol(make: Make) -> None:
    instance = make(
        {2: lambda s: s.order.buy(), 3: lambda s: s.order.sell()}, risk={"timeLimitCandles": 1}
    )
    assert [actions(d) for d in Desk(instance).play(CANDLES[:5])] == [["BUY"], ["CLOSE"]]


def test_the_time_limit_holds_even_if_the_strategy_raises(make: Make) -> None:
    def fail(services: object) -> None:
        raise ValueError

    instance = make({2: lambda s: s.order.buy(), 3: fail}, risk={"timeLimitCandles": 1})
    assert [actions(d) for d in Desk(instance).play(CANDLES[:5])] == [["BUY"], ["CLOSE"]]


def test_a_refused_exit_is_asked_for_again_and_an_undecided_one_is_not(make: Make) -> None:
    instance = make({0: lambda s: s.order.buy()}, risk={"timeLimitCandles": 1})
    desk = Desk(instance)
    desk.play(CANDLES[:1])
    desk.match(CANDLES[1])
    first = instance.on_candle(CANDLES[1])
    assert actions(first) == ["CLOSE"]
    assert instance.on_candle(CANDLES[2]) is None
    assert first is not None
    instance.on_event(OrderRejected("one", first.intent_id(0), "BTC/USDT", "no", "", 0))
    assert actions(instance.on_candle(CANDLES[3])) == ["CLOSE"]


def falling_from(instance: Instance) -> tuple[Desk, list[Decision]]:
    desk = Desk(instance, quantity=Decimal(5))
    prices = [100.0, 100.0, 100.0, 99.0, 95.0, 80.0, 80.0, 80.0]
    return desk, desk.play(flat(seq, price) for seq, price in enumerate(prices))


def test_a_breached_drawdown_closes_everything_and_ends_in_error(make: Make) -> None:
    instance = make({1: lambda s: s.order.buy()}, risk={"maxDrawdown": 0.02})
    _, decisions = falling_from(instance)
    # 5 x (100 - 95) = 25 of 1000 is the first loss of 2 % or more.
    assert [(d.seq, actions(d)) for d in decisions] == [(1, ["BUY"]), (4, ["CLOSE"])]
    assert instance.status is Status.ERROR
    assert instance.cause.startswith("limit max_drawdown breached: 2.50% of equity lost")
    assert instance.metrics().violated_limits == ("max_drawdown",)
    assert instance.metrics().position == 0.0


def test_a_drawdown_below_the_limit_changes_nothing(make: Make) -> None:
    instance = make({1: lambda s: s.order.buy()}, risk={"maxDrawdown": 0.11})
    _, decisions = falling_from(instance)
    assert [actions(d) for d in decisions] == [["BUY"]]
    assert instance.status is Status.RUNNING


def test_a_breach_also_cancels_entries_that_still_wait(make: Make) -> None:
    instance = make(
        {1: lambda s: (s.order.buy(), s.order.place(Side.BUY, OrderType.LIMIT, 1, 1.0))},
        risk={"maxDrawdown": 0.02},
    )
    _, decisions = falling_from(instance)
    assert actions(decisions[-1]) == ["CancelRequest", "CLOSE"]
    assert isinstance(decisions[-1].intents[0], CancelRequest)
    assert instance.view().open_orders == 0


def test_getting_out_is_tried_until_it_worked(make: Make) -> None:
    instance = make({0: lambda s: s.order.buy()}, risk={"maxDrawdown": 0.02})
    desk = Desk(instance, quantity=Decimal(5))
    desk.play([flat(0)])
    desk.match(flat(1))
    instance.on_candle(flat(1))
    first = instance.on_candle(flat(2, 90.0))
    assert actions(first) == ["CLOSE"]
    assert first is not None
    instance.on_event(OrderRejected("one", first.intent_id(0), "BTC/USDT", "no", "", 0))
    assert actions(instance.on_candle(flat(3, 90.0))) == ["CLOSE"]


def test_after_a_restart_the_drawdown_is_measured_anew(make: Make) -> None:
    instance = make({1: lambda s: s.order.buy()}, risk={"maxDrawdown": 0.02})
    desk, _ = falling_from(instance)
    instance.on_command(Restart())
    desk.play(flat(seq, 80.0) for seq in range(8, 12))
    assert instance.status is Status.RUNNING


@pytest.mark.parametrize("cooldown", [0, 1, 3])
def test_after_an_exit_entries_are_blocked_for_the_cooldown(make: Make, cooldown: int) -> None:
    script = {seq: lambda s: s.order.buy() for seq in range(20)}
    script[2] = lambda s: s.order.close()
    instance = make(script, risk={"cooldownCandles": cooldown})
    desk = Desk(instance)
    seqs = [d.seq for d in desk.play(CANDLES[:9])]
    # Closed at the open of candle 3; blocked from candle 3 on.
    assert seqs == [0, 1, 2, *range(3 + cooldown, 9)]
    assert instance.metrics().dropped == cooldown


def test_during_a_cooldown_the_strategy_may_still_get_out(make: Make) -> None:
    seen: list[int] = []
    script = {
        0: lambda s: s.order.buy(),
        1: lambda s: s.order.sell(),
        2: lambda s: (
            seen.append(s.risk.cooldown_left),
            s.order.buy(reason="turn"),
            s.order.hold(),
            s.order.place(Side.BUY, OrderType.LIMIT, 1, 1.0),
            s.order.place(Side.BUY, OrderType.LIMIT, 5, 1.0),
            s.order.place(Side.SELL, OrderType.LIMIT, 1, 1000.0, reduce_only=True),
        ),
    }
    instance = make(script, risk={"cooldownCandles": 4})
    decisions = Desk(instance).play(CANDLES[:3])
    last = decisions[-1].intents
    assert seen == [4]
    assert actions(decisions[-1]) == ["CLOSE", "HOLD", "OrderRequest", "OrderRequest"]
    assert isinstance(last[0], Signal)
    assert last[0].action is Action.CLOSE
    assert last[0].reason == "turn (cooldown: closes only)"
    assert instance.metrics().dropped == 1
