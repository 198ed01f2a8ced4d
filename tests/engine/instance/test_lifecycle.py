"""The lifecycle table, and what each status lets a strategy do."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from engine.errors import LifecycleError
from engine.instance import TRANSITIONS, Instance, Pause, Restart, Resume, Status, Stop
from engine.instance.lifecycle import Trigger, after
from engine.instance.testing import Desk, random_candles
from engine.types import Fill, OrderRole, Side
from strategies import Candle, Strategy, StrategyMetadata, spec

CANDLES = random_candles(60)
Make = Callable[..., Instance]
Heard = Callable[[Instance], list[str]]


def a_fill(side: Side = Side.BUY) -> Fill:
    return Fill(
        "one",
        "f",
        "o",
        "BTC/USDT",
        side,
        OrderRole.ENTRY,
        Decimal(1),
        Decimal(100),
        Decimal(0),
        Decimal(0),
        0,
    )


def feed(instance: Instance, candles: list[Candle]) -> None:
    for candle in candles:
        instance.on_candle(candle)


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("status", Status)
def test_every_step_is_in_the_table_or_refused_with_the_possible_ones(
    status: Status, trigger: Trigger
) -> None:
    if (status, trigger) in TRANSITIONS:
        assert after(status, trigger, instance="one") is TRANSITIONS[status, trigger]
    else:
        with pytest.raises(
            LifecycleError, match=rf"'one': {trigger} is not possible while {status}"
        ):
            after(status, trigger, instance="one")


def test_error_can_be_reached_from_every_status_and_left_by_restart_only() -> None:
    assert all((status, Trigger.FAIL) in TRANSITIONS for status in Status)
    assert TRANSITIONS[Status.ERROR, Trigger.RESTART] is Status.WARMING


class Averaging(Strategy):
    metadata = StrategyMetadata(type="AVERAGING")
    warmup_candles = 2

    @classmethod
    def indicator_specs(cls, config: object, parameters: object) -> dict:
        return {"mean": spec("sma", {"period": 4})}

    def on_init(self, services: object) -> None:
        self.heard: list[str] = []

    def on_history(self, candle: Candle) -> None:
        self.services.order.buy()
        self.heard.append(f"history {candle.seq}")

    def on_candle(self, candle: Candle) -> None:
        self.services.order.buy()
        self.heard.append(f"candle {candle.seq}")


def test_it_warms_up_until_indicators_are_ready_and_the_extra_candles_are_over(
    make: Make, heard: Heard
) -> None:
    instance = make(Averaging)
    assert instance.status is Status.CREATED
    decisions = []
    for candle in CANDLES[:8]:
        decisions.append(instance.on_candle(candle) is not None)
        assert instance.status is (Status.RUNNING if candle.seq >= 5 else Status.WARMING)
    # SMA(4) has its first value at candle 3; candles 3 and 4 are the two extra ones.
    assert heard(instance) == [
        *(f"history {seq}" for seq in range(5)),
        "candle 5",
        "candle 6",
        "candle 7",
    ]
    assert decisions == [False] * 5 + [True] * 3


def test_it_declares_how_much_history_it_needs(make: Make) -> None:
    instance = make(Averaging)
    instance.start()
    feed(instance, CANDLES[: instance.warmup])
    assert instance.warmup == 6
    assert instance.status is Status.RUNNING


def test_requests_before_it_is_live_are_dropped_and_counted(make: Make) -> None:
    instance = make(Averaging)
    feed(instance, CANDLES[:5])
    assert instance.metrics().dropped == 5
    assert instance.metrics().signals == 0
    assert not instance.must_hear(CANDLES[5], late=True)


def test_history_warms_it_up_without_making_it_live(make: Make, heard: Heard) -> None:
    instance = make(Averaging)
    for candle in CANDLES[:20]:
        instance.warm(candle)
    assert instance.status is Status.WARMING
    assert heard(instance)[-1] == "history 19"
    assert instance.on_candle(CANDLES[20]) is not None
    with pytest.raises(LifecycleError, match="history is over"):
        instance.warm(CANDLES[21])


def test_paused_it_follows_the_market_but_does_not_act(make: Make, heard: Heard) -> None:
    instance = make({3: lambda s: s.order.buy(), 5: lambda s: s.order.buy()})
    feed(instance, CANDLES[:3])
    instance.on_command(Pause())
    feed(instance, CANDLES[3:6])
    assert heard(instance)[-3:] == ["history 3", "history 4", "history 5"]
    assert instance.metrics().signals == 0
    assert instance.metrics().candles == 6
    instance.on_command(Resume())
    instance.on_candle(CANDLES[6])
    assert heard(instance)[-1] == "candle 6"


def test_fills_during_a_pause_count_at_once_and_are_told_when_it_ends(
    make: Make, heard: Heard
) -> None:
    instance = make()
    feed(instance, CANDLES[:3])
    instance.on_command(Pause())
    instance.on_event(a_fill())
    instance.on_candle(CANDLES[3])
    assert instance.metrics().position == 1.0
    assert instance.metrics().exposure_time == 0.25
    assert "fill buy" not in heard(instance)
    instance.on_command(Resume())
    instance.on_candle(CANDLES[4])
    assert heard(instance)[-2:] == ["fill buy", "candle 4"]


def test_what_was_asked_for_in_a_fill_leaves_with_the_next_candle(make: Make) -> None:
    class Answering(Strategy):
        metadata = StrategyMetadata(type="ANSWERING")

        def on_candle(self, candle: Candle) -> None:
            pass

        def on_order_filled(self, fill: Fill) -> None:
            self.services.order.close(reason="enough")

    instance = make(Answering)
    instance.on_candle(CANDLES[0])
    instance.on_event(a_fill())
    decision = instance.on_candle(CANDLES[1])
    assert decision is not None
    assert [intent.reason for intent in decision.intents] == ["enough"]


def test_stopped_it_says_goodbye_once_and_never_acts_again(make: Make, heard: Heard) -> None:
    instance = make({4: lambda s: s.order.buy()})
    feed(instance, CANDLES[:3])
    instance.on_command(Stop())
    assert instance.status is Status.STOPPED
    assert heard(instance)[-1] == "stop"
    assert [instance.on_candle(candle) for candle in CANDLES[3:6]] == [None] * 3
    for command in (Stop(), Resume(), Restart(), Pause()):
        with pytest.raises(LifecycleError, match="while stopped"):
            instance.on_command(command)


def test_a_host_can_end_it_for_a_timeout_and_restart_brings_it_back(
    make: Make, heard: Heard
) -> None:
    instance = make()
    feed(instance, CANDLES[:3])
    instance.fail("timeout of 5 s in on_candle")
    assert (instance.status, instance.cause) == (Status.ERROR, "timeout of 5 s in on_candle")
    instance.on_candle(CANDLES[3])
    instance.on_command(Restart())
    assert (instance.status, instance.cause) == (Status.WARMING, "")
    instance.on_candle(CANDLES[4])
    assert heard(instance) == ["init", "candle 4"]


def test_a_restart_keeps_position_and_metrics(make: Make) -> None:
    instance = make({1: lambda s: s.order.buy()})
    desk = Desk(instance)
    desk.play(CANDLES[:5])
    before = instance.metrics()
    instance.fail("timeout")
    instance.on_command(Restart())
    after_restart = instance.metrics()
    assert after_restart.position == before.position == 1.0
    assert after_restart.candles == before.candles
