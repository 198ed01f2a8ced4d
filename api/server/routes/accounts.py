"""Accounts: where strategies trade."""

from __future__ import annotations

from decimal import Decimal
from http import HTTPStatus
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from api.server.listing import After, Form, IfMatch, Limit, Listing, Moment, View, moment
from api.server.problems import CHANGED, responses
from api.server.services import Asker, Offered

__all__ = ["router"]

router = APIRouter(prefix="/accounts", tags=["accounts"])


class Limits(Form):
    """Limits on all that trade with an account together; fractions are of 1."""

    max_open_positions: int | None = Field(default=None, ge=1, le=1_000_000)
    max_gross_exposure: Decimal | None = Field(default=None, gt=0)
    max_daily_loss: Decimal | None = Field(default=None, gt=0, le=1, examples=["0.05"])
    max_drawdown: Decimal | None = Field(default=None, gt=0, le=1)


class NewAccount(Form):
    """A paper account to be opened."""

    name: str = Field(max_length=200, examples=["paper"])
    balances: dict[str, Decimal] = Field(max_length=100, examples=[{"USDT": "10000"}])
    limits: Limits = Limits()


class AccountView(View):
    """An account; credentials are never shown."""

    id: str
    owner_id: str
    name: str
    venue: str
    balances: dict[str, str]
    limits: dict[str, Any]
    is_enabled: bool
    created: Moment = moment("created")
    version: int


@router.get("", responses=responses())
def list_accounts(
    services: Offered, caller: Asker, after: After = None, limit: Limit = 100
) -> Listing[AccountView]:
    """Return the accounts one sees, the oldest first."""
    page = services.accounts.page(caller, after=after, limit=limit)
    return Listing(items=[AccountView.of(row) for row in page.items], next=page.next)


@router.post("", status_code=HTTPStatus.CREATED, responses=CHANGED)
def open_account(
    body: NewAccount, services: Offered, caller: Asker, response: Response
) -> AccountView:
    """Open a paper account."""
    limits = body.limits.model_dump(exclude_none=True)
    row = services.accounts.create(body.name, body.balances, caller, limits=limits)
    return AccountView.of(row, response)


@router.get("/{account_id}", responses=responses(HTTPStatus.NOT_FOUND))
def get_account(
    account_id: str, services: Offered, caller: Asker, response: Response
) -> AccountView:
    """Return an account."""
    row = services.accounts.get(account_id, caller)
    return AccountView.of(row, response)


@router.post("/{account_id}/{what}", responses=CHANGED)
def enable_account(
    account_id: str,
    what: Literal["enable", "disable"],
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> AccountView:
    """Let new strategies trade with an account, or no more."""
    row = services.accounts.enable(
        account_id, caller, is_enabled=what == "enable", if_version=version
    )
    return AccountView.of(row, response)
