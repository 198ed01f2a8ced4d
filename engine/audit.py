"""Who changed what: every service writes it down in the transaction of the change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.access import Caller
from engine.store import AuditEntry, Store
from engine.store.paging import Order, Page, take_page

__all__ = ["AuditLog", "Recorded", "record"]


class Recorded(Protocol):
    """A row that has an id of its own."""

    __tablename__: str

    @property
    def id(self) -> Any:
        """Return its id."""
        ...


def record(
    session: Session,
    caller: Caller,
    action: str,
    row: Recorded,
    *,
    change: Mapping[str, Any],
    at_ms: int,
) -> None:
    """Write down a change; it is kept if and only if the change is.

    Args:
        session: In the transaction of the change.
        caller: Who made it.
        action: ``create``, ``update``, ``delete``, ``start`` and so on.
        row: What was changed; it is on record by its table and id.
        change: What changed, as JSON; ``{"field": [before, after]}`` for fields. No secrets.
        at_ms: When, milliseconds UTC.
    """
    session.add(
        AuditEntry(
            at_ms=at_ms,
            user_id=caller.user_id,
            action=action,
            kind=row.__tablename__,
            object_id=row.id,
            change=dict(change),
        )
    )


class AuditLog:
    """Reads what was changed; admins only.

    Args:
        store: Where it is kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(
        self,
        caller: Caller,
        *,
        kind: str | None = None,
        object_id: str | None = None,
        user_id: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[AuditEntry]:
        """Return some changes, the newest first.

        Args:
            caller: Who asks.
            kind: Only of such things: the name of their table.
            object_id: Only of the one with this id.
            user_id: Only by this user.
            after: As for `take_page`.
            limit: As for `take_page`.

        Raises:
            ForbiddenError: The caller is no admin.
            ConfigError: As `take_page`.
        """
        caller.require("admin", "to read the audit log")
        query = select(AuditEntry)
        wanted = (
            (AuditEntry.kind, kind),
            (AuditEntry.object_id, object_id),
            (AuditEntry.user_id, user_id),
        )
        for column, value in wanted:
            if value is not None:
                query = query.where(column == value)
        order = [Order(AuditEntry.id, is_descending=True)]
        with self._store.read() as session:
            return take_page(session, query, order, after=after, limit=limit)
