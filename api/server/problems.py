"""Every refusal as a problem document (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import Match

from actors.services import ServiceAwayError
from api.server.guard_errors import (
    BodyTooLargeError,
    MediaTypeError,
    RequestError,
    TooManyError,
)
from api.server.stream_errors import (
    ClientMessageError,
    ClientMessageTooLargeError,
    ForeignOriginError,
    ServerStopsError,
    StuckClientError,
    TooManyStreamsError,
)
from engine.errors import (
    ChorusError,
    ConfigError,
    ConflictError,
    ForbiddenError,
    LifecycleError,
    NotFoundError,
    StaleError,
    StoreError,
)
from engine.events import (
    EventError,
    EventLogUnavailableError,
    EventsLostError,
    SlowSubscriberError,
)
from engine.users import AuthenticationError

__all__ = ["CHANGED", "Problem", "add_problems", "refusal", "responses", "status_of"]

MEDIA_TYPE: Final = "application/problem+json"

_STATUSES: Final[list[tuple[type[ChorusError], HTTPStatus, str]]] = [
    (AuthenticationError, HTTPStatus.UNAUTHORIZED, "Sign in first"),
    (ForbiddenError, HTTPStatus.FORBIDDEN, "You may not do that"),
    (NotFoundError, HTTPStatus.NOT_FOUND, "There is none"),
    (StaleError, HTTPStatus.PRECONDITION_FAILED, "It has changed meanwhile"),
    (ConflictError, HTTPStatus.CONFLICT, "It conflicts with what is there"),
    (LifecycleError, HTTPStatus.CONFLICT, "Not in its present state"),
    (ConfigError, HTTPStatus.UNPROCESSABLE_ENTITY, "It cannot be used as it is"),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE, "The store is away"),
    (ServiceAwayError, HTTPStatus.SERVICE_UNAVAILABLE, "The engine is away"),
    (EventError, HTTPStatus.UNPROCESSABLE_ENTITY, "There is no such event or topic"),
    (EventsLostError, HTTPStatus.GONE, "Not all events since are kept"),
    (EventLogUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE, "The event log is away"),
    (SlowSubscriberError, HTTPStatus.REQUEST_TIMEOUT, "Too slow"),
    (StuckClientError, HTTPStatus.REQUEST_TIMEOUT, "Too slow"),
    (TooManyStreamsError, HTTPStatus.TOO_MANY_REQUESTS, "Too many streams"),
    (ServerStopsError, HTTPStatus.SERVICE_UNAVAILABLE, "The server stops"),
    (ForeignOriginError, HTTPStatus.FORBIDDEN, "Not from this origin"),
    (ClientMessageError, HTTPStatus.BAD_REQUEST, "Not a message"),
    (ClientMessageTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The message is too large"),
    (RequestError, HTTPStatus.BAD_REQUEST, "Not a request for this server"),
    (BodyTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large"),
    (MediaTypeError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not JSON"),
    (TooManyError, HTTPStatus.TOO_MANY_REQUESTS, "Too often"),
]
"""The first that fits counts; any other is a defect of ours."""


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    path: str = Field(description="Where, with dots; empty for the whole", examples=["config.risk"])
    message: str


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldProblem] = []


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return how refusals are documented.

    Args:
        statuses: What a route may answer beside what every route may.
    """
    every = (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        *statuses,
    )
    return {
        int(status): {
            "description": status.phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted(every)
    }


CHANGED: Final = responses(
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.PRECONDITION_FAILED,
)
"""What whoever changes something may be answered."""


def status_of(error: ChorusError) -> tuple[HTTPStatus, str]:
    """Return the status and the title of a refusal; 500: it is a defect of ours."""
    for kind, status, title in _STATUSES:
        if isinstance(error, kind):
            return status, title
    return HTTPStatus.INTERNAL_SERVER_ERROR, "A defect of Chorus"


def refusal(asked: HTTPConnection, error: ChorusError) -> JSONResponse:
    """Return the problem document of a refusal."""
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, TooManyError) else None
    return _answer(asked, *status_of(error), str(error), _fields_of(error), headers=headers)


def add_problems(app: FastAPI) -> None:
    """Let an application answer every refusal with a problem document."""

    @app.exception_handler(ChorusError)
    async def refuse(request: Request, error: ChorusError) -> JSONResponse:
        if status_of(error)[0] is HTTPStatus.INTERNAL_SERVER_ERROR:
            raise error
        return refusal(request, error)

    @app.exception_handler(RequestValidationError)
    async def refuse_fields(request: Request, error: RequestValidationError) -> JSONResponse:
        fields = [
            FieldProblem(path=".".join(map(str, each["loc"])), message=each["msg"])
            for each in error.errors()
        ]
        detail = "; ".join(f"{field.path}: {field.message}" for field in fields)
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return _answer(request, status, "The request is not as it should be", detail, fields)

    @app.exception_handler(HTTPException)
    async def refuse_route(request: Request, error: HTTPException) -> JSONResponse:
        status, headers = HTTPStatus(error.status_code), error.headers
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"Allow": ", ".join(_methods_of(request))}
        return _answer(request, status, status.phrase, str(error.detail), [], headers=headers)


def _methods_of(request: Request) -> list[str]:
    """Return all methods of a path; the error knows those of one of its routes only."""
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


def _answer(
    request: HTTPConnection,
    status: HTTPStatus,
    title: str,
    detail: str,
    fields: list[FieldProblem],
    *,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    problem = Problem(
        title=title,
        status=status,
        detail=detail,
        instance=request.url.path,
        errors=fields,
    )
    own = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
    return JSONResponse(
        problem.model_dump(), status, media_type=MEDIA_TYPE, headers={**own, **(headers or {})}
    )


def _fields_of(error: ChorusError) -> list[FieldProblem]:
    """Return the fields a configuration error names, one per line: ``path: message``."""
    if not isinstance(error, ConfigError):
        return []
    lines = [line.partition(": ") for line in str(error).splitlines()]
    return [
        FieldProblem(path=path if rest and " " not in path else "", message=rest or path)
        for path, _, rest in lines
    ]
