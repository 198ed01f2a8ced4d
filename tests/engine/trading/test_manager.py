"""The order manager's contract: order of calls, repetition, registration, withdrawal, ledger."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

import pytest

from engine.config import StrategyConfig
from engine.errors import ConfigError, TradingError
from engine.trading import Registration
from engine.trading.participants import REMEMBERED
from engine.types import Action, OrderRejected, Signal

SYMBOL = "BTC/USDT"
BUY = Signal(Action.BUY, SYMBOL)
CLOSE = Signal(Action.CLOSE, SYMBOL)
HOLD = Signal(Action.HOLD, SYMBOL)
FLAT = (100, 100, 100, 100)


class Lines:
    """A sink that keeps the lines."""

    def __init__(self) -> None:
        self.lines = []

    def append(self, record: Any) -> None:
        self.lines.append(record)


def strategy(**fields: Any) -> Any:
    return StrategyConfig.model_validate(
        {"id": "x", "type": "SCRIPTED", "symbol": SYMBOL, "timeframe": "1m", **fields}
    )


def test_slices_must_come_in_order_and_be_decided_once(scene: Any) -> None:
    stage = scene()
    first = stage.slice_of({SYMBOL: FLAT})
    with pytest.raises(TradingError, match=r"decide\(0\).*must be match\(0\)"):
        stage.manager.decide(first, ())
    stage.manager.match(first)
    with pytest.raises(TradingError, match=r"match\(0\).*must be decide\(0\)"):
        stage.manager.match(first)
    stage.manager.decide(first, ())
    with pytest.raises(TradingError, match=r"decide\(0\).*must be match\(1\)"):
        stage.manager.decide(first, ())
    stage.number = 2
    with pytest.raises(TradingError, match=r"match\(2\).*must be match\(1\)"):
        stage.manager.match(stage.slice_of({SYMBOL: FLAT}))


def test_repeated_decision_gets_the_recorded_answer_and_changes_nothing(scene: Any) -> None:
    stage = scene()
    stage.step(FLAT)
    answer = stage.step(FLAT, {"a": [BUY, BUY]})
    repeated = stage.decisions({"a": [BUY, BUY]})
    before = stage.manager.ledger.sha256(), stage.manager.ledger.lines
    slice_ = stage.slice_of({})
    stage.manager.match(slice_)
    assert stage.manager.decide(slice_, repeated) == answer
    assert (stage.manager.ledger.sha256(), stage.manager.ledger.lines) == before
    stage.number += 1
    stage.step(FLAT)
    assert stage.position().quantity == 1


def test_decision_repeated_inside_one_slice_counts_once(scene: Any) -> None:
    stage = scene()
    slice_ = stage.slice_of({SYMBOL: FLAT})
    stage.number += 1
    stage.manager.match(slice_)
    twice = stage.decisions({"a": BUY}) * 2
    events = stage.manager.decide(slice_, twice)
    assert len(events) == 2
    assert events[0] == events[1]
    stage.step(FLAT)
    assert stage.position().quantity == 1


def test_decision_older_than_what_is_remembered_is_stale_and_leaves_no_trace(scene: Any) -> None:
    stage = scene()
    stage.step(FLAT, {"a": CLOSE})
    for _ in range(REMEMBERED):
        stage.step(FLAT, {"a": CLOSE})
    lines = stage.manager.ledger.lines
    slice_ = stage.slice_of({})
    stage.manager.match(slice_)
    (event,) = stage.manager.decide(slice_, stage.decisions({"a": BUY}, seq=0))
    assert event.code == "stale"
    assert stage.manager.ledger.lines == lines


def test_unknown_instance_is_refused_without_a_trace(scene: Any) -> None:
    stage = scene()
    (event,) = stage.step(FLAT, {"ghost": BUY})
    assert event == OrderRejected(
        "ghost", "ghost|paper:BTC/USDT:1m|0|0", "", "unknown_instance",
        "the strategy is not registered", 60_000,
    )  # fmt: skip
    assert stage.manager.ledger.lines == 0


def test_hold_is_recorded_only(scene: Any) -> None:
    stage = scene()
    assert stage.step(FLAT, {"a": HOLD}) == []
    (record,) = stage.manager.ledger.signals("a")
    assert (record.code, record.order_id) == ("recorded", "")


def test_withdrawn_strategy_keeps_position_and_protection_but_enters_no_more(scene: Any) -> None:
    stage = scene({"id": "a", "risk": {"stop_loss": "0.1"}})
    stage.step(FLAT, {"a": BUY})
    resting = Signal(Action.BUY, SYMBOL, quantity=Decimal(1), limit_price=Decimal(50))
    stage.step(FLAT, {"a": resting})
    (event,) = stage.manager.withdraw("a", "three errors in a row")
    assert (event.order_id.rpartition("|")[2], event.reason) == ("0", "withdrawn")
    assert stage.manager.withdraw("a", "again") == []
    stage.step(FLAT, {"a": CLOSE})
    assert stage.rejections() == ["withdrawn"]
    stage.step((100, 100, 90, 95))
    assert stage.short_fills()[-1][0] == "stop_loss"
    assert stage.wallet().committed == 0


def test_withdrawn_strategy_may_register_again(scene: Any) -> None:
    stage = scene()
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.manager.withdraw("a", "restart")
    stage.manager.register(Registration(stage.run.strategies[0]))
    stage.step(FLAT, {"a": CLOSE})
    stage.step(FLAT)
    assert stage.position().quantity == 0
    assert stage.rejections() == []


def test_registering_twice_is_an_error(scene: Any) -> None:
    stage = scene()
    with pytest.raises(ConfigError, match=r"'a'.*already.*withdraw it first"):
        stage.manager.register(Registration(stage.run.strategies[0]))


def test_symbol_in_a_currency_the_account_does_not_hold_is_an_error(scene: Any) -> None:
    stage = scene()
    with pytest.raises(ConfigError, match=r"'x'.*in EUR.*holds USDT.*add EUR"):
        stage.manager.register(Registration(strategy(symbol="BTC/EUR")))
    with pytest.raises(ConfigError, match="'BTCUSDT'"):
        stage.manager.register(Registration(strategy(symbol="BTCUSDT")))


def test_strategy_without_market_is_answered_no_price(scene: Any) -> None:
    stage = scene()
    stage.manager.register(Registration(strategy(symbol="ETH/USDT")))
    stage.step(FLAT, {"x": Signal(Action.BUY, "ETH/USDT")})
    assert stage.rejections("x") == ["no_price"]


def test_asking_for_a_stranger_is_an_error(scene: Any) -> None:
    stage = scene()
    for call in (lambda: stage.manager.withdraw("x", ""), lambda: stage.manager.positions("x")):
        with pytest.raises(TradingError, match="'x'"):
            call()


def test_dashed_and_slashed_spellings_name_one_instrument(scene: Any) -> None:
    stage = scene({"id": "a", "symbol": "BTC-USDT"}, symbols=("BTC-USDT",))
    stage.step((100, 100, 100, 100), {"a": Signal(Action.BUY, "BTC-USDT")})
    stage.step((100.123, 101, 100, 100))
    assert stage.fills()[0].price == Decimal("100.12")


def play(stage: Any) -> None:
    for n in range(12):
        stage.step((100 + n, 102 + n, 99 + n, 101 + n), {"a": (BUY, HOLD, CLOSE)[n % 3]})


def test_same_candles_and_decisions_give_the_same_ledger(scene: Any) -> None:
    hashes = set()
    for _ in range(2):
        stage = scene({"id": "a", "risk": {"stop_loss": "0.02"}})
        play(stage)
        hashes.add((stage.manager.ledger.sha256(), stage.manager.ledger.sha256_of("a")))
    assert len(hashes) == 1


def test_hash_is_sha256_over_the_lines_the_sink_gets(scene: Any) -> None:
    sink = Lines()
    stage = scene({"id": "a"}, {"id": "b"}, sink=sink)
    play(stage)
    stage.step(FLAT, {"b": BUY})
    ledger = stage.manager.ledger
    assert ledger.sha256() == hashlib.sha256(b"".join(sink.lines)).hexdigest()
    mine = [line for line in sink.lines if json.loads(line)[3] == "b"]
    assert len(mine) == 2
    assert ledger.sha256_of("b") == hashlib.sha256(b"".join(mine)).hexdigest()
    assert ledger.lines == len(sink.lines)
    assert ledger.sha256() == ledger.sha256()


def test_lines_are_canonical(scene: Any) -> None:
    sink = Lines()
    stage = scene(sink=sink, execution={"taker_fee_bps": 10})
    buy = Signal(
        Action.BUY, SYMBOL, 0.5, "why", quantity=Decimal("1.500"), stop_loss=Decimal("0.10")
    )
    stage.step(FLAT, {"a": buy})
    stage.step((100.5, 101, 100, 101))
    key = "a|paper:BTC/USDT:1m|0|0"
    order = ["a", key, key, SYMBOL, "buy", "market", "entry", "1.5", None, None, ""]
    fill = ["a", f"{key}#1", key, SYMBOL, "buy", "entry", "1.5", "100.5", "0.15075", "0", "0"]
    stop = ["a", f"{key}:sl", key, SYMBOL, "sell", "stop", "stop_loss", "1.5", "90.45", None, ""]
    wish = ["a", key, "BUY", SYMBOL, 0.5, "why", "1.5", None, "0.1", None, None]
    assert [json.loads(line) for line in sink.lines] == [
        ["signal", 0, 60_000, *wish, "accepted", "", key],
        ["order", 0, 60_000, *order],
        ["fill", 1, 60_000, *fill],
        ["order", 1, 60_000, *stop],
    ]
    assert all(line.endswith(b"\n") for line in sink.lines)


def test_outcome_is_written_before_the_order_works(scene: Any) -> None:
    stage = scene()
    seen = []

    class Watcher:
        def append(self, record: Any) -> None:
            seen.append(
                (
                    json.loads(record)[0],
                    len(stage.manager._enrolment.books["paper:BTC/USDT"].orders),
                )
            )

    stage = scene(sink=Watcher())
    stage.step(FLAT, {"a": BUY})
    assert seen == [("signal", 0), ("order", 0)]


def test_records_for_reports(scene: Any) -> None:
    stage = scene()
    play(stage)
    ledger = stage.manager.ledger
    assert [record.code for record in ledger.signals("a")] == [
        "accepted",
        "recorded",
        "accepted",
    ] * 4
    assert {record.state for record in ledger.orders("a")} == {"filled", "working"}
    realised = sum(record.realised for record in ledger.fills("a"))
    assert realised == stage.position().realised == stage.wallet().realised


def test_unknown_tick_is_ignored(scene: Any) -> None:
    stage = scene()
    stage.symbols = ("DOGE/USDT",)
    assert stage.tick(1, 5.0) == []


def test_equity_follows_the_last_price(scene: Any) -> None:
    stage = scene(balance="1000")
    stage.step(FLAT, {"a": BUY})
    stage.step((100, 110, 90, 90))
    wallet = stage.wallet()
    assert (wallet.balance, wallet.equity, wallet.unrealised) == (1000, 990, -10)
    assert wallet.drawdown == Decimal("0.01")
    stage.tick(1, 120.0)
    assert stage.wallet().equity == 1020
