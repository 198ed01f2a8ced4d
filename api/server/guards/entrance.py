"""The guard that finds out who asks, and counts."""

from __future__ import annotations

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.server.credentials import Credential
from api.server.guard_errors import TooManyError
from api.server.guards.doorkeeper import Doorkeeper, address_of
from api.server.guards.rates import Standing
from api.server.problems import refusal
from engine.access import Caller
from engine.errors import ChorusError
from engine.users import AuthenticationError

__all__ = ["Entrance"]


class Entrance:
    """Leaves in the state of a request who asks (``caller``; None: nobody who is let in).

    That nobody asks is for the route to refuse: some are for everybody. WebSockets say later who
    they are.

    Args:
        app: What comes behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        door: Doorkeeper = scope["app"].state.doorkeeper
        address, credential = address_of(scope), Credential.of(asked.headers)
        try:
            caller = await _caller(asked, credential, door, address)
        except ChorusError as error:
            await refusal(asked, error)(scope, receive, send)
            return
        # In a thread, since it may be counted in Redis.
        standing = await run_in_threadpool(door.count, caller, credential, address)
        if not standing.is_allowed:
            too_many = TooManyError(
                f"requests: there may be no more than {standing.limit} at a time",
                max(1, standing.reset_s),
            )
            await refusal(asked, too_many)(scope, receive, _told(send, standing))
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, _told(send, standing))


async def _caller(
    asked: HTTPConnection, credential: Credential | None, door: Doorkeeper, address: str
) -> Caller | None:
    if credential is None:
        return None
    try:
        return await door.admit(credential, asked.app.state.services.users, address)
    except AuthenticationError:
        return None


def _told(send: Send, standing: Standing) -> Send:
    """Return what tells every answer how its client stands."""

    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["RateLimit-Limit"] = str(standing.limit)
            headers["RateLimit-Remaining"] = str(standing.remaining)
            headers["RateLimit-Reset"] = str(standing.reset_s)
        await send(message)

    return telling
