"""Many rows at once, some of which may be there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from engine.store.base import Base

__all__ = ["insert_new", "tell_new", "upsert"]

Insert = postgresql.Insert | sqlite.Insert
Rows = Sequence[Mapping[str, Any]]


def insert_new(session: Session, model: type[Base], rows: Rows) -> None:
    """Write rows whose primary key is not there; the others stay as they are.

    Args:
        session: In a transaction that writes.
        model: Of which table.
        rows: By column; each has the same columns.
    """
    if rows:
        statement, keys = _insert(_dialect(session), model)
        session.execute(statement.on_conflict_do_nothing(index_elements=keys), list(rows))


def tell_new(session: Session, model: type[Base], rows: Rows) -> list[tuple[Any, ...]]:
    """Do as `insert_new`, and return the primary keys of the rows written, in any order.

    It costs more: the database answers for each row.
    """
    if not rows:
        return []
    statement, keys = _insert(_dialect(session), model)
    ignoring = statement.on_conflict_do_nothing(index_elements=keys)
    told = ignoring.returning(*(_table(model).c[key] for key in keys))
    return [tuple(row) for row in session.execute(told, list(rows))]


def upsert(session: Session, model: type[Base], rows: Rows) -> None:
    """Write rows; one whose primary key is there already is replaced.

    Args:
        session: In a transaction that writes.
        model: Of which table.
        rows: By column; each has all columns.
    """
    if rows:
        session.execute(_upsert(_dialect(session), model), list(rows))


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def _table(model: type[Base]) -> Table:
    return cast("Table", model.__table__)


def _insert(dialect: str, model: type[Base]) -> tuple[Insert, list[str]]:
    table = _table(model)
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table), [column.name for column in table.primary_key]


@cache
def _upsert(dialect: str, model: type[Base]) -> Insert:
    statement, keys = _insert(dialect, model)
    others = {
        column.name: statement.excluded[column.name]
        for column in _table(model).c
        if column.name not in keys
    }
    return statement.on_conflict_do_update(index_elements=keys, set_=others)
