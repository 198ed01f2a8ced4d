"""Who changed what: every service writes it down in the transaction of the change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from engine.access import Caller
from engine.store import AuditEntry

__all__ = ["record"]


def record(
    session: Session,
    caller: Caller,
    action: str,
    kind: str,
    object_id: str,
    *,
    change: Mapping[str, Any],
    at_ms: int,
) -> None:
    """Write down a change; it is kept if and only if the change is.

    Args:
        session: In the transaction of the change.
        caller: Who made it.
        action: ``create``, ``update``, ``delete``, ``start`` and so on.
        kind: Of what: the name of its table.
        object_id: Which.
        change: What changed, as JSON; ``{"field": [before, after]}`` for fields. No secrets.
        at_ms: When, milliseconds UTC.
    """
    session.add(
        AuditEntry(
            at_ms=at_ms,
            user_id=caller.user_id,
            action=action,
            kind=kind,
            object_id=object_id,
            change=dict(change),
        )
    )
