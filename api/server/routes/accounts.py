"""Accounts: where strategies trade."""

from __future__ import annotations

from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from api.server.listing import After, Form, IfMatch, Limit, Listing, Moment, View, moment
from api.server.problems import CHANGED, responses
from api.server.services import Asker, Offered
from engine.credentials import MAX_LENGTH, MAX_NUMBER, NAME

__all__ = ["router"]

router = APIRouter(prefix="/accounts", tags=["accounts"])


class Limits(Form):
    """Limits on all that trade with an account together; fractions are of 1."""

    max_open_positions: int | None = Field(default=None, ge=1, le=1_000_000)
    max_gross_exposure: Decimal | None = Field(default=None, gt=0)
    max_daily_loss: Decimal | None = Field(default=None, gt=0, le=1, examples=["0.05"])
    max_drawdown: Decimal | None = Field(default=None, gt=0, le=1)


def _untold(given: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Refuse what is not usable without a word of it, not even the names."""
    try:
        return validate(given)
    except ValidationError:
        raise PydanticCustomError(
            "credentials",
            f"Needs an object of 1 to {MAX_NUMBER} texts of 1 to {MAX_LENGTH} characters, each "
            "under a name of letters, digits and '_'; what was given is not shown",
        ) from None


Credentials = Annotated[
    dict[
        Annotated[str, Field(pattern=NAME)],
        Annotated[SecretStr, Field(min_length=1, max_length=MAX_LENGTH)],
    ],
    Field(
        min_length=1,
        max_length=MAX_NUMBER,
        description="What the venue gave, by name; kept encrypted and never shown",
        examples=[{"apiKey": "...", "apiSecret": "..."}],
        json_schema_extra={"writeOnly": True, "additionalProperties": False},
    ),
    WrapValidator(_untold),
]


class NewCredentials(Form):
    """Credentials of a venue, instead of those before."""

    credentials: Credentials


class NewAccount(Form):
    """An account to be opened."""

    name: str = Field(max_length=200, examples=["paper"])
    venue: str = Field(
        default="paper",
        pattern="^[a-z0-9][a-z0-9_-]{0,31}$",
        description="Strategies and bots trade with paper accounts only",
    )
    credentials: Credentials | None = None
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
    has_credentials: bool
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
    """Open an account; strategies and bots trade with those of venue ``paper``."""
    row = services.accounts.create(
        body.name,
        body.balances,
        caller,
        limits=body.limits.model_dump(exclude_none=True),
        venue=body.venue,
        credentials=None if body.credentials is None else _revealed(body.credentials),
    )
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


@router.put("/{account_id}/credentials", responses=CHANGED)
def set_credentials(
    account_id: str,
    body: NewCredentials,
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> AccountView:
    """Keep credentials of an account's venue, encrypted, instead of those before."""
    row = services.accounts.set_credentials(
        account_id, _revealed(body.credentials), caller, if_version=version
    )
    return AccountView.of(row, response)


@router.delete("/{account_id}/credentials", responses=CHANGED)
def forget_credentials(
    account_id: str, services: Offered, caller: Asker, version: IfMatch, response: Response
) -> AccountView:
    """Keep an account's credentials no more."""
    row = services.accounts.forget_credentials(account_id, caller, if_version=version)
    return AccountView.of(row, response)


def _revealed(credentials: dict[str, SecretStr]) -> dict[str, str]:
    return {name: each.get_secret_value() for name, each in credentials.items()}
