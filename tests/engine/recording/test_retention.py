"""What is too old goes, a little at a time, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import StoreError
from engine.recording import ExecutionRow, Retention, Rule, record_executions
from engine.recording.retention import DAY_MS
from engine.store import Alert, AuditEntry, Execution, Fill, Order, Signal, Store
from tests.engine.recording.ledgers import a_ledger, a_recorder, record_all, rows_of

LEDGER, _ = a_ledger("independent", 3)
NOW = 1_000 * DAY_MS


def executed(store: Store, count: int, recorded_ms: int, strategy: str = "a") -> None:
    rows = [ExecutionRow(strategy, n, "w", 1, "no_signal") for n in range(count)]
    with store.write() as session:
        record_executions(session, rows, now_ms=recorded_ms)


def a_retention(store: Store, **changes: Any) -> Retention:
    return Retention(store, lambda: NOW, **{"rest": lambda _: None, **changes})


def test_signals_and_executions_go_after_90_days_and_trades_stay(store: Store) -> None:
    old, young = NOW - 90 * DAY_MS - 1, NOW - 90 * DAY_MS
    record_all(a_recorder(store, run_id="old", engine="x", clock=lambda: old), LEDGER)
    record_all(a_recorder(store, run_id="young", engine="y", clock=lambda: young), LEDGER)
    executed(store, 3, old, "old")
    executed(store, 3, young, "young")
    trades = rows_of(store, Order), rows_of(store, Fill)
    signals = len(rows_of(store, Signal))
    assert a_retention(store).purge() == {
        "strategy_signals": signals // 2,
        "strategy_executions": 3,
        "strategy_logs": 0,
        "idempotency_keys": 0,
    }
    assert {row["run_id"] for row in rows_of(store, Signal)} == {"young"}
    assert {row["strategy_id"] for row in rows_of(store, Execution)} == {"young"}
    assert (rows_of(store, Order), rows_of(store, Fill)) == trades
    assert set(a_retention(store).purge().values()) == {0}


def test_how_long_something_is_kept_can_be_set(store: Store) -> None:
    executed(store, 3, NOW - 11)
    rule = Rule(Execution.recorded_ms, 10)
    assert a_retention(store, rules=(rule,)).purge() == {"strategy_executions": 3}


def test_others_have_their_turn_between_batches(store: Store) -> None:
    executed(store, 25, 0)
    left: list[int] = []

    def rest(_: float) -> None:
        left.append(len(rows_of(store, Execution)))
        executed(store, 1, NOW, f"new-{len(left)}")  # another one who writes

    retention = a_retention(store, at_once=10, rest=rest)
    assert retention.purge()["strategy_executions"] == 25
    assert left == [15, 6]
    assert len(rows_of(store, Execution)) == 2


def test_a_purge_that_failed_goes_on_where_it_was(store: Store) -> None:
    executed(store, 25, 0)

    def fail(_: float) -> None:
        raise StoreError("locked")

    with pytest.raises(StoreError, match="locked"):
        a_retention(store, at_once=10, rest=fail).purge()
    assert a_retention(store, at_once=10).purge()["strategy_executions"] == 15


def test_of_the_audit_log_no_number_is_given_twice(store: Store) -> None:
    fields = {"user_id": None, "action": "update", "kind": "settings", "object_id": "a"}

    def change(times: int) -> None:
        with store.write() as session:
            session.add_all(AuditEntry(at_ms=NOW - 11, change={}, **fields) for _ in range(times))

    change(25)
    retention = a_retention(store, rules=(Rule(AuditEntry.at_ms, 10),), at_once=10)
    assert retention.purge() == {"audit_log": 25}
    change(1)
    assert [row["id"] for row in rows_of(store, AuditEntry)] == [26]


def test_an_alert_stays_until_it_is_acknowledged(store: Store) -> None:
    with store.write() as session:
        for acknowledged in (None, NOW - 11, NOW - 10):
            alert = Alert(at_ms=0, level="info", title="", text="", acknowledged_ms=acknowledged)
            session.add(alert)
    retention = a_retention(store, rules=(Rule(Alert.acknowledged_ms, 10),))
    assert retention.purge() == {"alerts": 1}
    assert {row["acknowledged_ms"] for row in rows_of(store, Alert)} == {None, NOW - 10}
