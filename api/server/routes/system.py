"""How the service is: for load balancers, for Prometheus, and for whoever runs it."""

from __future__ import annotations

import ipaddress
import platform
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, Literal, cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from pydantic import Field

from api.server.listing import Form, Moment, View, moment
from api.server.metrics import Metrics
from api.server.problems import MEDIA_TYPE, responses
from api.server.services import Asker, Offered
from engine.access import Caller
from engine.users import AuthenticationError

__all__ = ["metrics_router", "router"]

router = APIRouter(prefix="/system", tags=["system"])
metrics_router = APIRouter(tags=["system"])


class Health(Form):
    """The server answers; nothing is said of the engine."""

    status: Literal["ok"] = "ok"


class CheckView(View):
    """One thing the service needs."""

    name: str
    ok: bool
    problem: str | None = Field(description="What is wrong with it; for admins only")


class Readiness(Form):
    """Whether the service can do its work."""

    ready: bool
    checks: list[CheckView]


class VersionView(Form):
    """What runs."""

    version: str
    api: str
    python: str


class UseView(View):
    """What processes use."""

    processes: int
    memory_bytes: int
    cpu_s: float


class ProcessView(View):
    """One process of the engine: a service of it, or a host (an actor with strategies)."""

    id: str
    kind: str
    state: str
    process: int
    strategies: int
    memory_bytes: int
    cpu_s: float
    restarts: int
    cause: str


class EngineShown(View):
    """The engine, as last heard."""

    published: int = Field(description="Last slice of the feed; -1 before the first")
    decided: int = Field(description="Last slice decided")
    is_feed_over: bool
    failure: str = Field(description="Why it cannot go on; empty while it does")
    processes: list[ProcessView]


class RecordingView(View):
    """How many lines of the ledger, or of executions, are on record."""

    recorded: int
    total: int
    lag: int
    error: str = Field(description="Why it does not go on; empty while it does")
    failures: int


class EventLogView(View):
    """How the event log is."""

    available: bool
    waiting: int
    dropped: dict[str, int]
    refused: dict[str, int]
    cause: str


class SystemShown(View):
    """Everything about the service itself."""

    version: str
    started: Moment = moment("started")
    uptime_s: float
    ready: bool
    checks: list[CheckView]
    engine: EngineShown | None
    engine_error: str = Field(description="Why it does not answer; empty while it does")
    candles: int = Field(description="Candles of the feed decided")
    total_candles: int = Field(description="Candles of the whole feed; 0 where unknown")
    strategies: int
    latency_ms: dict[str, float] = Field(description="From a candle to the decision on it")
    recording: RecordingView
    executions: RecordingView
    events: EventLogView
    stream_clients: int
    service: UseView
    children: UseView
    free_bytes: int = Field(description="Room where the data folder is")


@router.get("/health", responses=responses())
async def get_health() -> Health:
    """Tell that the server answers; for whoever starts it anew when it does not."""
    return Health()


_NOT_READY: Final[dict[int | str, dict[str, Any]]] = {
    HTTPStatus.SERVICE_UNAVAILABLE: {
        "model": Readiness,
        "description": "Not ready",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


@router.get("/ready", responses={**responses(), **_NOT_READY})
def get_ready(services: Offered, request: Request, response: Response) -> Readiness:
    """Tell whether the service can do its work: 200 if it can, 503 with what it lacks."""
    caller = cast("Caller | None", request.state.caller)
    readiness = _readiness(services, is_told=caller is not None and caller.is_admin)
    if not readiness.ready:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return readiness


@router.get("/version", responses=responses())
async def get_version(caller: Asker) -> VersionView:
    """Return what runs."""
    del caller
    return VersionView(version=version("chorus"), api="v1", python=platform.python_version())


@router.get("", responses=responses(HTTPStatus.FORBIDDEN))
def get_system(services: Offered, caller: Asker, request: Request) -> SystemShown:
    """Return everything about the service itself: processes, feed, recording; for admins."""
    caller.require("admin", "to look at the service")
    status, readiness = services.system.status(), _readiness(services, is_told=True)
    seen = services.engine.status()
    engine = None if status.engine is None else EngineShown.of(status.engine)
    return SystemShown(
        version=version("chorus"),
        started=status.started_ms,  # type: ignore[arg-type]  # shown as ISO 8601
        uptime_s=status.uptime_s,
        ready=readiness.ready,
        checks=readiness.checks,
        engine=engine,
        engine_error=status.engine_error,
        candles=0 if seen is None else seen.candles,
        total_candles=0 if seen is None else seen.total_candles,
        strategies=0 if seen is None else len(seen.strategies),
        latency_ms={} if seen is None else seen.latency_ms,
        recording=RecordingView.of(status.recording),
        executions=RecordingView.of(status.executions),
        events=EventLogView.of(status.events),
        stream_clients=len(request.app.state.hub),
        service=UseView.of(status.service),
        children=UseView.of(status.children),
        free_bytes=status.free_bytes,
    )


def _readiness(services: Offered, *, is_told: bool) -> Readiness:
    checks = services.system.checks()
    return Readiness(
        ready=not any(each.problem for each in checks),
        checks=[
            CheckView(
                name=each.name,
                ok=not each.problem,
                problem=(each.problem or None) if is_told else None,
            )
            for each in checks
        ],
    )


class _Text(PlainTextResponse):
    media_type = CONTENT_TYPE


@metrics_router.get("/metrics", response_class=_Text, responses=responses(HTTPStatus.FORBIDDEN))
def get_metrics(request: Request) -> Response:
    """Return all metrics for Prometheus; for admins, by default."""
    metrics: Metrics = request.app.state.metrics
    if not (metrics.exposition.is_open and _is_local(request)):
        caller = cast("Caller | None", request.state.caller)
        if caller is None:
            raise AuthenticationError
        caller.require("admin", "to read metrics")
    return _Text(metrics.text())


def _is_local(request: Request) -> bool:
    """Tell whether somebody on this machine asks; whoever comes through a proxy does, too."""
    try:
        return ipaddress.ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False
