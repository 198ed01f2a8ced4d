"""What one's accounts hold: money by currency, and open positions."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.server.listing import Amount, View
from api.server.problems import responses
from api.server.routes.positions import PositionView
from api.server.services import Asker, Offered
from engine.history import AccountHoldings

__all__ = ["router"]

router = APIRouter(prefix="/portfolio", tags=["history"])

_EXAMPLE: JsonDict = {
    "currency": "USDT",
    "start": "10000",
    "realized": "-12.5",
    "fees": "0.768006",
    "balance": "9986.731994",
    "unrealized": "1.4925",
    "equity": "9988.224494",
}


class CurrencyView(View):
    """One currency of an account; `unrealized` and `equity` are null without all last prices."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    currency: str
    start: Amount
    realized: Amount = Field(description="Profit of everything closed, before fees")
    fees: Amount
    balance: Amount = Field(description="start + realized - fees")
    unrealized: Amount | None
    equity: Amount | None


class AccountPortfolio(View):
    """An account with what it holds."""

    account_id: str
    name: str
    venue: str
    currencies: list[CurrencyView]
    positions: list[PositionView]

    @classmethod
    def made_of(cls, holdings: AccountHoldings) -> AccountPortfolio:
        """Return what is shown of an account."""
        account = holdings.account
        return cls(
            account_id=account.id,
            name=account.name,
            venue=account.venue,
            currencies=[CurrencyView.of(each) for each in holdings.currencies],
            positions=[PositionView.of(each) for each in holdings.positions],
        )


class Portfolio(View):
    """One's accounts, the oldest first."""

    accounts: list[AccountPortfolio]


@router.get("", responses=responses(HTTPStatus.NOT_FOUND))
def get_portfolio(
    services: Offered,
    caller: Asker,
    account: Annotated[str | None, Query(max_length=64, description="Only this one")] = None,
) -> Portfolio:
    """Return what one's accounts hold, whoever trades with them."""
    found = services.history.portfolio(caller, account=account)
    return Portfolio(accounts=[AccountPortfolio.made_of(each) for each in found])
