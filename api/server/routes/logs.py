"""What a strategy's code says, and what is said of it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.server.listing import (
    After,
    From,
    Limit,
    Listing,
    Moment,
    To,
    View,
    listed,
    renamed,
)
from api.server.problems import responses
from api.server.services import Asker, Offered
from engine.logs import Level, Source

__all__ = ["router"]

router = APIRouter(prefix="/strategies/{strategy_id}", tags=["strategies"])

_EXAMPLE: JsonDict = {
    "id": 41,
    "at": "2024-01-31T15:00:00.250Z",
    "level": "warning",
    "source": "engine",
    "text": "BUY BTC/USDT was refused: capital: needs 120 USDT, 100 are free",
    "candle": None,
}


class LogLineView(View):
    """A line of a strategy's log."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: int
    at: Moment = renamed("at_ms", "at")
    level: str
    source: str = Field(description="strategy: its code; engine; or operator: who changed it")
    text: str
    candle: Moment | None = Field(
        validation_alias="candle_ms",
        serialization_alias="candle",
        description="Close of the candle its code was at; null: none, or not said by its code",
    )


@router.get("/logs", response_model=Listing[LogLineView], responses=responses(HTTPStatus.NOT_FOUND))
def list_logs(
    strategy_id: str,
    services: Offered,
    caller: Asker,
    level: Annotated[Level | None, Query(description="This one and what is worse")] = None,
    source: Source | None = None,
    since: From = None,
    until: To = None,
    sort: Annotated[
        str,
        Query(description="`-id`: the newest first; `id`: the oldest first", pattern="^-?id$"),
    ] = "-id",
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """Return lines of a strategy's log; the newest 10,000 of the last 7 days are kept."""
    page = services.logs.page(
        strategy_id,
        caller,
        level=level,
        source=source,
        since_ms=since,
        until_ms=until,
        is_reversed=sort == "id",
        after=after,
        limit=limit,
    )
    return listed(LogLineView, page)
