"""The RULES type inside a real instance, over a market that fills at the next open."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft7Validator

from engine.catalog import LoadedType
from engine.config import StrategyConfig
from engine.errors import ConfigError, RuleError
from engine.instance import Instance, Restart, Update, build
from engine.types import (
    Action,
    Candle,
    Decision,
    Fill,
    OrderAccepted,
    OrderRole,
    OrderType,
    Side,
    Signal,
)
from strategies.rules import RulesStrategy

STREAM = "paper:BTC/USDT:1m"


def config(**changes: Any) -> StrategyConfig:
    """Return a long-only strategy over the bare candle, with changes."""
    base: dict[str, Any] = {
        "id": "r",
        "symbol": "BTC/USDT",
        "timeframe": "1m",
        "rules": {
            "entry": {"condition": "crosses_above(close,\n  level)", "confidence": 0.75},
            "exit": {"condition": "close < 2", "confidence": 0.5},
        },
        "parameters": {"level": 3},
    }
    return StrategyConfig.model_validate({**base, **changes})


BOTH_SIDES = {
    "entry": {"condition": "close == 5"},
    "exit": {"condition": "close == 4"},
    "shortEntry": {"condition": "close == 1", "confidence": 0.25},
    "shortExit": {"condition": "close == 2"},
}


class Market:
    """Feeds an instance; every order fills once at the open after `delay` further candles.

    Args:
        strategy: What to run.
        delay: Further candles before an order fills.
        share: How much of the order fills; the rest works on.
    """

    def __init__(
        self, strategy: StrategyConfig, *, delay: int = 0, share: Decimal = Decimal(1)
    ) -> None:
        loaded = LoadedType(RulesStrategy, Path("rules.py"), "0" * 64, RulesStrategy.metadata)
        self.instance: Instance = build(strategy, loaded, capital=Decimal(10_000))
        self.delay = delay
        self.share = share
        self.seen: list[Candle] = []
        self.waiting: list[tuple[int, OrderAccepted]] = []
        self.seq = 0
        self.quantity = Decimal(0)

    def play(self, closes: Sequence[float]) -> list[str]:
        """Return what is asked for at each candle, empty where nothing is."""
        return [
            " ".join(str(signal.action) for signal in self.step(float(close))) for close in closes
        ]

    def step(self, close: float) -> list[Signal]:
        seq, self.seq = self.seq, self.seq + 1
        opened = (seq * 60_000, (seq + 1) * 60_000)
        candle = Candle(STREAM, seq, *opened, close, close, close, close, 1.0)
        self.seen.append(candle)
        for due, order in list(self.waiting):
            if due <= seq:
                self.waiting.remove((due, order))
                self._fill(order, candle)
        decision = self.instance.on_candle(candle)
        return [] if decision is None else self._accept(decision)

    def _accept(self, decision: Decision) -> list[Signal]:
        signals = []
        for n, intent in enumerate(decision.intents):
            assert isinstance(intent, Signal)
            signals.append(intent)
            target = {Action.BUY: Decimal(1), Action.SELL: Decimal(-1)}.get(
                intent.action, Decimal(0)
            )
            change = target - self.quantity
            order = OrderAccepted(
                instance="r",
                order_id=f"o{decision.seq}.{n}",
                intent_id=decision.intent_id(n),
                symbol=intent.symbol,
                side=Side.BUY if change > 0 else Side.SELL,
                type=OrderType.MARKET,
                role=OrderRole.EXIT if target == 0 else OrderRole.ENTRY,
                quantity=abs(change),
                price=None,
                trail=None,
                time=decision.time,
            )
            self.waiting.append((decision.seq + 1 + self.delay, order))
            self.instance.on_event(order)
        return signals

    def _fill(self, order: OrderAccepted, candle: Candle) -> None:
        filled = order.quantity * self.share
        self.quantity += filled * order.side.sign
        self.instance.on_event(
            Fill(
                instance="r",
                fill_id=f"f{order.order_id}",
                order_id=order.order_id,
                symbol=order.symbol,
                side=order.side,
                role=order.role,
                quantity=filled,
                price=Decimal(str(candle.open)),
                fee=Decimal(0),
                leaves=order.quantity - filled,
                time=candle.open_time,
            )
        )


def test_a_long_only_strategy_buys_on_entry_and_closes_on_exit() -> None:
    market = Market(config())
    assert market.play([9, 1, 4, 5, 1, 4, 1, 1]) == ["", "", "BUY", "", "CLOSE", "BUY", "CLOSE", ""]


def test_a_signal_carries_the_rules_confidence_and_text() -> None:
    market = Market(config())
    market.play([1, 1])
    (signal,) = market.step(4)
    assert (signal.confidence, signal.reason) == (0.75, "entry: crosses_above(close, level)")
    (signal,) = market.step(1)
    assert (signal.confidence, signal.reason) == (0.5, "exit: close < 2")


def test_the_short_side_mirrors_the_long_one() -> None:
    rules = {name: BOTH_SIDES[name] for name in ("shortEntry", "shortExit")}
    market = Market(config(rules=rules))
    assert market.play([5, 1, 1, 2, 2, 1]) == ["", "SELL", "", "CLOSE", "", "SELL"]
    (signal,) = Market(config(rules=rules)).step(1)
    assert (signal.confidence, signal.reason) == (0.25, "short_entry: close == 1")


def test_an_opposite_entry_turns_the_position_round_by_one_signal() -> None:
    market = Market(config(rules=BOTH_SIDES))
    played = market.play([3, 5, 5, 1, 1, 5, 4, 3, 1, 2, 3])
    assert played == ["", "BUY", "", "SELL", "", "BUY", "CLOSE", "", "SELL", "CLOSE", ""]


def test_turning_round_goes_before_closing() -> None:
    rules = {
        "entry": {"condition": "close == 5"},
        "exit": {"condition": "close < 4"},
        "shortEntry": {"condition": "close == 1"},
        "shortExit": {"condition": "close > 2"},
    }
    market = Market(config(rules=rules))
    assert market.play([5, 1, 5, 3]) == ["BUY", "SELL", "BUY", "CLOSE"]


def test_flat_with_both_entries_true_goes_long() -> None:
    rules = {"entry": {"condition": "true"}, "shortEntry": {"condition": "true"}}
    assert Market(config(rules=rules)).play([1]) == ["BUY"]


def test_no_second_order_is_asked_for_while_the_first_one_works() -> None:
    rules = {"entry": {"condition": "close > 3"}, "exit": {"condition": "close < 3"}}
    market = Market(config(rules=rules), delay=2)
    assert market.play([4, 4, 4, 4, 1, 1, 1, 1, 4]) == [
        "BUY",
        "",
        "",
        "",
        "CLOSE",
        "",
        "",
        "",
        "BUY",
    ]


def test_no_exit_is_asked_for_while_the_position_is_being_turned_round() -> None:
    rules = {**BOTH_SIDES, "exit": {"condition": "close < 5"}}
    market = Market(config(rules=rules), delay=2)
    assert market.play([5, 5, 5, 5, 1, 3, 3]) == ["BUY", "", "", "", "SELL", "", ""]


def test_a_position_is_left_although_its_entry_is_not_filled_whole() -> None:
    rules = {"entry": {"condition": "close > 3"}, "exit": {"condition": "close < 3"}}
    market = Market(config(rules=rules), share=Decimal("0.5"))
    assert market.play([4, 4, 1]) == ["BUY", "", "CLOSE"]


def test_nothing_is_asked_for_before_the_rules_are_defined() -> None:
    strategy = config(
        indicators={"slow": {"type": "sma", "period": 3}},
        rules={"entry": {"condition": "rising(slow, 2) or true"}},
    )
    assert Market(strategy).play([1, 2, 3, 4, 5]) == ["", "", "", "", "BUY"]


def test_history_seen_while_warming_up_is_remembered() -> None:
    strategy = config(
        indicators={"slow": {"type": "sma", "period": 4}},
        rules={"entry": {"condition": "crosses_above(close, slow)"}},
    )
    # the first average is that of candle 3, where the close is below it
    assert Market(strategy).play([9, 8, 7, 1, 9]) == ["", "", "", "", "BUY"]


def test_parameters_change_live() -> None:
    market = Market(config())
    assert market.play([9, 1, 2.5, 1]) == ["", "", "", ""]
    market.instance.on_command(Update({"level": 2}))
    assert market.play([2.5]) == ["BUY"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 4}, "parameters.n: cannot change while the strategy runs"),
        ({"level": True}, "parameters.level: must stay a number"),
        ({"other": 1}, "other"),
        ({"level": "high"}, "level"),
    ],
)
def test_an_update_that_cannot_work_is_refused_and_changes_nothing(
    change: dict[str, Any], message: str
) -> None:
    rules = {"entry": {"condition": "close > level and close >= highest(close, n)"}}
    market = Market(config(rules=rules, parameters={"level": 3, "n": 2}))
    market.play([1, 2])
    with pytest.raises(ConfigError, match=message):
        market.instance.on_command(Update(change))
    assert market.play([3, 4]) == ["", "BUY"]


def test_a_restarted_strategy_forgets_and_warms_up_again() -> None:
    market = Market(config())
    market.play([9, 1])
    market.instance.fail("for the test")
    market.instance.on_command(Restart())
    assert market.play([4, 4, 1, 4]) == ["", "", "", "BUY"]


def test_a_restored_strategy_goes_on_as_if_nothing_had_happened() -> None:
    strategy = config(
        indicators={"slow": {"type": "ema", "period": 4}},
        rules={
            "entry": {"condition": "crosses_above(close, slow * level) and rising(close, 2)"},
            "exit": {"condition": "close < lowest(close, 5)[1] or falling(slow, 3)[1]"},
        },
        parameters={"level": 1.0},
    )
    random = Random(4)
    closes = [float(random.randrange(1, 9)) for _ in range(160)]
    undisturbed = Market(strategy)
    expected = [undisturbed.play([close]) for close in closes[:60]]
    undisturbed.instance.on_command(Update({"level": 1.1}))
    expected += [undisturbed.play([close]) for close in closes[60:]]
    assert sum(asked != [""] for asked in expected[70:]) > 5

    for crash in (5, 61, 70, 71, 72, 73, 120):
        market = Market(strategy)
        asked = []
        for seq, close in enumerate(closes):
            if seq == 60:
                market.instance.on_command(Update({"level": 1.1}))
            if seq == crash:
                history = undisturbed.seen[:crash]
                market.instance = restored(strategy, market.instance.snapshot(), history)
            asked.append(market.play([close]))
        assert asked == expected


def restored(strategy: StrategyConfig, snapshot: bytes, history: list[Candle]) -> Instance:
    fresh = Market(strategy).instance
    fresh.restore(snapshot, history)
    return fresh


def test_rules_are_needed() -> None:
    strategy = StrategyConfig.model_validate(
        {"id": "r", "type": "RULES", "symbol": "BTC/USDT", "timeframe": "1m"}
    )
    with pytest.raises(RuleError, match="strategy 'r': type RULES needs `rules` with an entry"):
        Market(strategy)


def test_one_stream_is_all_rules_can_read() -> None:
    strategy = config(timeframes=["1m", "5m"])
    with pytest.raises(RuleError, match=r"one symbol and one timeframe, got paper:BTC/USDT:1m, "):
        Market(strategy)


def test_a_rule_that_does_not_compile_is_refused_when_the_instance_is_built() -> None:
    strategy = config(rules={"entry": {"condition": "close > levl"}})
    with pytest.raises(RuleError, match=r"strategy 'r': rule entry.condition, column 9: .*'level'"):
        Market(strategy)


@pytest.mark.parametrize(
    ("parameters", "is_valid"),
    [
        ({}, True),
        ({"a": 1, "b": 2.5, "c": True}, True),
        ({"a": "x"}, False),
        ({"a": None}, False),
        ({"not a name": 1}, False),
    ],
)
def test_the_schema_takes_named_numbers_and_booleans(
    parameters: dict[str, Any], is_valid: bool
) -> None:
    schema = RulesStrategy.get_parameters_schema()
    Draft7Validator.check_schema(schema)
    assert Draft7Validator(schema).is_valid(parameters) is is_valid
