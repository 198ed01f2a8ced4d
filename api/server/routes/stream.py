"""What happens, as it happens: over a WebSocket, as server-sent events, and page by page."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, cast

from fastapi import APIRouter, Header, Query, Request, WebSocket
from pydantic import Field

from api.server.credentials import Credential
from api.server.listing import Form, Limit, iso
from api.server.problems import responses
from api.server.services import Asker, Offered, Services
from api.server.stream import EventStream, Hub, Wanted, serve_websocket
from engine.events import Event, Interest
from engine.users import AuthenticationError

__all__ = ["router"]

router = APIRouter(tags=["events"])

_FEW = 256

Topics = Annotated[
    list[str],
    Query(
        max_length=200,
        description="signals, orders, fills, metrics, status, alerts, logs, `candles:<stream>`; "
        "`*`: all",
        examples=[["fills", "candles:paper:BTC/USDT:1m"]],
    ),
]
Strategies = Annotated[
    list[str] | None,
    Query(max_length=1000, description="Of events about strategies only those about these"),
]
LastId = Annotated[
    str | None, Query(max_length=100, description="Id of the last event known; none: from now on")
]


class EventView(Form):
    """An event."""

    id: str
    topic: str
    strategy: str | None = Field(description="Id of the strategy it is about")
    at: str
    data: dict[str, Any]

    @classmethod
    def of(cls, event: Event) -> EventView:
        """Return what is shown of an event."""
        return cls(
            id=event.id,
            topic=event.topic,
            strategy=event.strategy_id or None,
            at=iso(event.at_ms),
            data=event.data,
        )


class EventPage(Form):
    """Some events."""

    items: list[EventView]
    next: str = Field(description="Go on from here, with `after` or on the stream")


def hub_of(connection: Request | WebSocket) -> Hub:
    """Return the hub of the application."""
    return cast("Hub", connection.app.state.hub)


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """Follow events over a WebSocket; docs/event-stream.md describes the messages."""
    services = cast("Services", socket.app.state.services)
    await serve_websocket(socket, services, hub_of(socket))


@router.get(
    "/events",
    response_class=EventStream,
    status_code=HTTPStatus.OK,  # the document takes it from here
    responses=responses(HTTPStatus.GONE, HTTPStatus.TOO_MANY_REQUESTS),
)
def follow_events(
    request: Request,
    services: Offered,
    caller: Asker,
    topics: Topics = ["*"],  # noqa: B006 - FastAPI copies it
    strategies: Strategies = None,
    after: LastId = None,
    last_event_id: Annotated[
        str | None, Header(max_length=100, description="As `after`, which it overrides")
    ] = None,
) -> EventStream:
    """Follow events as server-sent events.

    An event has the `data` of the WebSocket's messages. `event: lost` tells how many outdated
    candles, metrics and log lines a slow client did not get, `event: end` why the server ends the
    stream. Comments are heartbeats. It ends by itself after an hour; go on with `Last-Event-ID`.
    """
    credential = Credential.of(request.headers)
    if credential is None:
        raise AuthenticationError
    interest = _interest(caller, topics, strategies)
    wanted = Wanted(interest.topics, interest.strategies, last_event_id or after)
    return EventStream(services, hub_of(request), caller, credential, wanted)


@router.get("/events/recent", responses=responses(HTTPStatus.GONE))
def recent_events(
    services: Offered,
    caller: Asker,
    topics: Topics = ["*"],  # noqa: B006 - FastAPI copies it
    strategies: Strategies = None,
    after: LastId = None,
    limit: Limit = 100,
) -> EventPage:
    """Return events after an id, as many as are there; without an id none, but the id of now.

    Take the id of now, read the present state, then go on from the id: nothing is missed.
    """
    interest = _interest(caller, topics, strategies)
    subscriber = services.broadcaster.subscribe(interest, after=after)
    try:
        batch = subscriber.take(min(limit, _FEW))
        items = [EventView.of(event) for event in batch.events]
        return EventPage(items=items, next=subscriber.position)
    finally:
        services.broadcaster.unsubscribe(subscriber)


def _interest(caller: Asker, topics: list[str], strategies: list[str] | None) -> Interest:
    chosen = None if strategies is None else frozenset(_names(strategies))
    return Interest(caller=caller, topics=frozenset(_names(topics)), strategies=chosen)


def _names(given: list[str]) -> list[str]:
    """Return names that were given one by one, or several with commas between."""
    return [name for each in given for name in each.split(",") if name]
