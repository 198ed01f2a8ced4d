"""Puts the application together."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from api.server.problems import add_problems
from api.server.routes import accounts, definitions, sessions, strategies
from api.server.services import Services

__all__ = ["PREFIX", "create_app"]

PREFIX = "/api/v1"

_DESCRIPTION = """
Strategies are made from definitions and trade with accounts. Whoever asks signs in with a key
(`X-API-Key`, or `Authorization: Bearer`) or a token, and sees and changes what it owns; admins see
and change everything. Refusals are problem documents (RFC 9457). Lists go on with `after`, changes
may be bound to a version with `If-Match`.
"""


def create_app(services: Services) -> FastAPI:
    """Return the application of one engine. Opens nothing; whoever calls closes the services."""
    app = FastAPI(
        title="Chorus",
        version=version("chorus"),
        description=_DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    add_problems(app)
    every = APIRouter(prefix=PREFIX)
    for room in (sessions, definitions, accounts, strategies):
        every.include_router(room.router)
    app.include_router(every)
    return app
