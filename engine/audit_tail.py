"""The audit log as it grows: each entry once, whichever was committed first.

An entry gets its number when it is written, and is seen when its transaction is committed. Between
the two another transaction may write and commit: the higher number is seen first. So a number that
is missing below the newest one is waited for: either its transaction is still under way, or it was
rolled back, and nobody can tell which. SQLite has one writer at a time, and no number is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from sqlalchemy import func, or_, select

from engine.store import AuditEntry, Store, User

__all__ = ["AuditTail", "Told"]

_AT_ONCE: Final = 5_000
_PATIENCE_S: Final = 60.0
"""How long a number is waited for; whoever changes something is done within seconds."""

_MOST_MISSING: Final = 1_000
"""Numbers waited for: a sequence leaps by some dozens when its server has crashed."""


class Told(NamedTuple):
    """An entry, and the name of whoever made the change; None: Chorus itself."""

    entry: AuditEntry
    name: str | None


class AuditTail:
    """Reads what comes into the audit log from now on. Not for several threads.

    Args:
        store: Where it is kept.
        kind: Only changes of such things: the name of their table.
        monotonic: Seconds.
    """

    def __init__(
        self, store: Store, kind: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._kind = kind
        self._monotonic = monotonic
        self._missing: dict[int, float] = {}
        with store.read() as session:
            self._newest = session.scalar(select(func.max(AuditEntry.id))) or 0

    def take(self) -> list[Told]:
        """Return what was committed since, in the order of writing; some thousands at most.

        Raises:
            StoreError: The store cannot be read; the next call goes on from there.
        """
        now, before = self._monotonic(), self._newest
        awaited = [number for number, until in self._missing.items() if until > now]
        numbers = (
            select(AuditEntry.id)
            .where(
                AuditEntry.id >= min([before + 1, *awaited]),  # no need to look at all of it
                or_(AuditEntry.id > before, AuditEntry.id.in_(awaited)),
            )
            .order_by(AuditEntry.id)
            .limit(_AT_ONCE)
        )
        with self._store.read() as session:
            come = list(session.scalars(numbers))
            query = (
                select(AuditEntry, User.name)
                .outerjoin(User, User.id == AuditEntry.user_id)
                .where(AuditEntry.id.in_(come), AuditEntry.kind == self._kind)
                .order_by(AuditEntry.id)
            )
            told = [Told(*row) for row in session.execute(query)]
        self._newest = max([before, *come])
        missing = {*awaited, *range(max(before, self._newest - _AT_ONCE) + 1, self._newest)}
        missing.difference_update(come)
        self._missing = {
            number: self._missing.get(number, now + _PATIENCE_S)
            for number in sorted(missing)[-_MOST_MISSING:]
        }
        return told
