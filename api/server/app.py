"""Puts the application together."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from api.server.problems import add_problems
from api.server.routes import (
    accounts,
    alerts,
    backtests,
    definitions,
    exchange,
    files,
    fills,
    orders,
    portfolio,
    positions,
    sessions,
    strategies,
    strategy_history,
    stream,
)
from api.server.services import Services
from api.server.stream import Hub, StreamLimits

__all__ = ["PREFIX", "create_app"]

PREFIX = "/api/v1"

_DESCRIPTION = """
Strategies are made from definitions and trade with accounts. Whoever asks signs in with a key
(`X-API-Key`, or `Authorization: Bearer`) or a token, and sees and changes what it owns; admins see
and change everything. Refusals are problem documents (RFC 9457). Lists go on with `after`, changes
may be bound to a version with `If-Match`.
"""


def create_app(services: Services, *, streams: StreamLimits | None = None) -> FastAPI:
    """Return the application of one engine. Opens nothing; whoever calls closes the services.

    Args:
        services: What the routes work with.
        streams: How much of the event stream each client may have.
    """
    app = FastAPI(
        title="Chorus",
        version=version("chorus"),
        description=_DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.state.hub = Hub(streams or StreamLimits())
    add_problems(app)
    every = APIRouter(prefix=PREFIX)
    for room in (
        sessions,
        definitions,
        exchange,
        accounts,
        files,
        strategies,
        backtests,
        stream,
        strategy_history,
        orders,
        fills,
        positions,
        portfolio,
        alerts,
    ):
        every.include_router(room.router)
    app.include_router(every)
    return app
