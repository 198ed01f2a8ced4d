"""What is on record is told afterwards, to whom it belongs, again until it has arrived."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from engine.access import Caller
from engine.events import Event, Interest, MemoryEventLog
from engine.recording import Owner
from engine.store import Fill, Order, Signal, Store, UnpublishedEvents
from engine.trading.records import SignalRecord, intent_line
from engine.types import Action
from engine.types import Signal as Wish
from tests.engine.recording.ledgers import (
    NAMES,
    OWNERS,
    a_ledger,
    a_recorder,
    an_event_log,
    record_all,
    rows_of,
)

LEDGER, _ = a_ledger("independent", 3)


class Troubled(MemoryEventLog):
    """A log that takes events, and has them only while it can be reached."""

    def __init__(self, published: Callable[[], None] = lambda: None) -> None:
        super().__init__(now_ms=lambda: 1)
        self.is_reachable = True
        self._published = published

    def publish(self, topic: str, data: dict[str, Any], **about: str) -> None:
        self._published()
        super().publish(topic, data, **about)

    def flush(self, timeout_s: float) -> bool:
        return self.is_reachable


def told(log: MemoryEventLog) -> list[Event]:
    return log.read(None, 10**6)


def kinds(line: bytes) -> list[str]:
    """Return the topics of what is told of a line."""
    kind, *fields = msgspec.json.decode(line)
    match kind:
        case "signal" | "cancel":
            return ["signals"]
        case "request":
            return ["signals"] if fields[-3] == "accepted" else ["signals", "orders"]
        case "order" | "canceled":
            return ["orders"]
        case "fill":
            return ["fills", "orders"]
        case _:
            return []


def test_every_line_is_told_in_order_with_the_ids_on_record(store: Store) -> None:
    log = an_event_log()
    record_all(a_recorder(store, event_log=log), LEDGER)
    events = told(log)
    assert [event.topic for event in events] == [kind for line in LEDGER for kind in kinds(line)]
    for topic, model in (("signals", Signal), ("orders", Order), ("fills", Fill)):
        ids = {event.data["id"] for event in events if event.topic == topic}
        assert ids == {row["id"] for row in rows_of(store, model)}
    for event in events:
        owner = OWNERS[event.data["strategyId"]]
        assert (event.strategy_id, event.owner_id) == (owner.strategy_id, owner.owner_id)
    assert rows_of(store, UnpublishedEvents) == []


def test_the_last_that_is_told_of_an_order_is_what_is_on_record(store: Store) -> None:
    log = an_event_log()
    record_all(a_recorder(store, event_log=log), LEDGER)
    last = {event.data["id"]: event.data for event in told(log) if event.topic == "orders"}
    for row in rows_of(store, Order):
        data = last[row["id"]]
        assert (data["status"], data["reason"]) == (row["status"], row["reason"])
        assert data["filled"] == f"{row['filled'].normalize():f}"


def test_nothing_is_told_before_it_is_on_record(store: Store) -> None:
    seen: list[int] = []
    log = Troubled(lambda: seen.append(len(rows_of(store, Signal))))
    wishes = [line for line in LEDGER if line.startswith(b'["signal"')]
    record_all(a_recorder(store, event_log=log), wishes)
    assert seen == [len(wishes)] * len(wishes)


def test_what_could_not_be_told_is_told_once_the_log_is_back(store: Store) -> None:
    log = Troubled()
    recorder = a_recorder(store, event_log=log)
    log.is_reachable = False
    for start in range(0, 60, 10):
        recorder.apply(start, LEDGER[start : start + 10])
    assert recorder.position() == 60
    assert len(told(log)) == sum(len(kinds(line)) for line in LEDGER[:10])
    assert not recorder.publish()
    log.is_reachable = True
    assert recorder.publish()
    expected = an_event_log()
    record_all(a_recorder(store, event_log=expected, run_id="x"), LEDGER[:60])
    assert [event.topic for event in told(log)] == [event.topic for event in told(expected)]


def test_whoever_comes_after_a_crash_tells_what_may_not_have_arrived(store: Store) -> None:
    lost, log = Troubled(), an_event_log()
    lost.is_reachable = False
    a_recorder(store, event_log=lost, run_id="r").apply(0, LEDGER[:10])
    later = a_recorder(store, event_log=log, run_id="r")
    assert later.position() == 10
    later.apply(9, LEDGER[9:20])
    assert [e.topic for e in told(log)] == [k for line in LEDGER[:20] for k in kinds(line)]


def test_what_an_earlier_run_left_untold_is_told(store: Store) -> None:
    lost, log = Troubled(), an_event_log()
    lost.is_reachable = False
    a_recorder(store, event_log=lost, run_id="one").apply(0, LEDGER[:10])
    later = a_recorder(store, event_log=log, run_id="two")
    later.position()
    assert later.publish()
    assert {event.data["id"].partition("|")[0] for event in told(log)} == {"one"}
    assert len(told(log)) == len(told(lost))


# ------------------------------------------------------------------ to whom


def seen_by(log: MemoryEventLog, user: str, role: Any = "trader") -> set[str]:
    interest = Interest(caller=Caller(user, role), topics=frozenset({"*"}))
    return {event.topic for event in told(log) if interest.covers(event)}


@pytest.mark.parametrize(
    ("signals_to", "topics"), [(None, set()), ("", {"signals"}), ("u-bob", {"signals"})]
)
def test_signals_go_to_whom_their_owner_says(
    store: Store, signals_to: str | None, topics: set[str]
) -> None:
    log = an_event_log()

    def whose(name: str) -> Owner:
        return Owner("followed", "u-ann", "a", signals_to)

    record_all(a_recorder(store, event_log=log, whose=whose), LEDGER)
    assert seen_by(log, "u-bob") == topics
    assert {"orders", "fills"} <= seen_by(log, "u-ann")
    assert {event.strategy_id for event in told(log)} == {"followed"}
    assert {event.data["strategyId"] for event in told(log)} == set(NAMES)


def test_what_belongs_to_nobody_is_told_to_admins_only(store: Store) -> None:
    log = an_event_log()
    record_all(a_recorder(store, event_log=log, whose=lambda _: None), LEDGER)
    assert seen_by(log, "u-ann") == set()
    assert seen_by(log, "u-root", "admin") == {"signals", "orders", "fills"}


def test_long_texts_are_told_in_part_and_kept_whole(store: Store) -> None:
    log = an_event_log()
    wish = Wish(Action.BUY, "BTC/USDT", reason="why " * 100_000)
    line = intent_line(SignalRecord(0, 0, "a", "a|0", wish, "flat", "", ""))
    record_all(a_recorder(store, event_log=log), [line])
    (row,) = rows_of(store, Signal)
    (event,) = told(log)
    assert row["reason"] == wish.reason
    assert event.data["reason"].startswith("why why")
    assert len(event.data["reason"]) == 2_001
