"""Routes of an older trading backend: each does what the one it names as its successor does.

They are kept for clients that are not changed any more. Whatever can be done with them can be done
with strategies, and much that cannot: see `api.server.older_clients` for what stands for what.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from api.server.listing import After, Limit, View, iso
from api.server.older_clients import Name, Wish, name_of, start, stop
from api.server.problems import CHANGED, responses
from api.server.services import Asker, Offered, Services
from engine.access import Caller
from engine.deployments.strategies import Desired
from engine.errors import ConfigError
from engine.store import Strategy

__all__ = ["router"]

SUCCESSOR: Final = "/api/v1/strategies"
_SINCE: Final = "@1793491200"
"""2026-11-01, as RFC 9745 writes it."""

_Label = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.\-]+$")]
_Kind = Literal["arbitrage", "pureMarketMaking", "marketMaking", "volume"]
_Quantity = Annotated[Decimal, Field(gt=0, lt=Decimal("1e20"))]

_SYNONYMS: Final = {"marketMaking": "pureMarketMaking"}
_AMOUNTS: Final = ("amount_to_trade", "order_amount", "trade_amount")


def _say_what_comes_after(response: Response) -> None:
    """Tell in the headers of an answer that its route is not for new clients."""
    response.headers["Deprecation"] = _SINCE
    response.headers["Link"] = f'<{SUCCESSOR}>; rel="successor-version"'


_HEADERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "headers": {
            "Deprecation": {"description": "RFC 9745", "schema": {"type": "string"}},
            "Link": {"description": "What to use instead", "schema": {"type": "string"}},
        }
    }
}
_CHANGED: Final = {**CHANGED, **_HEADERS}
_READ: Final = {**responses(), **_HEADERS}

router = APIRouter(
    tags=["older clients"], deprecated=True, dependencies=[Depends(_say_what_comes_after)]
)


class _Form(BaseModel):
    """What older clients send: fields that are not known are no error."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True)


class InstanceName(_Form):
    """How an instance is called."""

    user_id: _Label = Field(description="Part of its name; it gives no rights")
    client_id: _Label = Field(description="Part of its name")

    def name(self, kind: str) -> Name:
        """Return its name."""
        return Name(_SYNONYMS.get(kind, kind), self.user_id, self.client_id)


class Instance(InstanceName):
    """An instance to be started; further fields are parameters, if its definition has them."""

    pair: str | None = Field(default=None, max_length=64, examples=["BTC/USDT"])
    symbol: str | None = Field(default=None, max_length=64)
    exchange_name: str | None = Field(default=None, max_length=64, description="Its venue")
    account_label: str = Field(
        default="", max_length=64, description="None: the only one of its venue"
    )
    amount_to_trade: _Quantity | None = None
    order_amount: _Quantity | None = None
    trade_amount: _Quantity | None = None

    def wish(self, kind: str, definition: str = "", config: dict[str, Any] | None = None) -> Wish:
        """Return what is asked for."""
        amounts = {to_camel(name): getattr(self, name) for name in _AMOUNTS}
        said = [(name, amount) for name, amount in amounts.items() if amount is not None]
        fields = {
            "symbol": self.pair or self.symbol,
            "venue": self.exchange_name and self.exchange_name.lower(),
        }
        return Wish(
            name=self.name(kind),
            definition=definition,
            account=self.account_label,
            config={**{name: value for name, value in fields.items() if value}, **(config or {})},
            amount=said[0] if said else None,
            others=self.model_extra or {},
        )


class StartInstance(Instance):
    """An instance of a definition, or of a type."""

    strategy_definition_id: str | None = Field(default=None, max_length=64)
    strategy_type: _Kind | None = None
    config: dict[str, Any] = Field(
        default_factory=dict, description="Fields of its configuration, as of a strategy"
    )

    @model_validator(mode="after")
    def _is_of_one(self) -> StartInstance:
        _require_one(self.strategy_definition_id, self.strategy_type)
        return self


