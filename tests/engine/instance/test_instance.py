"""One instance at work: candles in, decisions out, faults contained."""

import sys
from collections.abc import Callable
from decimal import Decimal

import pytest

from engine.errors import CandleError, ChorusError, ConfigError
from engine.instance import Instance, Restart, Status
from engine.instance.testing import Desk, random_candles
from engine.types import (
    Action,
    CancelRequest,
    Candle,
    Decision,
    Fill,
    OrderRejected,
    OrderRequest,
    OrderRole,
    OrderType,
    Side,
    Signal,
    Tick,
)
from strategies import Strategy, StrategyMetadata, spec

CANDLES = random_candles(80)
Make = Callable[..., Instance]
Heard = Callable[[Instance], list[str]]


def fail(error: BaseException) -> Callable[[object], None]:
    def action(services: object) -> None:
        raise error

    return action


def test_a_candle_that_wants_nothing_has_no_decision(make: Make) -> None:
    instance = make()
    assert [instance.on_candle(candle) for candle in CANDLES[:5]] == [None] * 5


def test_what_the_strategy_asks_for_is_the_decision_of_that_candle(make: Make) -> None:
    instance = make(
        {
            2: lambda s: (
                s.order.buy(stop_loss=0.02, confidence=0.7, reason="why"),
                s.order.place(Side.SELL, OrderType.LIMIT, 2, 101.5, reduce_only=True),
                s.order.hold(reason="wait"),
            )
        }
    )
    assert instance.on_candle(CANDLES[0]) is None
    assert instance.on_candle(CANDLES[1]) is None
    assert instance.on_candle(CANDLES[2]) == Decision(
        instance="one",
        stream="paper:BTC/USDT:1m",
        seq=2,
        time=CANDLES[2].close_time,
        intents=(
            Signal(Action.BUY, "BTC/USDT", 0.7, "why", stop_loss=Decimal("0.02")),
            OrderRequest(
                "BTC/USDT",
                Side.SELL,
                OrderType.LIMIT,
                Decimal(2),
                Decimal("101.5"),
                reduce_only=True,
            ),
            Signal(Action.HOLD, "BTC/USDT", 1.0, "wait"),
        ),
    )
    assert instance.metrics().signals == 2
    last = instance.metrics().last_signal
    assert last is not None
    assert (last.action, last.reason, last.time) == ("HOLD", "wait", CANDLES[2].close_time)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.order.buy("ETH/USDT"), "symbol 'ETH/USDT' is not one of its own"),
        (lambda s: s.order.buy(quantity=-1), "quantity must be positive, is -1"),
        (lambda s: s.order.buy(quantity=float("nan")), "quantity must be positive, is nan"),
        (lambda s: s.order.sell(stop_loss=2), "stop_loss is a fraction"),
        (lambda s: s.order.close(confidence=1.5), "confidence must be 0 to 1, is 1.5"),
        (lambda s: s.order.buy(reason="\ud800"), "reason must be text that UTF-8 can hold"),
        (lambda s: s.order.hold(reason=5), "reason must be text that UTF-8 can hold, is 5"),
        (lambda s: s.order.cancel("nothing"), "order 'nothing' does not work"),
        (lambda s: s.order.place(Side.BUY, OrderType.LIMIT, 1), "needs a price"),
        (lambda s: s.market_data.candles("x:y:1m"), "stream 'x:y:1m' is not one of its own"),
    ],
)
def test_a_request_that_makes_no_sense_is_the_strategys_own_error(
    make: Make, ask: Callable[[object], None], message: str
) -> None:
    instance = make({1: ask})
    instance.on_candle(CANDLES[0])
    assert instance.on_candle(CANDLES[1]).intents == ()
    assert message in instance.faults[0].error


def test_candles_seen_before_are_ignored_and_counted(make: Make, heard: Heard) -> None:
    instance = make()
    for candle in (*CANDLES[:3], CANDLES[1], CANDLES[2], CANDLES[3]):
        instance.on_candle(candle)
    assert heard(instance) == ["init", "candle 0", "candle 1", "candle 2", "candle 3"]
    assert instance.metrics().duplicates == 2
    assert instance.candles == 4


def test_missing_candles_and_foreign_streams_are_refused_and_change_nothing(make: Make) -> None:
    instance = make()
    instance.on_candle(CANDLES[10])
    with pytest.raises(CandleError, match=r"candle 12 arrived, 11 is missing"):
        instance.on_candle(CANDLES[12])
    with pytest.raises(CandleError, match=r"candle of stream 'paper:ETH/USDT:1m', it listens to"):
        instance.on_candle(random_candles(1, stream="paper:ETH/USDT:1m")[0])
    instance.on_candle(CANDLES[11])
    assert instance.candles == 2


