"""Signing in."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import Field

from api.server.guards import Door, ShownOnce, address_of
from api.server.listing import Form
from api.server.problems import responses
from api.server.services import Asker, Offered

__all__ = ["router"]

router = APIRouter(tags=["sessions"])


class SignIn(Form):
    """Who signs in."""

    name: str = Field(max_length=200, examples=["ann"])
    password: str = Field(max_length=1000, examples=["correct horse battery staple"])


class Token(Form):
    """A token, accepted for 15 minutes."""

    token: str
    expires_in_s: int = 900


class Self(Form):
    """Who asks."""

    user_id: str | None
    role: str


@router.post("/sessions", responses=responses(), dependencies=[ShownOnce])
async def sign_in(body: SignIn, services: Offered, door: Door, request: Request) -> Token:
    """Exchange name and password for a token."""
    address = address_of(request.scope)
    caller = await door.sign_in(body.name, body.password, services.users, address)
    return Token(token=services.users.issue_token(caller))


@router.get("/me", responses=responses())
def who_am_i(caller: Asker) -> Self:
    """Return who asks."""
    return Self(user_id=caller.user_id, role=caller.role)