class StopInstance(InstanceName):
    """An instance to be stopped, named as when it was started."""

    strategy_definition_id: _Label | None = None
    strategy_type: _Kind | None = None

    @model_validator(mode="after")
    def _is_of_one(self) -> StopInstance:
        _require_one(self.strategy_definition_id, self.strategy_type)
        return self


class StartOfType(_Form):
    """An instance of a type, with the fields of that type beside."""

    strategy_type: _Kind
    arbitrage_params: Instance | None = None
    market_making_params: Instance | None = None
    volume_params: Instance | None = None

    def params(self) -> Instance:
        """Return the fields of its type.

        Raises:
            ConfigError: They are missing.
        """
        name = {"arbitrage": "arbitrage_params", "volume": "volume_params"}.get(
            self.strategy_type, "market_making_params"
        )
        found: Instance | None = getattr(self, name)
        if found is None:
            raise ConfigError(f"{to_camel(name)}: a {self.strategy_type} instance needs them")
        return found


class StartedView(View):
    """An instance that is to run now."""

    message: str
    strategy_id: str = Field(description="Its id among the strategies")
    strategy_key: str
    strategy_definition_id: str | None
    definition_key: str
    status: str
    ignored: list[str] = Field(description="Fields that its definition has no parameters for")


class StoppedView(View):
    """An instance that is to run no more."""

    message: str
    strategy_id: str
    strategy_key: str
    status: str


class InstanceView(View):
    """A strategy, as older clients know instances."""

    id: str
    strategy_key: str
    strategy_type: str
    status: str = Field(description="What is wanted of it: running, paused or stopped")
    user_id: str
    client_id: str | None = Field(description="None: it was not started by an older client")
    strategy_definition_id: str | None
    parameters: dict[str, Any]
    created_at: str
    updated_at: str


def _require_one(definition: str | None, kind: str | None) -> None:
    if (definition is None) == (kind is None):
        raise ValueError("needs either strategyDefinitionId or strategyType")


def _start(services: Services, wish: Wish, caller: Caller) -> StartedView:
    started = start(services, wish, caller)
    return StartedView(
        message=f"Started strategy instance from definition {started.definition_key}",
        strategy_id=started.strategy.id,
        strategy_key=wish.name.key,
        strategy_definition_id=started.strategy.definition_id,
        definition_key=started.definition_key,
        status=started.strategy.desired,
        ignored=started.ignored,
    )


def _stop(services: Services, name: Name, caller: Caller) -> StoppedView:
    strategy = stop(services, name, caller)
    return StoppedView(
        message=f"Stopped strategy instance {name.key}",
        strategy_id=strategy.id,
        strategy_key=name.key,
        status=strategy.desired,
    )


def _shown(row: Strategy) -> InstanceView:
    name = name_of(row)
    return InstanceView(
        id=row.id,
        strategy_key=row.id if name is None else name.key,
        strategy_type=row.config["type"] if name is None else name.kind,
        status=row.desired,
        user_id=row.owner_id if name is None else name.user,
        client_id=None if name is None else name.client,
        strategy_definition_id=row.definition_id,
        parameters=row.config.get("parameters", {}),
        created_at=iso(row.created_ms),
        updated_at=iso(row.updated_ms),
    )


@router.post("/admin/strategy/instances/start", responses=_CHANGED)
def start_instance(body: StartInstance, services: Offered, caller: Asker) -> StartedView:
    """Start an instance; use POST /strategies."""
    definition = body.strategy_definition_id or ""
    wish = body.wish(body.strategy_type or definition, definition, body.config)
    return _start(services, wish, caller)


@router.post("/admin/strategy/instances/stop", responses=_CHANGED)
def stop_instance(body: StopInstance, services: Offered, caller: Asker) -> StoppedView:
    """Stop an instance; use the routes of /strategies."""
    kind = body.strategy_type or body.strategy_definition_id or ""
    return _stop(services, body.name(kind), caller)


