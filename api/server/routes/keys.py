"""Keys: what programs sign in with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from api.server.guards import Door, ShownOnce
from api.server.listing import After, Form, Limit, Listing, Moment, View, moment
from api.server.problems import CHANGED, responses
from api.server.services import Asker, Offered
from engine.access import Caller
from engine.errors import ForbiddenError

__all__ = ["router"]

router = APIRouter(prefix="/keys", tags=["keys"])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NewKey(Form):
    """A key to be made."""

    name: str = Field(max_length=64, description="What for", examples=["laptop"])
    expires: AwareDatetime | None = Field(
        default=None,
        description="When it ends to be accepted; left out: never",
        examples=["2030-01-01T00:00:00Z"],
    )
    user_id: str | None = Field(
        default=None, max_length=64, description="Whose, for admins; left out: one's own"
    )


class FullKey(Form):
    """A key that has just been made; it is never shown again."""

    id: str
    key: str


class KeyShown(View):
    """A key, without its secret part."""

    id: str
    user_id: str
    name: str
    created: Moment = moment("created")
    expires: Moment | None = moment("expires")
    used: Moment | None = moment("used")
    revoked: Moment | None = moment("revoked")


@router.get("", responses=responses(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND))
def list_keys(
    services: Offered,
    caller: Asker,
    user_id: Annotated[
        str | None, Query(alias="userId", max_length=64, description="For admins; none: one's own")
    ] = None,
    after: After = None,
    limit: Limit = 100,
) -> Listing[KeyShown]:
    """Return a user's keys, the oldest first, also those that are over."""
    page = services.users.keys.page(_whose(user_id, caller), caller, after=after, limit=limit)
    return Listing(items=[KeyShown.of(row) for row in page.items], next=page.next)


@router.post("", status_code=HTTPStatus.CREATED, responses=CHANGED, dependencies=[ShownOnce])
async def create_key(body: NewKey, services: Offered, caller: Asker, door: Door) -> FullKey:
    """Make a key. It is shown this once, also where the request is repeated."""
    whose = _whose(body.user_id, caller)
    expires_ms = None
    if body.expires is not None:
        expires_ms = (body.expires - _EPOCH) // timedelta(milliseconds=1)
    text = await door.hash(
        lambda: services.users.keys.create(whose, body.name, caller, expires_ms=expires_ms)
    )
    return FullKey(id=text.split("_")[1], key=text)


@router.delete("/{key_id}", responses=responses(HTTPStatus.NOT_FOUND))
def revoke_key(key_id: str, services: Offered, caller: Asker) -> KeyShown:
    """Take a key back for good; it is refused from now on."""
    return KeyShown.of(services.users.keys.revoke(key_id, caller))


def _whose(user_id: str | None, caller: Caller) -> str:
    whose = caller.user_id if user_id is None else user_id
    if whose is None:
        raise ForbiddenError("keys: belong to users, not to Chorus itself")
    return whose
