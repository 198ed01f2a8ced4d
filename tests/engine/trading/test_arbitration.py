"""Order of decisions and the policies."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from engine.trading import Registration
from engine.trading.arbitration import ranked
from engine.types import Action, CancelRequest, Decision, OrderRequest, OrderType, Side, Signal

SYMBOL = "BTC/USDT"
BUY = Signal(Action.BUY, SYMBOL)
SELL = Signal(Action.SELL, SYMBOL)
CLOSE = Signal(Action.CLOSE, SYMBOL)
FLAT = (100, 100, 100, 100)


def quantities(stage: Any, names: Any = "abc") -> Any:
    return tuple(int(stage.position(name).quantity) for name in names)


def test_decisions_are_ranked_by_time_stream_priority_confidence_and_id(scene: Any) -> Any:
    stage = scene({"id": "a"}, {"id": "b"}, {"id": "c", "priority": 1})
    sure, unsure = (Signal(Action.BUY, SYMBOL, confidence=c) for c in (0.9, 0.1))

    def say(instance: Any, stream: Any, seq: Any, time: Any, *intents: Any) -> Any:
        return Decision(instance, stream, seq, time, intents)

    expected = [
        say("a", "p:X/Y:1m", 1, 50, unsure),
        say("c", "p:X/Y:1m", 1, 60, unsure),
        say("b", "p:X/Y:1m", 1, 60, unsure, sure),
        say("a", "p:X/Y:1m", 1, 60, unsure),
        say("b", "p:X/Y:1m", 2, 60, unsure),
        say("a", "p:X/Y:1m", 2, 60, CancelRequest("z")),
        say("c", "p:A/B:5m", 1, 60, sure),
        say("a", "p:A/B:1d", 1, 60, sure),
    ]
    expected[3:5] = sorted(expected[3:5], key=lambda d: d.instance)
    for order in (expected[::-1], expected[3:] + expected[:3]):
        assert list(ranked(order, stage.manager._enrolment.participants)) == expected


SCENARIOS = [
    # policy, strategies' priorities, wishes, quantities afterwards, rejections
    ("independent", (0, 0, 0), {"a": BUY, "b": SELL, "c": BUY}, (1, -1, 1), {}),
    ("priority", (0, 5, 0), {"a": BUY, "b": SELL, "c": SELL}, (0, -1, -1), {"a": "outranked"}),
    ("priority", (9, 5, 0), {"a": BUY, "b": SELL, "c": SELL}, (1, 0, 0),
     {"b": "outranked", "c": "outranked"}),
    ("priority", (0, 0, 0), {"b": SELL, "c": BUY}, (0, -1, 0), {"c": "outranked"}),
    ("first", (0, 0, 0), {"b": BUY, "c": BUY}, (0, 1, 0), {"c": "symbol_taken"}),
    ("first", (0, 0, 3), {"b": BUY, "c": SELL}, (0, 0, -1), {"b": "symbol_taken"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "priorities", "wishes", "expected"),
    [(*row[:3], row[3:]) for row in SCENARIOS],
)
def test_policy(scene: Any, policy: str, priorities: Any, wishes: Any, expected: Any) -> None:
    after, refused = expected
    strategies = [{"id": n, "priority": p} for n, p in zip("abc", priorities, strict=True)]
    stage = scene(*strategies, policy=policy)
    stage.step(FLAT, wishes)
    stage.step(FLAT)
    assert quantities(stage) == after
    assert {name: stage.rejections(name)[0] for name in "abc" if stage.rejections(name)} == refused


def test_confidence_decides_among_equal_priorities(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, policy="priority")
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, confidence=0.4),
                      "b": Signal(Action.SELL, SYMBOL, confidence=0.6)})  # fmt: skip
    assert stage.rejections("a") == ["outranked"]
    detail = next(e.detail for e in stage.events if getattr(e, "code", "") == "outranked")
    assert "'b'" in detail
    assert "short" in detail


def test_lower_priority_may_not_enter_against_an_open_position(scene: Any) -> None:
    stage = scene({"id": "a", "priority": 1}, {"id": "b"}, {"id": "c"}, policy="priority")
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT, {"b": SELL, "c": BUY})
    stage.step(FLAT, {"a": CLOSE})
    stage.step(FLAT, {"b": SELL})
    stage.step(FLAT)
    assert stage.rejections("b") == ["outranked"]
    assert quantities(stage) == (0, -1, 1)


def test_lower_priority_may_not_enter_against_a_working_entry(scene: Any) -> None:
    stage = scene({"id": "a", "priority": 1}, {"id": "b"}, policy="priority")
    stage.step(FLAT, {"a": Signal(Action.BUY, SYMBOL, limit_price=Decimal(50))})
    stage.step(FLAT, {"b": SELL})
    assert stage.rejections("b") == ["outranked"]


def test_higher_priority_may_enter_against_a_lower_one(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b", "priority": 1}, policy="priority")
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT, {"b": SELL})
    stage.step(FLAT)
    assert quantities(stage, "ab") == (1, -1)


def test_what_is_no_entry_claims_nothing(scene: Any) -> None:
    stage = scene({"id": "a", "priority": 1}, {"id": "b"}, policy="priority")
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT)
    stage.step(FLAT, {"a": CLOSE})
    reduce = OrderRequest(SYMBOL, Side.BUY, OrderType.MARKET, Decimal(1), reduce_only=True)
    stage.step(FLAT, {"a": [reduce, CLOSE, CancelRequest("x")], "b": SELL})
    stage.step(FLAT)
    assert quantities(stage, "ab") == (0, -1)


def test_symbol_is_free_again_once_its_owner_is_flat(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, policy="first")
    stage.step(FLAT, {"a": BUY})
    stage.step(FLAT, {"a": CLOSE, "b": BUY})
    stage.step(FLAT, {"b": BUY})
    stage.step(FLAT)
    assert stage.rejections("b") == ["symbol_taken"]
    assert quantities(stage, "ab") == (0, 1)


def test_policies_do_not_reach_across_accounts(scene: Any) -> None:
    for policy in ("first", "priority"):
        stage = scene({"id": "a"}, {"id": "b"}, policy=policy)
        config = stage.run.model_copy(
            update={
                "accounts": (
                    stage.run.accounts[0],
                    stage.run.accounts[0].model_copy(update={"id": "other"}),
                )
            }
        )
        strategies = [
            strategy.model_copy(update={"account": account})
            for strategy, account in zip(stage.run.strategies, ("paper", "other"), strict=True)
        ]
        manager = type(stage.manager)(
            config,
            base_streams={"paper:BTC/USDT": "paper:BTC/USDT:1m"},
            ledger=type(stage.manager.ledger)(),
        )
        for strategy in strategies:
            manager.register(Registration(strategy))
        stage.manager = manager
        stage.step(FLAT, {"a": BUY, "b": SELL})
        assert stage.rejections("a") == stage.rejections("b") == []


def test_refused_reversal_still_closes(scene: Any) -> None:
    stage = scene({"id": "a", "priority": 1}, {"id": "b"}, policy="priority")
    stage.step(FLAT, {"b": SELL})
    stage.step(FLAT, {"a": SELL, "b": BUY})
    stage.step(FLAT)
    assert quantities(stage, "ab") == (-1, 0)
    assert stage.short_fills("b")[-1][:3] == ("exit", "buy", "1")
    record = stage.manager.ledger.signals("b")[-1]
    assert record.code == "accepted"
    assert record.detail.startswith("closes only; outranked")


@pytest.mark.parametrize("policy", ["independent", "net", "priority", "first"])
def test_outcome_does_not_depend_on_who_was_faster(scene: Any, policy: Any) -> None:
    hashes = set()
    for order in permutations("abc"):
        stage = scene(
            {"id": "a"}, {"id": "b", "priority": 2}, {"id": "c"}, policy=policy, balance="150"
        )
        wishes = {"a": BUY, "b": Signal(Action.SELL, SYMBOL, confidence=0.3), "c": BUY}
        stage.step(FLAT, {name: wishes[name] for name in order})
        stage.step((101, 102, 100, 101), dict.fromkeys(order, CLOSE))
        stage.step(FLAT)
        hashes.add(stage.manager.ledger.sha256())
    assert len(hashes) == 1
