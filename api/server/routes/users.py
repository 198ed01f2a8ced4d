"""Users: who they are and what they may do."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import Field

from api.server.guards import Door
from api.server.listing import After, Form, IfMatch, Limit, Listing, Moment, View, moment
from api.server.problems import CHANGED, responses
from api.server.services import Asker, Offered
from engine.access import Role
from engine.errors import ForbiddenError

__all__ = ["router"]

router = APIRouter(prefix="/users", tags=["users"])


class NewUser(Form):
    """A user to be made."""

    name: str = Field(max_length=64, examples=["ann"])
    role: Role = Field(examples=["trader"])
    password: str | None = Field(
        default=None, max_length=1024, description="None: it signs in only by key"
    )


class NewRole(Form):
    """What a user may do from now on."""

    role: Role


class NewPassword(Form):
    """A user's next password."""

    password: str = Field(max_length=1024, examples=["correct horse battery staple"])


class OwnPassword(NewPassword):
    """One's own next password, and the present one."""

    present: str | None = Field(
        default=None, max_length=1024, description="Left out only where there is none yet"
    )


class UserShown(View):
    """A user; passwords are never shown."""

    id: str
    name: str
    role: Role
    is_disabled: bool
    has_password: bool
    created: Moment = moment("created")
    version: int


@router.get("", responses=responses())
def list_users(
    services: Offered, caller: Asker, after: After = None, limit: Limit = 100
) -> Listing[UserShown]:
    """Return the users one sees, the oldest first: all for admins, oneself for others."""
    page = services.users.page(caller, after=after, limit=limit)
    return Listing(items=[UserShown.of(row) for row in page.items], next=page.next)


@router.post("", status_code=HTTPStatus.CREATED, responses=CHANGED)
async def create_user(
    body: NewUser, services: Offered, caller: Asker, door: Door, response: Response
) -> UserShown:
    """Make a user; for admins."""
    row = await door.hash(
        lambda: services.users.create(body.name, body.role, caller, password=body.password)
    )
    return UserShown.of(row, response)


@router.put("/me/password", responses=CHANGED)
async def change_own_password(
    body: OwnPassword,
    services: Offered,
    caller: Asker,
    door: Door,
    version: IfMatch,
    response: Response,
) -> UserShown:
    """Change one's own password; it takes the present one."""
    user_id = caller.user_id
    if user_id is None:
        raise ForbiddenError("password: users have one, Chorus itself has none")
    row = await door.confirm(
        lambda: services.users.set_password(
            user_id, body.password, caller, present=body.present, if_version=version
        ),
        caller,
    )
    return UserShown.of(row, response)


@router.get("/{user_id}", responses=responses(HTTPStatus.NOT_FOUND))
def get_user(user_id: str, services: Offered, caller: Asker, response: Response) -> UserShown:
    """Return a user."""
    return UserShown.of(services.users.get(user_id, caller), response)


@router.put("/{user_id}/role", responses=CHANGED)
def change_role(
    user_id: str,
    body: NewRole,
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> UserShown:
    """Change what a user may do, at once, also by the keys and tokens it has; for admins."""
    row = services.users.set_role(user_id, body.role, caller, if_version=version)
    return UserShown.of(row, response)


@router.put("/{user_id}/password", responses=CHANGED)
async def set_password(
    user_id: str,
    body: NewPassword,
    services: Offered,
    caller: Asker,
    door: Door,
    version: IfMatch,
    response: Response,
) -> UserShown:
    """Give another user a password; for admins. One's own: `/users/me/password`."""
    caller.require("admin", "to set the passwords of others")
    row = await door.hash(
        lambda: services.users.set_password(user_id, body.password, caller, if_version=version)
    )
    return UserShown.of(row, response)


@router.post("/{user_id}/{what}", responses=CHANGED)
def enable_user(
    user_id: str,
    what: Literal["enable", "disable"],
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> UserShown:
    """Let a user in again, or no more: password, keys and tokens, at once; for admins.

    Users are not deleted: what they did stays on record.
    """
    row = services.users.enable(user_id, caller, is_enabled=what == "enable", if_version=version)
    return UserShown.of(row, response)
