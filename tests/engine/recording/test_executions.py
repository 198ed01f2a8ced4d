"""Each strategy has one execution at each interval, whoever comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.errors import StoreError
from engine.recording import ExecutionRow, record_executions
from engine.store import Execution, Store
from tests.engine.recording.ledgers import rows_of


def an_execution(strategy: str, interval_ms: int, worker: str = "w1") -> ExecutionRow:
    return ExecutionRow(strategy, interval_ms, worker, 120, "success", subscribers=2, trades=1)


def record(store: Store, batch: list[ExecutionRow], *, now_ms: int) -> list[ExecutionRow]:
    with store.write() as session:
        return record_executions(session, batch, now_ms=now_ms)


def test_those_that_are_new_are_recorded_and_told(store: Store) -> None:
    first = [an_execution("a", 60_000), an_execution("b", 60_000)]
    assert record(store, first, now_ms=7) == first
    second = [an_execution("a", 120_000, "w2"), an_execution("a", 60_000, "w2")]
    assert record(store, second, now_ms=8) == second[:1]
    assert record(store, second, now_ms=9) == []
    assert record(store, [], now_ms=9) == []
    rows = rows_of(store, Execution)
    assert [(row["strategy_id"], row["interval_ms"], row["worker"]) for row in rows] == [
        ("a", 60_000, "w1"),
        ("a", 120_000, "w2"),
        ("b", 60_000, "w1"),
    ]
    assert rows[0] == {
        "strategy_id": "a",
        "interval_ms": 60_000,
        "recorded_ms": 7,
        "worker": "w1",
        "duration_us": 120,
        "result": "success",
        "subscribers": 2,
        "trades": 1,
    }


def test_of_two_in_one_batch_the_first_counts(store: Store) -> None:
    both = [an_execution("a", 60_000, "w1"), an_execution("a", 60_000, "w2")]
    assert record(store, both, now_ms=7) == both[:1]
    assert [row["worker"] for row in rows_of(store, Execution)] == ["w1"]


def test_of_many_engines_one_executes_each_interval(store: Store) -> None:
    def report(worker: int) -> list[ExecutionRow]:
        batch = [an_execution("a", 60_000 * n, f"w{worker}") for n in range(300)]
        return record(store, batch, now_ms=7)

    with ThreadPoolExecutor(4) as pool:
        new = [row for rows in pool.map(report, range(4)) for row in rows]
    assert sorted(row.interval_ms for row in new) == [60_000 * n for n in range(300)]
    kept = {row["interval_ms"]: row["worker"] for row in rows_of(store, Execution)}
    assert kept == {row.interval_ms: row.worker for row in new}


def test_a_result_that_is_none_is_refused_and_nothing_written(store: Store) -> None:
    wrong = ExecutionRow("b", 60_000, "w1", 1, "sleepy")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(StoreError):
        record(store, [an_execution("a", 60_000), wrong], now_ms=7)
    assert rows_of(store, Execution) == []