@router.get("/admin/strategy/instances/all", responses=_READ)
@router.get("/strategy/all-strategies", responses=_READ)
def all_instances(
    request: Request,
    response: Response,
    services: Offered,
    caller: Asker,
    after: After = None,
    limit: Limit = 1000,
) -> list[InstanceView]:
    """Return the strategies one sees; use GET /strategies."""
    return _listed(request, response, services, caller, None, after, limit)


@router.get("/admin/strategy/instances/running", responses=_READ)
@router.get("/strategy/running", responses=_READ)
def running_instances(
    request: Request,
    response: Response,
    services: Offered,
    caller: Asker,
    after: After = None,
    limit: Limit = 1000,
) -> list[InstanceView]:
    """Return the strategies one sees that are wanted to run; use GET /strategies."""
    return _listed(request, response, services, caller, "running", after, limit)


def _listed(
    request: Request,
    response: Response,
    services: Services,
    caller: Caller,
    desired: Desired | None,
    after: str | None,
    limit: int,
) -> list[InstanceView]:
    """Return some strategies; older clients expect a bare list, so a header says how to go on."""
    page = services.strategies.page(caller, after=after, limit=limit, desired=desired)
    if page.next is not None:
        address = request.url.include_query_params(after=page.next)
        response.headers["Link"] += f', <{address.path}?{address.query}>; rel="next"'
    return [_shown(row) for row in page.items]


@router.post("/admin/strategy/start", responses=_CHANGED)
def start_of_type(body: StartOfType, services: Offered, caller: Asker) -> StartedView:
    """Start an instance of a type; use POST /strategies."""
    return _start(services, body.params().wish(body.strategy_type), caller)


@router.post("/admin/strategy/stop", responses=_CHANGED)
def stop_of_type(body: StopInstance, services: Offered, caller: Asker) -> StoppedView:
    """Stop an instance of a type; use the routes of /strategies."""
    return stop_instance(body, services, caller)


@router.post("/strategy/execute-arbitrage", responses=_CHANGED)
def start_arbitrage(body: Instance, services: Offered, caller: Asker) -> StartedView:
    """Start an arbitrage instance; use POST /strategies."""
    return _start(services, body.wish("arbitrage"), caller)


@router.get("/strategy/stop-arbitrage", responses=_CHANGED)
def stop_arbitrage(
    services: Offered,
    caller: Asker,
    user: Annotated[_Label, Query(alias="userId")],
    client: Annotated[_Label, Query(alias="clientId")],
) -> StoppedView:
    """Stop an arbitrage instance, though it is a GET; use the routes of /strategies."""
    return _stop(services, Name("arbitrage", user, client), caller)


@router.post("/strategy/execute-pure-market-making", responses=_CHANGED)
def start_market_making(body: Instance, services: Offered, caller: Asker) -> StartedView:
    """Start a market-making instance; use POST /strategies."""
    return _start(services, body.wish("pureMarketMaking"), caller)


@router.get("/strategy/stop-marketmaking", responses=_CHANGED)
def stop_market_making(
    services: Offered,
    caller: Asker,
    user: Annotated[_Label, Query(alias="userId")],
    client: Annotated[_Label, Query(alias="clientId")],
) -> StoppedView:
    """Stop a market-making instance, though it is a GET; use the routes of /strategies."""
    return _stop(services, Name("pureMarketMaking", user, client), caller)


@router.post("/strategy/execute-volume-strategy", responses=_CHANGED)
def start_volume(body: Instance, services: Offered, caller: Asker) -> StartedView:
    """Start a volume instance; use POST /strategies."""
    return _start(services, body.wish("volume"), caller)


@router.post("/strategy/stop-volume-strategy", responses=_CHANGED)
def stop_volume(body: InstanceName, services: Offered, caller: Asker) -> StoppedView:
    """Stop a volume instance; use the routes of /strategies."""
    return _stop(services, body.name("volume"), caller)
