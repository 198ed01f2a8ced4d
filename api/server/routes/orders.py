"""Orders of strategies and subscriptions, as last heard of."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from msgspec.structs import replace
from pydantic import ConfigDict
from pydantic.config import JsonDict

from api.server.listing import Amount, Listing, Moment, View, listed, moment, renamed
from api.server.problems import responses
from api.server.routes.fills import FillView
from api.server.routes.selecting import Account, Selecting, Side, Strategy, Symbol
from api.server.services import Asker, Offered
from engine.history import Selection

__all__ = ["OrderView", "OrdersChosen", "router"]

router = APIRouter(prefix="/orders", tags=["history"])

_Status = Literal["open", "filled", "canceled", "rejected"]

OrdersChosen = Annotated[
    Selection,
    Depends(
        Selecting("-created", "created or updated", symbol=Symbol, side=Side, status=_Status | None)
    ),
]

_EXAMPLE: JsonDict = {
    "id": "9f2c|btc_dips|paper:BTC/USDT:15m|41|0",
    "runId": "9f2c",
    "strategyId": "btc_dips",
    "accountId": "paper",
    "signalId": "9f2c|btc_dips|paper:BTC/USDT:15m|41|0",
    "symbol": "BTC/USDT",
    "side": "buy",
    "type": "market",
    "role": "entry",
    "quantity": "0.015",
    "price": None,
    "trail": None,
    "filled": "0.015",
    "status": "filled",
    "reason": "",
    "created": "2024-01-31T15:00:00.000Z",
    "updated": "2024-01-31T15:00:00.000Z",
}


class OrderView(View):
    """An order; times are market time."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: str
    run_id: str
    strategy_id: str
    account_id: str
    signal_id: str
    symbol: str
    side: str
    type: str = renamed("kind", "type")
    role: str
    quantity: Amount
    price: Amount | None
    trail: Amount | None
    filled: Amount
    status: str
    reason: str
    created: Moment = moment("created")
    updated: Moment = moment("updated")


class OrderDetail(View):
    """An order with its fills, in the order they came."""

    order: OrderView
    fills: list[FillView]


@router.get("", response_model=Listing[OrderView], responses=responses())
def list_orders(
    services: Offered,
    caller: Asker,
    selection: OrdersChosen,
    strategy: Strategy = None,
    account: Account = None,
) -> Response:
    """Return the orders of one's strategies and subscriptions, the newest first."""
    chosen = replace(selection, strategy=strategy, account=account)
    return listed(OrderView, services.history.orders(caller, chosen))


# Ids hold the name of a stream, and with it a slash.
@router.get("/{order_id:path}", responses=responses(HTTPStatus.NOT_FOUND))
def get_order(order_id: str, services: Offered, caller: Asker) -> OrderDetail:
    """Return an order with its fills."""
    order, fills = services.history.order(order_id, caller)
    return OrderDetail(order=OrderView.of(order), fills=[FillView.of(fill) for fill in fills])
