"""Fills of strategies and subscriptions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from msgspec.structs import replace
from pydantic import ConfigDict
from pydantic.config import JsonDict

from api.server.listing import Amount, Listing, Moment, View, listed, renamed
from api.server.problems import responses
from api.server.routes.selecting import Account, Selecting, Side, Strategy, Symbol
from api.server.services import Asker, Offered
from engine.history import Selection

__all__ = ["FillView", "FillsChosen", "router"]

router = APIRouter(prefix="/fills", tags=["history"])

FillsChosen = Annotated[Selection, Depends(Selecting("-at", "at", symbol=Symbol, side=Side))]

_EXAMPLE: JsonDict = {
    "id": "9f2c|btc_dips|paper:BTC/USDT:15m|41|0#1",
    "runId": "9f2c",
    "orderId": "9f2c|btc_dips|paper:BTC/USDT:15m|41|0",
    "strategyId": "btc_dips",
    "accountId": "paper",
    "symbol": "BTC/USDT",
    "side": "buy",
    "role": "entry",
    "quantity": "0.015",
    "price": "64000.5",
    "fee": "0.384003",
    "feeCurrency": "USDT",
    "realized": None,
    "at": "2024-01-31T15:00:00.000Z",
}


class FillView(View):
    """A fill; `realized` is the profit before its fee, null where it only opens."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: str
    run_id: str
    order_id: str
    strategy_id: str
    account_id: str
    symbol: str
    side: str
    role: str
    quantity: Amount
    price: Amount
    fee: Amount
    fee_currency: str
    realized: Amount | None
    at: Moment = renamed("at_ms", "at")


@router.get("", response_model=Listing[FillView], responses=responses())
def list_fills(
    services: Offered,
    caller: Asker,
    selection: FillsChosen,
    strategy: Strategy = None,
    account: Account = None,
) -> Response:
    """Return the fills of one's strategies and subscriptions, the newest first."""
    chosen = replace(selection, strategy=strategy, account=account)
    return listed(FillView, services.history.fills(caller, chosen))
