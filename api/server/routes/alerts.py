"""Alerts: what somebody should look at."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import ConfigDict
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
    moment,
    renamed,
)
from api.server.problems import responses
from api.server.services import Asker, Offered
from engine.alerts import Level

__all__ = ["router"]

router = APIRouter(prefix="/alerts", tags=["alerts"])

_EXAMPLE: JsonDict = {
    "id": 7,
    "at": "2024-01-31T15:00:00.000Z",
    "level": "error",
    "strategyId": "btc_dips",
    "ownerId": "5f0c7a1b2d3e4f60",
    "title": "strategy ended in error",
    "text": "strategy 'btc_dips': raised three times in a row; look at its cause, restart it",
    "acknowledged": None,
    "acknowledgedBy": None,
}


class AlertView(View):
    """An alert; it is open until somebody acknowledges it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: int
    at: Moment = renamed("at_ms", "at")
    level: str
    strategy_id: str | None
    owner_id: str | None
    title: str
    text: str
    acknowledged: Moment | None = moment("acknowledged")
    acknowledged_by: str | None


@router.get("", response_model=Listing[AlertView], responses=responses())
def list_alerts(
    services: Offered,
    caller: Asker,
    level: Level | None = None,
    strategy: Annotated[str | None, Query(max_length=64)] = None,
    is_open: Annotated[
        bool | None, Query(alias="open", description="Only those nobody has acknowledged")
    ] = None,
    since: From = None,
    until: To = None,
    sort: Annotated[str, Query(description="at; `-` reverses")] = "-at",
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """Return the alerts one sees, the newest first."""
    page = services.alerts.page(
        caller,
        level=level,
        strategy=strategy,
        is_open=is_open,
        since_ms=since,
        until_ms=until,
        sort=sort,
        after=after,
        limit=limit,
    )
    return listed(AlertView, page)


@router.post(
    "/{alert_id}/acknowledge", responses=responses(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
)
def acknowledge_alert(
    alert_id: Annotated[int, Path(ge=1, lt=2**63)], services: Offered, caller: Asker
) -> AlertView:
    """Say that one has looked at an alert; saying so again changes nothing."""
    return AlertView.of(services.alerts.acknowledge(alert_id, caller))
