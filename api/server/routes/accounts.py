"""Accounts: where strategies trade."""

from __future__ import annotations

from decimal import Decimal
from http import HTTPStatus
from typing import Literal, Self

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from api.server.listing import After, IfMatch, Limit, Listing, iso, tag
from api.server.problems import responses
from api.server.services import Asker, Offered
from engine.store import Account

__all__ = ["router"]

router = APIRouter(prefix="/accounts", tags=["accounts"])

_FORMS = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class NewAccount(BaseModel):
    """A paper account to be opened."""

    model_config = _FORMS

    name: str = Field(max_length=200, examples=["paper"])
    balances: dict[str, Decimal] = Field(max_length=100, examples=[{"USDT": "10000"}])


class AccountView(BaseModel):
    """An account; credentials are never shown."""

    model_config = _FORMS

    id: str
    owner_id: str
    name: str
    venue: str
    balances: dict[str, str]
    is_enabled: bool
    created: str
    version: int

    @classmethod
    def of(cls, row: Account) -> Self:
        """Return what is shown of a row."""
        return cls(
            id=row.id,
            owner_id=row.owner_id,
            name=row.name,
            venue=row.venue,
            balances=row.balances,
            is_enabled=row.is_enabled,
            created=iso(row.created_ms),
            version=row.version,
        )


_CHANGED = responses(
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.PRECONDITION_FAILED,
)


@router.get("", responses=responses())
def list_accounts(
    services: Offered, caller: Asker, after: After = None, limit: Limit = 100
) -> Listing[AccountView]:
    """Return the accounts one sees, the oldest first."""
    page = services.accounts.page(caller, after=after, limit=limit)
    return Listing(items=[AccountView.of(row) for row in page.items], next=page.next)


@router.post("", status_code=HTTPStatus.CREATED, responses=_CHANGED)
def open_account(
    body: NewAccount, services: Offered, caller: Asker, response: Response
) -> AccountView:
    """Open a paper account."""
    row = services.accounts.create(body.name, body.balances, caller)
    tag(response, row)
    return AccountView.of(row)


@router.get("/{account_id}", responses=responses(HTTPStatus.NOT_FOUND))
def get_account(
    account_id: str, services: Offered, caller: Asker, response: Response
) -> AccountView:
    """Return an account."""
    row = services.accounts.get(account_id, caller)
    tag(response, row)
    return AccountView.of(row)


@router.post("/{account_id}/{what}", responses=_CHANGED)
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
    tag(response, row)
    return AccountView.of(row)