def test_several_streams_have_own_buffers_and_reach_the_strategy_in_the_given_order(
    make: Make,
) -> None:
    seen: list[tuple[str, int, float]] = []

    class Watching(Strategy):
        metadata = StrategyMetadata(type="WATCHING")

        @classmethod
        def indicator_specs(cls, config: object, parameters: object) -> dict:
            return {"mean": spec("sma", {"period": 2})}

        def on_candle(self, candle: Candle) -> None:
            market = self.services.market_data
            seen.append((candle.stream, len(market.candles(candle.stream)), market.last.close))

    eth = random_candles(9, stream="paper:ETH/USDT:1m", seed=5)
    instance = make(Watching, symbols=["BTC/USDT", "ETH/USDT"])
    for seq in range(3):
        instance.on_candle(eth[seq])
        instance.on_candle(CANDLES[seq])
    assert seen == [
        ("paper:BTC/USDT:1m", 2, CANDLES[1].close),
        ("paper:ETH/USDT:1m", 3, eth[2].close),
        ("paper:BTC/USDT:1m", 3, CANDLES[2].close),
    ]
    assert instance.metrics().candles == 2


def test_an_exception_is_contained_and_drops_what_the_candle_asked_for(make: Make) -> None:
    def buy_and_fail(services: object) -> None:
        services.order.buy()
        raise ValueError("no")

    instance = make({1: buy_and_fail, 2: lambda s: s.order.sell()})
    instance.on_candle(CANDLES[0])
    assert instance.on_candle(CANDLES[1]).intents == ()
    decision = instance.on_candle(CANDLES[2])
    assert decision is not None
    assert [intent.action for intent in decision.intents] == [Action.SELL]
    assert instance.errors == 1
    fault = instance.faults[0]
    assert (fault.hook, fault.seq, fault.error) == ("on_candle", 1, "ValueError: no")
    assert 'raise ValueError("no")' in instance.trace


def test_the_third_candle_in_a_row_that_raises_ends_it(make: Make, heard: Heard) -> None:
    instance = make(dict.fromkeys((1, 2, 4, 5, 6), fail(ValueError("no"))))
    statuses = []
    for candle in CANDLES[:8]:
        instance.on_candle(candle)
        statuses.append(instance.status)
    # Candle 3 is clean, so 4, 5 and 6 are the three in a row.
    assert statuses == [Status.RUNNING] * 6 + [Status.ERROR] * 2
    assert instance.cause == "3 exceptions in a row, the last in on_candle: ValueError: no"
    assert instance.errors == 5
    assert heard(instance)[-1] == "candle 6"


def test_after_a_restart_it_takes_three_again(make: Make) -> None:
    instance = make(dict.fromkeys(range(20), fail(ValueError("no"))))
    for candle in CANDLES[:3]:
        instance.on_candle(candle)
    assert instance.status is Status.ERROR
    instance.on_command(Restart())
    for candle in CANDLES[3:5]:
        instance.on_candle(candle)
    assert instance.status is Status.RUNNING
    instance.on_candle(CANDLES[5])
    assert instance.status is Status.ERROR


def test_a_strategy_that_exits_the_program_is_only_a_fault(make: Make) -> None:
    instance = make({1: lambda _: sys.exit(3)})
    instance.on_candle(CANDLES[0])
    instance.on_candle(CANDLES[1])
    assert instance.faults[0].error == "SystemExit: 3"


def test_an_interrupt_by_the_user_passes(make: Make) -> None:
    instance = make({1: fail(KeyboardInterrupt())})
    instance.on_candle(CANDLES[0])
    with pytest.raises(KeyboardInterrupt):
        instance.on_candle(CANDLES[1])


def test_an_exception_whose_message_raises_is_contained_too(make: Make) -> None:
    class NastyError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    instance = make({1: fail(NastyError())})
    instance.on_candle(CANDLES[0])
    instance.on_candle(CANDLES[1])
    assert instance.faults[0].error == "NastyError: (its message cannot be shown)"


def test_only_the_newest_traces_are_kept(make: Make) -> None:
    instance = make({seq: fail(ValueError(str(seq))) for seq in range(80) if seq % 2})
    for candle in CANDLES:
        instance.on_candle(candle)
    assert instance.errors == 40
    assert len(instance.faults) == 20
    assert instance.faults[-1].seq == 79


def test_a_strategy_whose_on_init_raises_is_in_error_from_the_start(make: Make) -> None:
    class Broken(Strategy):
        metadata = StrategyMetadata(type="BROKEN")

        def on_init(self, services: object) -> None:
            raise ValueError("no")

        def on_candle(self, candle: Candle) -> None:
            raise AssertionError("never called")

    instance = make(Broken)
    assert instance.on_candle(CANDLES[0]) is None
    assert (instance.status, instance.cause) == (Status.ERROR, "on_init raised ValueError: no")


def test_a_candle_the_indicators_refuse_ends_it_with_the_reason(make: Make) -> None:
    class Averaging(Strategy):
        metadata = StrategyMetadata(type="AVERAGING")

        @classmethod
        def indicator_specs(cls, config: object, parameters: object) -> dict:
            return {"mean": spec("sma", {"period": 2})}

        def on_candle(self, candle: Candle) -> None:
            self.services.order.buy()

    instance = make(Averaging)
    instance.on_candle(CANDLES[0])
    instance.on_candle(CANDLES[1])
    bad = Candle(CANDLES[2].stream, 2, 0, 1, 1.0, 1.0, 1.0, float("nan"), 1.0)
    assert instance.on_candle(bad) is None
    assert instance.status is Status.ERROR
    assert "indicators refused candle 2" in instance.cause


