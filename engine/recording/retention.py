"""Retention: what is kept for some time only is deleted, a little at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
from sqlalchemy import CursorResult, Table, delete, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from engine.store import Execution, IdempotencyKey, LogLine, Signal, Store

__all__ = ["DAY_MS", "RULES", "Retention", "Rule"]

DAY_MS: Final = 86_400_000

_REST_S: Final = 0.05


class Rule(msgspec.Struct, frozen=True):
    """How long rows of a table are kept.

    Attributes:
        since: When a row came, milliseconds UTC; indexed.
        keep_ms: How long it is kept after that.
    """

    since: InstrumentedAttribute[Any]
    keep_ms: int


RULES: Final = (
    Rule(Signal.recorded_ms, 90 * DAY_MS),
    Rule(Execution.recorded_ms, 90 * DAY_MS),
    Rule(LogLine.at_ms, 7 * DAY_MS),
    Rule(IdempotencyKey.created_ms, DAY_MS),
)
"""What is always kept so long. Orders, fills and positions are kept for good."""


class Retention:
    """Deletes rows that are older than they are kept.

    Args:
        store: Of which.
        clock: Milliseconds UTC.
        rules: How long what is kept.
        at_once: Rows of one transaction: few, because others who write to SQLite wait for it.
        rest: Waits between two transactions, seconds: whoever waits to write has its turn.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        *,
        rules: tuple[Rule, ...] = RULES,
        at_once: int = 500,
        rest: Callable[[float], object] = time.sleep,
    ) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        self._at_once = at_once
        self._rest = rest

    def purge(self) -> dict[str, int]:
        """Delete what is too old. May take minutes; call it from a thread that may wait.

        Returns:
            How many rows of each table were deleted.

        Raises:
            StoreError: The store cannot be written; call it again, it goes on from there.
        """
        return {_table(rule).name: self._purge(rule) for rule in self._rules}

    def _purge(self, rule: Rule) -> int:
        table = _table(rule)
        key = tuple_(*table.primary_key)
        since = table.c[rule.since.key]
        old = (
            select(*table.primary_key)
            .where(since < self._clock() - rule.keep_ms)
            .order_by(since)
            .limit(self._at_once)
        )
        deleted = 0
        while True:
            with self._store.write() as session:
                result = session.execute(delete(table).where(key.in_(old)))
                count = cast("CursorResult[Any]", result).rowcount
            deleted += count
            if count < self._at_once:
                return deleted
            self._rest(_REST_S)


def _table(rule: Rule) -> Table:
    return cast("Table", rule.since.class_.__table__)
