"""Deployed strategies: what is wanted of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.server.listing import After, Form, IfMatch, Limit, Listing, Moment, View, moment, renamed
from api.server.problems import CHANGED, responses
from api.server.services import Asker, Offered
from engine.deployments import NewStrategy
from engine.deployments.strategies import Desired

__all__ = ["router"]

router = APIRouter(prefix="/strategies", tags=["strategies"])

_WANTED: dict[str, Desired] = {
    "start": "running",
    "resume": "running",
    "pause": "paused",
    "stop": "stopped",
}


class StrategyForm(Form):
    """A strategy to be deployed."""

    id: str = Field(max_length=64, examples=["btc_dips"])
    definition: str = Field(max_length=64, description="Id of a definition")
    account: str = Field(max_length=64, description="Id of an account")
    config: dict[str, Any] = Field(
        default_factory=dict, examples=[{"symbol": "BTC/USDT", "timeframe": "15m"}]
    )
    desired: Literal["running", "paused", "stopped"] = "running"


class Parameters(Form):
    """Parameters to be changed."""

    parameters: dict[str, Any] = Field(min_length=1, examples=[{"floor": 25}])


class StrategyView(View):
    """A deployed strategy."""

    id: str
    owner_id: str
    definition_id: str | None
    definition_version: int | None = renamed("definition_number", "definitionVersion")
    account_id: str
    config: dict[str, Any]
    desired: str
    created: Moment = moment("created")
    updated: Moment = moment("updated")
    version: int


@router.get("", responses=responses())
def list_strategies(
    services: Offered,
    caller: Asker,
    after: After = None,
    limit: Limit = 100,
    sort: Annotated[str, Query(description="created, updated or id; `-` reverses")] = "created",
    desired: Literal["running", "paused", "stopped"] | None = None,
) -> Listing[StrategyView]:
    """Return the strategies one sees."""
    page = services.strategies.page(caller, sort=sort, after=after, limit=limit, desired=desired)
    return Listing(items=[StrategyView.of(row) for row in page.items], next=page.next)


@router.post("", status_code=HTTPStatus.CREATED, responses=CHANGED)
def create_strategy(
    body: StrategyForm, services: Offered, caller: Asker, response: Response
) -> StrategyView:
    """Deploy a strategy."""
    row = services.strategies.create(NewStrategy(**body.model_dump()), caller)
    return StrategyView.of(row, response)


@router.get("/{strategy_id}", responses=responses(HTTPStatus.NOT_FOUND))
def get_strategy(
    strategy_id: str, services: Offered, caller: Asker, response: Response
) -> StrategyView:
    """Return a strategy."""
    row = services.strategies.get(strategy_id, caller)
    return StrategyView.of(row, response)


@router.put("/{strategy_id}/settings", responses=CHANGED)
def change_parameters(
    strategy_id: str,
    body: Parameters,
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> StrategyView:
    """Change parameters; the strategy runs on."""
    row = services.strategies.set_parameters(
        strategy_id, body.parameters, caller, if_version=version
    )
    return StrategyView.of(row, response)


@router.put("/{strategy_id}/{what}", responses=CHANGED)
def want(
    strategy_id: str,
    what: Literal["start", "resume", "pause", "stop"],
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> StrategyView:
    """Want a strategy to run, to pause or to stop."""
    row = services.strategies.set_desired(strategy_id, _WANTED[what], caller, if_version=version)
    return StrategyView.of(row, response)


@router.delete("/{strategy_id}", responses=CHANGED)
def delete_strategy(
    strategy_id: str,
    services: Offered,
    caller: Asker,
    version: IfMatch,
    force: Annotated[bool, Query(description="Also if others follow it")] = False,
) -> StrategyView:
    """Take a strategy away; what it traded stays on record."""
    row = services.strategies.delete(strategy_id, caller, is_forced=force, if_version=version)
    return StrategyView.of(row)