def test_indicators_are_up_to_date_when_the_strategy_is_called(make: Make) -> None:
    seen: list[float] = []

    class Averaging(Strategy):
        metadata = StrategyMetadata(type="AVERAGING")

        @classmethod
        def indicator_specs(cls, config: object, parameters: object) -> dict:
            return {"mean": spec("sma", {"period": 2})}

        def on_candle(self, candle: Candle) -> None:
            indicators = self.services.market_data.indicators
            seen.append(indicators.slots[indicators.slot("mean")])

    instance = make(Averaging)
    for candle in CANDLES[:4]:
        instance.on_candle(candle)
    closes = [candle.close for candle in CANDLES]
    assert seen == pytest.approx([(closes[i] + closes[i - 1]) / 2 for i in (1, 2, 3)], rel=1e-12)


def test_ticks_reach_a_running_strategy_and_have_decisions_of_their_own(make: Make) -> None:
    class Quick(Strategy):
        metadata = StrategyMetadata(type="QUICK")

        def on_candle(self, candle: Candle) -> None:
            pass

        def on_tick(self, tick: Tick) -> None:
            if tick.price > 100:
                self.services.order.buy()

    instance = make(Quick)
    tick = Tick("paper", "BTC/USDT", 61_000, 101.0, 1.0)
    assert instance.on_tick(tick) is None
    instance.on_candle(CANDLES[0])
    first, second = instance.on_tick(tick), instance.on_tick(tick)
    assert first is not None
    assert second is not None
    assert (first.stream, first.seq, first.time) == ("paper:BTC/USDT:tick", 0, 61_000)
    assert first.intent_id(0) != second.intent_id(0)
    assert instance.on_tick(Tick("paper", "ETH/USDT", 1, 101.0, 1.0)) is None


def test_an_event_of_another_instance_is_refused(make: Make) -> None:
    with pytest.raises(ChorusError, match="instance 'one': got an event of 'two'"):
        make().on_event(OrderRejected("two", "two|s|1|0", "BTC/USDT", "capital", "", 0))


def test_refusals_are_counted_by_code_and_limits_named(make: Make) -> None:
    instance = make()
    for code in ("capital", "max_daily_loss", "account_max_drawdown", "capital"):
        instance.on_event(OrderRejected("one", "one|s|1|0", "BTC/USDT", code, "", 0))
    metrics = instance.metrics()
    assert metrics.rejected == {"capital": 2, "max_daily_loss": 1, "account_max_drawdown": 1}
    assert metrics.violated_limits == ("account_max_drawdown", "max_daily_loss")


def test_symbols_of_one_strategy_share_their_quote_currency(make: Make) -> None:
    with pytest.raises(ConfigError, match="share one quote currency, have BTC, USDT"):
        make(symbols=["BTC/USDT", "ETH/BTC"])


def test_the_random_source_is_seeded_by_the_strategy(make: Make) -> None:
    def draw(seed: int) -> list[float]:
        numbers: list[float] = []
        script = {seq: lambda s: numbers.append(s.random.random()) for seq in range(3)}
        instance = make(script, seed=seed)
        for candle in CANDLES[:3]:
            instance.on_candle(candle)
        return numbers

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_working_orders_can_be_found_and_cancelled(make: Make) -> None:
    def cancel_all(services: object) -> None:
        for order_id in list(services.order.working):
            services.order.cancel(order_id)

    instance = make({1: lambda s: s.order.place(Side.BUY, OrderType.LIMIT, 1, 1.0), 3: cancel_all})
    desk = Desk(instance)
    decisions = desk.play(CANDLES[:6])
    assert isinstance(decisions[1].intents[0], CancelRequest)
    assert instance.view().open_orders == 0


def test_the_live_view_shows_what_the_metrics_say(make: Make) -> None:
    instance = make({1: lambda s: s.order.buy()}, capital=Decimal(500))
    Desk(instance).play(CANDLES[:6])
    view, metrics = instance.view(), instance.metrics()
    assert view.position == 1.0
    assert view.pnl == pytest.approx(CANDLES[5].close - CANDLES[2].open, rel=1e-9)
    assert view.return_pct == pytest.approx(100 * metrics.total_return)
    assert view.last_signal == f"BUY @ {CANDLES[1].close_time}"
    assert (view.candles, view.trades, view.status) == (6, 0, "running")


def test_a_fill_moves_the_equity_before_the_next_candle(make: Make) -> None:
    instance = make()
    instance.on_candle(CANDLES[0])
    price = Decimal(repr(CANDLES[0].close))
    instance.on_event(
        Fill(
            "one",
            "f",
            "o",
            "BTC/USDT",
            Side.BUY,
            OrderRole.ENTRY,
            Decimal(1),
            price - 1,
            Decimal("0.25"),
            Decimal(0),
            60_000,
        )
    )
    assert instance.equity() == pytest.approx(1000.75)
