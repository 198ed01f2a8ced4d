"""Puts the application together."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from api.server.guards import Doorkeeper, Guards, layers_of
from api.server.guards.document import GuardedApi
from api.server.guards.rates import Rates
from api.server.metrics import Exposition, Metrics
from api.server.problems import add_problems
from api.server.routes import (
    accounts,
    alerts,
    audit,
    backtests,
    bots,
    definitions,
    exchange,
    files,
    fills,
    instances,
    keys,
    live,
    logs,
    orders,
    portfolio,
    positions,
    sessions,
    settings,
    strategies,
    strategy_history,
    stream,
    system,
    trading,
    users,
)
from api.server.services import Services
from api.server.stream import Hub, StreamLimits

__all__ = ["PREFIX", "create_app", "furnish"]

PREFIX = "/api/v1"

_DESCRIPTION = """
Strategies are made from definitions and trade with accounts. Whoever asks signs in with a key
(`X-API-Key`, or `Authorization: Bearer`) or a token, and sees and changes what it owns; admins see
and change everything. Refusals are problem documents (RFC 9457). Lists go on with `after`, changes
may be bound to a version with `If-Match`.
"""


def create_app(
    services: Services,
    *,
    guards: Guards | None = None,
    streams: StreamLimits | None = None,
    exposition: Exposition | None = None,
) -> FastAPI:
    """Return the application of one engine. Opens nothing; whoever calls closes the services.

    Args:
        services: What the routes work with.
        guards: Which hosts, origins, and how many requests are let through; by default only
            programs and pages of this machine.
        streams: How much of the event stream each client may have.
        exposition: What metrics are shown to whom; by default all to admins.
    """
    guards = guards or Guards()
    app = GuardedApi(
        title="Chorus",
        version=version("chorus"),
        description=_DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        middleware=layers_of(guards, private=PREFIX),
    )
    furnish(app, services, guards=guards, streams=streams, exposition=exposition)
    add_problems(app)
    rooms = (
        sessions,
        users,
        keys,
        definitions,
        exchange,
        accounts,
        bots,
        instances,
        files,
        live,
        logs,
        strategies,
        backtests,
        stream,
        trading,
        settings,
        audit,
        strategy_history,
        orders,
        fills,
        positions,
        portfolio,
        alerts,
        system,
    )
    for room in rooms:
        app.include_router(room.router, prefix=PREFIX)
    app.include_router(system.metrics_router)
    return app


def furnish(
    app: FastAPI,
    services: Services,
    *,
    guards: Guards,
    streams: StreamLimits | None = None,
    exposition: Exposition | None = None,
) -> None:
    """Give an application what its routes work with; arguments as for `create_app`."""
    door = Doorkeeper(Rates(guards.redis_url.get_secret_value()), guards.limits)
    hub = Hub(streams or StreamLimits(origins=guards.origins), admit=door.admit_socket)
    app.state.services = services
    app.state.doorkeeper = door
    app.state.hub = hub
    app.state.metrics = Metrics(lambda: services, lambda: len(hub), exposition or Exposition())
