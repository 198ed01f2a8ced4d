"""Who changed what: every service writes it down in the transaction of the change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy.orm import Session

from engine.access import Caller
from engine.store import AuditEntry

__all__ = ["Recorded", "record"]


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
