"""The tables of the recorder, read and written a batch at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, TypeVar, cast

from sqlalchemy import Table, delete, select, tuple_, update
from sqlalchemy.orm import Session

from engine.recording.batch import Batch, PositionKey
from engine.recording.rows import Row
from engine.store import Fill, Order, Position, Recording, Signal
from engine.store.upserts import insert_new, upsert

__all__ = ["clear_run", "leave_other_runs", "load_orders", "load_positions", "write"]

T = TypeVar("T")

_AT_ONCE: Final = 500
"""Values in one query; SQLite takes 32,766, PostgreSQL is slow to plan with many."""

_RUN_ENDED: Final = "the run it was placed in was left for another one"


def load_orders(session: Session, ids: Collection[str]) -> dict[str, Row]:
    """Return those of these orders that are on record, by id."""
    table = cast("Table", Order.__table__)
    found: dict[str, Row] = {}
    for some in _chunks(sorted(ids)):
        for row in session.execute(select(table).where(table.c.id.in_(some))).mappings():
            found[row["id"]] = dict(row)
    return found


def load_positions(session: Session, keys: Collection[PositionKey]) -> dict[PositionKey, Row]:
    """Return those of these positions that are on record."""
    table = cast("Table", Position.__table__)
    key = tuple_(table.c.strategy_id, table.c.account_id, table.c.symbol)
    found: dict[PositionKey, Row] = {}
    for some in _chunks(sorted(keys)):
        for row in session.execute(select(table).where(key.in_(some))).mappings():
            found[row["strategy_id"], row["account_id"], row["symbol"]] = dict(row)
    return found


def write(session: Session, batch: Batch) -> None:
    """Write all that a batch has changed."""
    insert_new(session, Signal, batch.signals)
    upsert(session, Order, list(batch.orders.values()))
    insert_new(session, Fill, batch.fills)  # they refer to orders
    upsert(session, Position, list(batch.positions.values()))


def leave_other_runs(session: Session, engine: str, run_id: str) -> None:
    """End what other runs of an engine have left open: nobody trades it any more.

    What they traded stays. Their lines do not count as recorded any longer: should an engine go
    back to one of them, its ledger is recorded anew.
    """
    query = select(Recording.run_id).where(
        Recording.engine == engine, Recording.run_id != run_id, Recording.lines > 0
    )
    others = list(session.scalars(query))
    if others:
        session.execute(delete(Position).where(Position.run_id.in_(others)))
        is_open = Order.run_id.in_(others), Order.status == "open"
        session.execute(update(Order).where(*is_open).values(status="canceled", reason=_RUN_ENDED))
        session.execute(update(Recording).where(Recording.run_id.in_(others)).values(lines=0))


def clear_run(session: Session, run_id: str) -> None:
    """Delete the rows of a run whose ledger is about to be recorded from its beginning."""
    for model in (Fill, Order, Signal, Position):
        session.execute(delete(model).where(model.run_id == run_id))


def _chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
