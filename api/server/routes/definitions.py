"""Definitions: named, versioned ways to run a strategy type."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from api.server.listing import After, Form, IfMatch, Limit, Listing, Moment, View, moment, renamed
from api.server.problems import CHANGED, responses
from api.server.services import Asker, Offered
from engine.catalog.definitions import Change, Draft

__all__ = ["DefinitionView", "router"]

router = APIRouter(prefix="/admin/strategy/definitions", tags=["definitions"])


class NewDefinition(Form):
    """A definition to be made."""

    key: str = Field(max_length=64, examples=["dip_buyer"])
    name: str = Field(default="", max_length=200)
    description: str = Field(default="", max_length=5000)
    strategy_type: str = Field(max_length=64, examples=["RULES"])
    parameters_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    defaults: dict[str, Any] = Field(default_factory=dict, examples=[{"timeframe": "15m"}])
    visibility: Literal["private", "public"] = "private"
    note: str = Field(default="", max_length=1000)


class DefinitionChange(Form):
    """What is to be different; what is left out stays as it is."""

    name: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=5000)
    parameters_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    defaults: dict[str, Any] | None = None
    visibility: Literal["private", "public"] | None = None
    note: str = Field(default="", max_length=1000)


class Rollback(Form):
    """An earlier version to go back to."""

    to: int = Field(ge=1, le=2**31 - 1, description="Number of the version")
    note: str = Field(default="", max_length=1000)


class DefinitionView(View):
    """A definition."""

    id: str
    key: str
    owner_id: str | None
    name: str
    description: str
    strategy_type: str
    is_enabled: bool
    visibility: str
    newest: int
    created: Moment = moment("created")
    updated: Moment = moment("updated")
    version: int


class VersionView(View):
    """What a definition said at some time."""

    number: int
    parameters_schema: dict[str, Any] = renamed("schema", "schema")
    defaults: dict[str, Any]
    sha256: str
    note: str
    is_rollback: bool
    author_id: str | None
    created: Moment = moment("created")


_SEEN = responses(HTTPStatus.NOT_FOUND)


@router.get("", responses=responses())
def list_definitions(
    services: Offered,
    caller: Asker,
    after: After = None,
    limit: Limit = 100,
    sort: Annotated[str, Query(description="created, updated, key or name; `-` reverses")] = "key",
    strategy_type: Annotated[str | None, Query(alias="strategyType")] = None,
    enabled: bool | None = None,
) -> Listing[DefinitionView]:
    """Return the definitions one sees."""
    page = services.definitions.page(
        caller, sort=sort, after=after, limit=limit, strategy_type=strategy_type, enabled=enabled
    )
    return Listing(items=[DefinitionView.of(row) for row in page.items], next=page.next)


@router.post("", status_code=HTTPStatus.CREATED, responses=CHANGED)
def create_definition(
    body: NewDefinition, services: Offered, caller: Asker, response: Response
) -> DefinitionView:
    """Make a definition."""
    fields = body.model_dump(exclude={"parameters_schema"})
    row = services.definitions.create(Draft(**fields, schema=body.parameters_schema), caller)
    return DefinitionView.of(row, response)


@router.get("/{definition_id}", responses=_SEEN)
def get_definition(
    definition_id: str, services: Offered, caller: Asker, response: Response
) -> DefinitionView:
    """Return a definition."""
    row = services.definitions.get(definition_id, caller)
    return DefinitionView.of(row, response)


@router.post("/{definition_id}/update", responses=CHANGED)
def update_definition(
    definition_id: str,
    body: DefinitionChange,
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> DefinitionView:
    """Change a definition; a new schema or defaults make a new version."""
    fields = body.model_dump(exclude={"parameters_schema"})
    change = Change(**fields, schema=body.parameters_schema)
    row = services.definitions.update(definition_id, change, caller, if_version=version)
    return DefinitionView.of(row, response)


@router.post("/{definition_id}/rollback", responses=CHANGED)
def roll_back(
    definition_id: str,
    body: Rollback,
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> DefinitionView:
    """Say again what an earlier version said, as a new version."""
    row = services.definitions.roll_back(
        definition_id, body.to, caller, note=body.note, if_version=version
    )
    return DefinitionView.of(row, response)


@router.post("/{definition_id}/{what}", responses=CHANGED)
def enable_definition(
    definition_id: str,
    what: Literal["enable", "disable"],
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> DefinitionView:
    """Let new strategies be made from a definition, or no more."""
    row = services.definitions.enable(
        definition_id, caller, is_enabled=what == "enable", if_version=version
    )
    return DefinitionView.of(row, response)


@router.get("/{definition_id}/versions", responses=_SEEN)
def list_versions(definition_id: str, services: Offered, caller: Asker) -> list[VersionView]:
    """Return all versions of a definition, the newest first."""
    return [VersionView.of(row) for row in services.definitions.versions(definition_id, caller)]


@router.get("/{definition_id}/versions/{number}", responses=_SEEN)
def get_version(
    definition_id: str,
    number: Annotated[int, Path(ge=1, le=2**31 - 1)],
    services: Offered,
    caller: Asker,
) -> VersionView:
    """Return one version of a definition."""
    return VersionView.of(services.definitions.version(definition_id, number, caller))
