"""Deployed strategies: what is wanted of them, and how they are."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator, Field

from api.server.engine import EngineView
from api.server.listing import (
    After,
    Form,
    IfMatch,
    Limit,
    Listing,
    Moment,
    View,
    listed,
    moment,
    renamed,
)
from api.server.problems import CHANGED, responses
from api.server.services import Asker, Offered
from engine.deployments import NewStrategy
from engine.deployments.strategies import Desired
from engine.store import Strategy
from engine.store.paging import Page

__all__ = ["router"]

router = APIRouter(prefix="/strategies", tags=["strategies"])

_WANTED: dict[str, Desired] = {
    "activate": "running",
    "resume": "running",
    "pause": "paused",
    "deactivate": "stopped",
}

_STATE = {
    "status": "running",
    "cause": "",
    "position": 0.05,
    "pnl": 12.5,
    "returnPct": 0.125,
    "trades": 7,
    "openOrders": 1,
    "lastSignal": "BUY @ 1704068940000",
    "candles": 1440,
    "lag": 0,
    "errors": 0,
}


class NewStrategyForm(Form):
    """A strategy to be deployed."""

    id: str = Field(max_length=64, examples=["btc_dips"])
    definition: str = Field(max_length=64, description="Id of a definition")
    account: str = Field(max_length=64, description="Id of an account")
    config: dict[str, Any] = Field(
        default_factory=dict,
        description="Fields of its configuration, over the definition's defaults",
        examples=[{"symbol": "BTC/USDT", "timeframe": "15m"}],
    )


class Change(Form):
    """What is to be different; what is left out stays as it is."""

    config: dict[str, Any] | None = Field(
        default=None,
        description="Fields of its configuration; it is started afresh with them",
        examples=[{"risk": {"stopLoss": 0.02}}],
    )
    visibility: Literal["private", "public"] | None = Field(
        default=None, description="public: others may follow it"
    )


class Parameters(Form):
    """Parameters to be changed while it runs."""

    parameters: dict[str, Any] = Field(min_length=1, examples=[{"floor": 25}])


class StrategyView(View):
    """A deployed strategy."""

    id: str
    owner_id: str
    definition_id: str | None
    definition_version: int | None = renamed("definition_number", "definitionVersion")
    account_id: str
    config: dict[str, Any]
    desired: str = Field(description="What its owner wants: running, paused or stopped")
    visibility: str
    created: Moment = moment("created")
    updated: Moment = moment("updated")
    version: int
    state: dict[str, Any] = Field(
        description="How it is: created, starting, warming, running, paused, stopped or error",
        examples=[_STATE],
    )


def _summary(config: dict[str, Any]) -> dict[str, Any]:
    return {name: config.get(name) for name in ("name", "type", "symbol", "timeframe")}


class PublicView(View):
    """A strategy that may be followed."""

    id: str
    owner_id: str
    about: Annotated[dict[str, Any], BeforeValidator(_summary)] = renamed("config", "about")
    created: Moment = moment("created")


def state_of(row: Strategy, engine: EngineView) -> dict[str, Any]:
    """Return how a strategy is, as last seen."""
    refusal, status = engine.refusal_of(row.id), engine.status_of(row.id)
    if status is None:
        if refusal:
            return {"status": "error", "cause": refusal}
        return {"status": "stopped" if row.desired == "stopped" else "starting", "cause": ""}
    return {
        "status": status.status,
        # One that runs may have been refused new parameters.
        "cause": status.cause or refusal,
        "position": status.position,
        "pnl": status.pnl,
        "returnPct": status.return_pct,
        "trades": status.trades,
        "openOrders": status.open_orders,
        "lastSignal": status.last_signal,
        "candles": status.candles,
        "lag": status.lag,
        "errors": status.errors,
    }


def _shown(row: Strategy, services: Offered, response: Response | None = None) -> StrategyView:
    row.state = state_of(row, services.engine)  # type: ignore[attr-defined]  # no column
    return StrategyView.of(row, response)


def _listed(page: Page[Strategy], services: Offered) -> Response:
    return listed(
        StrategyView,
        page,
        config=lambda row: msgspec.Raw(row.config.encode()),
        state=lambda row: state_of(row, services.engine),
    )


@router.get("", response_model=Listing[StrategyView], responses=responses())
def list_strategies(
    services: Offered,
    caller: Asker,
    after: After = None,
    limit: Limit = 100,
    sort: Annotated[str, Query(description="created, updated or id; `-` reverses")] = "created",
    desired: Literal["running", "paused", "stopped"] | None = None,
) -> Response:
    """Return the strategies one sees."""
    page = services.strategies.page(
        caller, sort=sort, after=after, limit=limit, desired=desired, as_text=True
    )
    return _listed(page, services)


@router.get("/active", response_model=Listing[StrategyView], responses=responses())
def list_active_strategies(
    services: Offered, caller: Asker, after: After = None, limit: Limit = 100
) -> Response:
    """Return the strategies one sees that are to run."""
    page = services.strategies.page(
        caller, after=after, limit=limit, desired="running", as_text=True
    )
    return _listed(page, services)


@router.get("/public", response_model=Listing[PublicView], responses=responses())
def list_public_strategies(
    services: Offered,
    caller: Asker,  # noqa: ARG001 - whoever asks has to be somebody
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """Return the strategies everybody may follow, the newest first."""
    return listed(PublicView, services.strategies.public(after=after, limit=limit))


@router.post("", status_code=HTTPStatus.CREATED, responses=CHANGED)
def create_strategy(
    body: NewStrategyForm, services: Offered, caller: Asker, response: Response
) -> StrategyView:
    """Deploy a strategy that does not run yet."""
    new = NewStrategy(**body.model_dump(), desired="stopped")
    return _shown(services.strategies.create(new, caller), services, response)


@router.post("/start", status_code=HTTPStatus.CREATED, responses=CHANGED)
def start_strategy(
    body: NewStrategyForm, services: Offered, caller: Asker, response: Response
) -> StrategyView:
    """Deploy a strategy and let it run."""
    new = NewStrategy(**body.model_dump(), desired="running")
    return _shown(services.strategies.create(new, caller), services, response)


@router.get("/{strategy_id}", responses=responses(HTTPStatus.NOT_FOUND))
def get_strategy(
    strategy_id: str, services: Offered, caller: Asker, response: Response
) -> StrategyView:
    """Return a strategy."""
    return _shown(services.strategies.get(strategy_id, caller), services, response)


@router.patch("/{strategy_id}", responses=CHANGED)
def change_strategy(
    strategy_id: str,
    body: Change,
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> StrategyView:
    """Change what a strategy is; another configuration has it started afresh."""
    row = services.strategies.change(
        strategy_id, caller, config=body.config, visibility=body.visibility, if_version=version
    )
    return _shown(row, services, response)


@router.put("/{strategy_id}/settings", responses=CHANGED)
def change_parameters(
    strategy_id: str,
    body: Parameters,
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> StrategyView:
    """Change parameters from the next candle on; the strategy runs on."""
    row = services.strategies.set_parameters(
        strategy_id, body.parameters, caller, if_version=version
    )
    return _shown(row, services, response)


@router.post("/{strategy_id}/restart", responses=CHANGED)
def restart_strategy(
    strategy_id: str, services: Offered, caller: Asker, version: IfMatch, response: Response
) -> StrategyView:
    """Start a strategy afresh with its definition's newest version; its position carries over."""
    row = services.strategies.restart(strategy_id, caller, if_version=version)
    return _shown(row, services, response)


@router.put("/{strategy_id}/{what}", responses=CHANGED)
def pause_or_resume(
    strategy_id: str,
    what: Literal["pause", "resume"],
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> StrategyView:
    """Let a strategy only watch the market, or act again."""
    row = services.strategies.set_desired(strategy_id, _WANTED[what], caller, if_version=version)
    return _shown(row, services, response)


@router.post("/{strategy_id}/{what}", responses=CHANGED)
def activate_or_deactivate(
    strategy_id: str,
    what: Literal["activate", "deactivate"],
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> StrategyView:
    """Let a strategy run, or stop it; its position and protective orders stay."""
    row = services.strategies.set_desired(strategy_id, _WANTED[what], caller, if_version=version)
    return _shown(row, services, response)


@router.delete("/{strategy_id}", responses=CHANGED)
def delete_strategy(
    strategy_id: str,
    services: Offered,
    caller: Asker,
    version: IfMatch,
    force: Annotated[bool, Query(description="Also if others follow it")] = False,
) -> StrategyView:
    """Stop a strategy and take it away; what it traded stays on record."""
    row = services.strategies.delete(strategy_id, caller, is_forced=force, if_version=version)
    return _shown(row, services)
