"""Definitions from and to other installations, and whom they are taken from."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.server.listing import After, Form, Limit, Listing, Moment, View, moment
from api.server.problems import CHANGED, responses
from api.server.routes.definitions import DefinitionView
from api.server.services import Asker, Offered
from engine.catalog.exchange import FORMAT, Document

__all__ = ["router"]

router = APIRouter(prefix="/admin/strategy", tags=["definitions"])


class ContentForm(Form):
    """What a definition says."""

    key: str = Field(max_length=64, examples=["dip_buyer"])
    name: str = Field(max_length=200)
    description: str = Field(max_length=5000)
    strategy_type: str = Field(max_length=64, examples=["RULES"])
    parameters_schema: dict[str, Any] = Field(alias="schema")
    defaults: dict[str, Any]


class SignatureForm(Form):
    """Who vouches for it."""

    algorithm: str = Field(max_length=20, examples=["Ed25519"])
    public_key: str = Field(max_length=100, description="32 bytes in Base64")
    value: str = Field(
        max_length=100,
        description="64 bytes in Base64, over format, line feed and SHA-256 of the content",
    )


class DocumentForm(Form):
    """A definition that can be sent. It holds no code."""

    format: str = Field(max_length=50, examples=[FORMAT])
    content: ContentForm
    sha256: str = Field(
        max_length=64, description="Of the content's canonical form (RFC 8785), lower-case hex"
    )
    signature: SignatureForm


class ImportView(Form):
    """What came of an import."""

    outcome: Literal["created", "new_version", "unchanged"]
    definition: DefinitionView


class NewTrustedKey(Form):
    """A key to be trusted."""

    name: str = Field(min_length=1, max_length=200, examples=["The other desk"])
    public_key: str = Field(max_length=100, description="`signature.publicKey` of an export")


class TrustedKeyView(View):
    """A key whose definitions may be imported; its id is its fingerprint."""

    id: str
    name: str
    public_key: str
    author_id: str | None
    created: Moment = moment("created")


class SigningKeyView(Form):
    """The key this installation signs with."""

    public_key: str
    fingerprint: str


@router.get("/definitions/{definition_id}/export", responses=responses(HTTPStatus.NOT_FOUND))
def export_definition(
    definition_id: str, services: Offered, caller: Asker, response: Response
) -> DocumentForm:
    """Return what a definition says now as a signed document."""
    document = services.exchange.export(definition_id, caller)
    name = f"{document.content.key}.chorus.json"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return DocumentForm.model_validate(msgspec.to_builtins(document))


@router.post(
    "/definitions/import",
    responses={**CHANGED, int(HTTPStatus.CREATED): {"model": ImportView}},
)
def import_definition(
    body: DocumentForm,
    services: Offered,
    caller: Asker,
    response: Response,
    mode: Annotated[
        Literal["create", "new_version"],
        Query(description="What to do if one's own definition of that key says something else"),
    ] = "create",
    key: Annotated[
        str | None, Query(max_length=64, description="Instead of the document's")
    ] = None,
    visibility: Literal["private", "public"] = "private",
) -> ImportView:
    """Make a definition of a signed document; again, nothing changes."""
    document = msgspec.convert(body.model_dump(by_alias=True), Document)
    imported = services.exchange.load(document, caller, mode=mode, key=key, visibility=visibility)
    if imported.outcome == "created":
        response.status_code = HTTPStatus.CREATED
    definition = DefinitionView.of(imported.definition, response)
    return ImportView(outcome=imported.outcome, definition=definition)


@router.get("/signing-key", responses=responses())
def get_signing_key(services: Offered, _caller: Asker) -> SigningKeyView:
    """Return by which key others know what was exported here."""
    key = services.exchange.public_key
    return SigningKeyView(public_key=key.text, fingerprint=key.fingerprint)


@router.get("/trusted-keys", responses=responses(HTTPStatus.FORBIDDEN))
def list_trusted_keys(
    services: Offered, caller: Asker, after: After = None, limit: Limit = 100
) -> Listing[TrustedKeyView]:
    """Return the keys of other installations that are trusted."""
    page = services.exchange.trusted.page(caller, after=after, limit=limit)
    return Listing(items=[TrustedKeyView.of(row) for row in page.items], next=page.next)


@router.post(
    "/trusted-keys",
    status_code=HTTPStatus.CREATED,
    responses=responses(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)
def trust_key(body: NewTrustedKey, services: Offered, caller: Asker) -> TrustedKeyView:
    """Trust a key: what its holder has signed may be imported from now on."""
    return TrustedKeyView.of(services.exchange.trusted.add(body.name, body.public_key, caller))


@router.delete(
    "/trusted-keys/{key_id}", responses=responses(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
)
def distrust_key(key_id: str, services: Offered, caller: Asker) -> TrustedKeyView:
    """Trust a key no more; what was imported stays."""
    return TrustedKeyView.of(services.exchange.trusted.remove(key_id, caller))
