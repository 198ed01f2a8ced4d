"""The audit log: who changed what."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.server.listing import After, Limit, Listing, Moment, View, moment
from api.server.problems import responses
from api.server.services import Asker, Offered

__all__ = ["router"]

router = APIRouter(prefix="/audit", tags=["audit"])


class ChangeShown(View):
    """A change somebody made."""

    id: int
    at: Moment = moment("at")
    user_id: str | None
    action: str
    kind: str
    object_id: str
    change: dict[str, Any]


@router.get("", responses=responses(HTTPStatus.FORBIDDEN))
def list_changes(
    services: Offered,
    caller: Asker,
    kind: Annotated[
        str | None, Query(max_length=64, description="Of such things, e.g. strategies")
    ] = None,
    object_id: Annotated[
        str | None, Query(alias="objectId", max_length=1000, description="Of this one")
    ] = None,
    user_id: Annotated[
        str | None, Query(alias="userId", max_length=64, description="By this user")
    ] = None,
    after: After = None,
    limit: Limit = 100,
) -> Listing[ChangeShown]:
    """Return what was changed, the newest first; for admins."""
    page = services.audit.page(
        caller, kind=kind, object_id=object_id, user_id=user_id, after=after, limit=limit
    )
    return Listing(items=[ChangeShown.of(row) for row in page.items], next=page.next)
