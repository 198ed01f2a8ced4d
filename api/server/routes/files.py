"""Strategy files and the types they define: what can be run here."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal, Self

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import AliasPath, Field

from api.server.listing import After, Form, Limit, Listing, Moment, View, moment, renamed
from api.server.problems import responses
from api.server.services import Asker, Offered
from engine.catalog import LoadedType
from engine.catalog.configuration_schema import configuration_schema
from engine.catalog.files import SyncReport, file_id

__all__ = ["router"]

router = APIRouter(prefix="/strategies", tags=["catalogue"])


class CompatibilityView(Form):
    """What a type is made for; empty: for anything."""

    exchanges: tuple[str, ...] = ()
    market_types: tuple[Literal["spot", "perpetual"], ...] = ()
    symbols: tuple[str, ...] = Field(default=(), description="Patterns", examples=[["*/USDT"]])
    timeframes: tuple[str, ...] = ()
    min_capital: str = "0"


class FileView(View):
    """A strategy file, as last looked at; what describes its type is empty if it has none."""

    id: str
    path: str
    type: str
    version: str
    code_hash: str
    author: str
    description: str
    compatibility: CompatibilityView
    is_valid: bool = renamed("is_usable", "isValid")
    is_present: bool
    validated: Moment = moment("validated")
    errors: list[str] = Field(
        validation_alias=AliasPath("problems", "errors"), serialization_alias="errors"
    )


class FileDetails(FileView):
    """A strategy file with the schema of its type's parameters."""

    parameters_schema: dict[str, Any] = renamed("schema", "schema")


class SyncView(Form):
    """What has changed since the last look."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    invalid: dict[str, str] = Field(description="Files that cannot be used, with the first error")
    unchanged: int

    @classmethod
    def of(cls, report: SyncReport) -> Self:
        """Return what is shown of a report."""
        return cls(
            added=report.added,
            changed=report.changed,
            removed=report.gone,
            invalid=report.unusable,
            unchanged=report.unchanged,
        )


class TypeView(Form):
    """A strategy type."""

    type: str
    name: str
    description: str
    version: str
    author: str
    tags: list[str]
    compatibility: CompatibilityView
    code_hash: str
    file_id: str

    @classmethod
    def of(cls, loaded: LoadedType) -> Self:
        """Return what is shown of a type."""
        fields = msgspec.to_builtins(loaded.metadata)
        return cls(**fields, code_hash=loaded.code_hash, file_id=file_id(str(loaded.file)))


class SchemaView(Form):
    """What a type can be told, as JSON Schemas (Draft 7)."""

    type: str
    parameters: dict[str, Any] = Field(description="Of its parameters")
    configuration: dict[str, Any] = Field(description="Of a strategy's whole configuration")


@router.get("/files", responses=responses())
def list_files(
    services: Offered,
    _caller: Asker,
    after: After = None,
    limit: Limit = 100,
    sort: Annotated[str, Query(description="path, type or validated; `-` reverses")] = "path",
    valid: bool | None = None,
    present: bool | None = None,
) -> Listing[FileView]:
    """Return the strategy files of the configured folders, and what is wrong with them."""
    page = services.files.page(sort=sort, after=after, limit=limit, valid=valid, present=present)
    return Listing(items=[FileView.of(row) for row in page.items], next=page.next)


@router.post("/files/sync", responses=responses(HTTPStatus.FORBIDDEN))
def sync_files(services: Offered, caller: Asker) -> SyncView:
    """Look at the files anew; strategies that run keep the code they were started with."""
    return SyncView.of(services.files.sync(caller))


@router.get("/files/{file_id}", responses=responses(HTTPStatus.NOT_FOUND))
def get_file(file_id: str, services: Offered, _caller: Asker) -> FileDetails:
    """Return a strategy file with all that is wrong with it."""
    return FileDetails.of(services.files.get(file_id))


@router.get("/types", responses=responses())
def list_types(services: Offered, _caller: Asker) -> list[TypeView]:
    """Return the strategy types that can be run, by name."""
    return [TypeView.of(loaded) for loaded in services.files.catalog.types.values()]


@router.get("/types/{type}/schema", responses=responses(HTTPStatus.NOT_FOUND))
def get_schema(
    name: Annotated[str, Path(alias="type", examples=["EMA_CROSS"])],
    services: Offered,
    _caller: Asker,
) -> SchemaView:
    """Return what a type can be told."""
    loaded = services.files.type_of(name)
    return SchemaView(
        type=name,
        parameters=loaded.cls.get_parameters_schema(),
        configuration=configuration_schema(loaded),
    )
