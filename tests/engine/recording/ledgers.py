"""Ledgers of real order managers, and what a store holds of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from sqlalchemy import Table, select

from engine.events import MemoryEventLog
from engine.recording import Owner, Recorder
from engine.recording.owners import Whose
from engine.store import Execution, Fill, Order, Position, Signal, Store
from engine.trading import OrderManager
from tests.engine.trading.conftest import Scene
from tests.engine.trading.test_accounting import NAMES, build, drive

__all__ = [
    "NAMES",
    "OWNERS",
    "a_ledger",
    "a_recorder",
    "an_event_log",
    "contents",
    "record_all",
    "rows_of",
]

OWNERS = {name: Owner(name, f"u-{name}", f"account-{name}") for name in NAMES}
MODELS = (Signal, Order, Fill, Position, Execution)


def a_ledger(policy: str, seed: int) -> tuple[list[bytes], OrderManager]:
    """Return the ledger of a random run, and the order manager that wrote it."""
    lines: list[bytes] = []
    stage = build(Scene, policy, seed, sink=lines, leverages=(1, 3, 1))
    drive(stage, seed)
    return lines, stage.manager


def an_event_log() -> MemoryEventLog:
    return MemoryEventLog(now_ms=lambda: 1)


_runs = count(1)


def a_recorder(
    store: Store,
    *,
    run_id: str = "",
    event_log: Any = None,
    whose: Whose = OWNERS.get,
    clock: Any = lambda: 7,
    engine: str = "chorus",
) -> Recorder:
    """Return a recorder; of a run of its own unless it is given one."""
    return Recorder(
        store,
        an_event_log() if event_log is None else event_log,
        whose,
        clock,
        run_id=run_id or f"run-{next(_runs)}",
        engine=engine,
    )


def record_all(recorder: Recorder, lines: Sequence[bytes]) -> int:
    return recorder.apply(recorder.position(), lines)


def rows_of(store: Store, model: Any) -> list[dict[str, Any]]:
    """Return all rows of a table, sorted by primary key."""
    table: Table = model.__table__
    with store.read() as session:
        query = select(table).order_by(*table.primary_key)
        return [dict(row) for row in session.execute(query).mappings()]


def contents(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Return all rows that come from ledgers."""
    return {model.__tablename__: rows_of(store, model) for model in MODELS}
