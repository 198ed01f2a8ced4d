"""Positions of strategies and subscriptions, with what they are worth."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.server.listing import After, Amount, Limit, Listing, Moment, View, listed, renamed
from api.server.problems import responses
from api.server.services import Asker, Offered
from engine.history import Selection

__all__ = ["PositionView", "router"]

router = APIRouter(prefix="/positions", tags=["history"])

_EXAMPLE: JsonDict = {
    "strategyId": "btc_dips",
    "accountId": "paper",
    "runId": "9f2c",
    "symbol": "BTC/USDT",
    "quantity": "0.015",
    "entryPrice": "64000.5",
    "cost": "960.0075",
    "realized": "-12.5",
    "mark": "64100",
    "unrealized": "1.4925",
    "updated": "2024-01-31T15:00:00.000Z",
}


class PositionView(View):
    """A position; `mark` and `unrealized` are null while the last price is not known."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    strategy_id: str
    account_id: str
    run_id: str
    symbol: str
    quantity: Amount = Field(description="Base currency; below zero when short")
    entry_price: Amount | None
    cost: Amount
    realized: Amount
    mark: Amount | None
    unrealized: Amount | None
    updated: Moment = renamed("updated_ms", "updated")


@router.get("", response_model=Listing[PositionView], responses=responses())
def list_positions(
    services: Offered,
    caller: Asker,
    strategy: Annotated[
        str | None, Query(max_length=64, description="Id of a strategy or a subscription")
    ] = None,
    account: Annotated[str | None, Query(max_length=64)] = None,
    symbol: Annotated[str | None, Query(max_length=64, examples=["BTC/USDT"])] = None,
    is_open: Annotated[bool | None, Query(alias="open", description="Only those that are")] = None,
    sort: Annotated[str, Query(description="updated or symbol; `-` reverses")] = "-updated",
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """Return the positions of one's strategies and subscriptions, also those that are flat."""
    selection = Selection(
        strategy=strategy, account=account, symbol=symbol, sort=sort, after=after, limit=limit
    )
    return listed(PositionView, services.history.positions(caller, selection, is_open=is_open))
