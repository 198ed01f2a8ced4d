"""Bots: accounts that follow a strategy with capital and limits of their own."""

from __future__ import annotations

from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.server.listing import (
    After,
    Amount,
    Form,
    IfMatch,
    Limit,
    Listing,
    Moment,
    View,
    listed,
    moment,
)
from api.server.problems import CHANGED, responses
from api.server.services import Asker, Offered
from engine.config import RiskConfig
from engine.deployments.bots import NewSubscription, Status, SubscriptionChange

__all__ = ["router"]

router = APIRouter(tags=["bots"])

_STATUSES: dict[str, Status] = {"pause": "paused", "resume": "active"}
_CAPITAL = "What it may use, in the strategy's quote currency; promised to it alone"
_LEVERAGE = "At most, from 1 to 125"
_RISK = "Its own limits; the strategy's do not apply to it"


class NewBot(Form):
    """An account that is to follow a strategy."""

    strategy: str = Field(max_length=64, description="Id of one's own strategy or a public one")
    account: str = Field(max_length=64, description="Id of an account")
    capital: Decimal = Field(description=_CAPITAL, examples=["250"])
    leverage: Decimal = Field(default=Decimal(1), description=_LEVERAGE)
    risk: RiskConfig = Field(default=RiskConfig(), description=_RISK)


class BotChange(Form):
    """What is to be different; what is left out stays as it is."""

    capital: Decimal | None = Field(default=None, description=_CAPITAL)
    leverage: Decimal | None = Field(default=None, description=_LEVERAGE)
    risk: RiskConfig | None = Field(default=None, description="Replaces all its limits")


class BotView(View):
    """A bot."""

    id: str
    owner_id: str
    strategy_id: str
    strategy_status: str = Field(
        description="What the strategy's owner wants of it: running, paused, stopped; or deleted"
    )
    account_id: str
    capital: Amount
    leverage: Amount
    risk: dict[str, Any]
    status: str = Field(description="active or paused")
    created: Moment = moment("created")
    version: int


class FollowersView(View):
    """How many follow a strategy."""

    active: int
    paused: int


@router.get("/bots", responses=responses(), response_model=Listing[BotView])
def list_bots(
    services: Offered,
    caller: Asker,
    after: After = None,
    limit: Limit = 100,
    strategy: Annotated[str | None, Query(max_length=64, description="Only those of one")] = None,
    status: Literal["active", "paused"] | None = None,
) -> Response:
    """Return the bots one sees, the oldest first."""
    page = services.subscriptions.page(
        caller, strategy=strategy, status=status, after=after, limit=limit
    )
    return listed(BotView, page)


@router.post("/bots", status_code=HTTPStatus.CREATED, responses=CHANGED)
def create_bot(body: NewBot, services: Offered, caller: Asker, response: Response) -> BotView:
    """Follow a strategy with an account."""
    new = NewSubscription(
        strategy=body.strategy,
        account=body.account,
        capital=body.capital,
        leverage=body.leverage,
        risk=body.risk,
    )
    return BotView.of(services.subscriptions.create(new, caller), response)


@router.get("/bots/{bot_id}", responses=responses(HTTPStatus.NOT_FOUND))
def get_bot(bot_id: str, services: Offered, caller: Asker, response: Response) -> BotView:
    """Return a bot."""
    return BotView.of(services.subscriptions.get(bot_id, caller), response)


@router.patch("/bots/{bot_id}", responses=CHANGED)
def change_bot(
    bot_id: str,
    body: BotChange,
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> BotView:
    """Give a bot other capital, leverage or limits."""
    change = SubscriptionChange(capital=body.capital, leverage=body.leverage, risk=body.risk)
    bot = services.subscriptions.change(bot_id, change, caller, if_version=version)
    return BotView.of(bot, response)


@router.put("/bots/{bot_id}/{what}", responses=CHANGED)
def set_bot_status(
    bot_id: str,
    what: Literal["pause", "resume"],
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> BotView:
    """Let a bot pause, or follow again."""
    bot = services.subscriptions.set_status(bot_id, _STATUSES[what], caller, if_version=version)
    return BotView.of(bot, response)


@router.delete("/bots/{bot_id}", responses=CHANGED)
def delete_bot(bot_id: str, services: Offered, caller: Asker, version: IfMatch) -> BotView:
    """Follow no more; what the bot traded stays on record."""
    return BotView.of(services.subscriptions.delete(bot_id, caller, if_version=version))


@router.get("/strategies/{strategy_id}/followers", responses=responses(HTTPStatus.NOT_FOUND))
def count_followers(strategy_id: str, services: Offered, caller: Asker) -> FollowersView:
    """Return how many follow a strategy of one's own, not who."""
    return FollowersView.of(services.subscriptions.followers(strategy_id, caller))
