"""Definitions as signed documents, from one installation to another.

A document holds what a definition says now, and no code. Its hash shows that it is whole; its
signature, from which installation it comes. What is trusted is decided where it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from engine.access import Caller
from engine.catalog.canonical import canonical
from engine.catalog.definitions import Change, Definitions, Draft, Visibility
from engine.catalog.signing import PublicKey, Signer
from engine.catalog.trusted_keys import TrustedKeys
from engine.errors import ConfigError, ConflictError, NotFoundError
from engine.store import Definition, DefinitionVersion, Store

__all__ = ["FORMAT", "Content", "Document", "Exchange", "Imported", "Mode", "Signature"]

FORMAT: Final = "chorus-definition/1"
ALGORITHM: Final = "Ed25519"

Mode = Literal["create", "new_version"]
Outcome = Literal["created", "new_version", "unchanged"]


class Content(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a definition says.

    Attributes:
        key: Its stable name.
        name: For people.
        description: For people.
        strategy_type: What it runs.
        schema: JSON Schema (Draft 7) of the parameters.
        defaults: Fields of a strategy's configuration.
    """

    key: str
    name: str
    description: str
    strategy_type: str
    schema: dict[str, Any]
    defaults: dict[str, Any]


class Signature(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who vouches for a content.

    Attributes:
        algorithm: ``Ed25519``.
        public_key: 32 bytes in Base64.
        value: 64 bytes in Base64, over format, line feed and SHA-256 of the content.
    """

    algorithm: str
    public_key: str
    value: str


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A definition that can be sent.

    Attributes:
        format: `FORMAT`.
        content: What it says.
        sha256: Of the content's canonical form (RFC 8785), lower-case hex.
        signature: Over both.
    """

    format: str
    content: Content
    sha256: str
    signature: Signature


class Imported(msgspec.Struct, frozen=True):
    """What came of an import."""

    outcome: Outcome
    definition: Definition


class Exchange:
    """Writes definitions as signed documents, and reads those that can be trusted.

    Args:
        store: Where the trusted keys are kept.
        definitions: What is written and read.
        signer: Signs for this installation.
        clock: Milliseconds UTC.

    Attributes:
        trusted: The keys of other installations.
        public_key: That of this one.
    """

    def __init__(
        self, store: Store, definitions: Definitions, signer: Signer, clock: Callable[[], int]
    ) -> None:
        self.trusted = TrustedKeys(store, clock)
        self.public_key = signer.public
        self._definitions = definitions
        self._signer = signer

    def export(self, definition_id: str, caller: Caller) -> Document:
        """Return what a definition says now, signed.

        Raises:
            NotFoundError: There is no such definition, or not for the caller.
        """
        return self._document(_content_of(*self._definitions.said(definition_id, caller)))

    def load(
        self,
        document: Document,
        caller: Caller,
        *,
        mode: Mode = "create",
        key: str | None = None,
        visibility: Visibility = "private",
    ) -> Imported:
        """Make a definition of a document. Doing it again changes nothing.

        Args:
            document: As it was exported.
            caller: Who asks; owns what is made.
            mode: What to do if the caller has a definition of that key that says something else:
                refuse, or make a new version of it.
            key: To be used instead of the document's.
            visibility: Who sees what is made.

        Raises:
            ForbiddenError: The caller may only look.
            ConfigError: The document is damaged, its signature is not right or not trusted, or
                strategies made from it could not run here; the message names the part.
            ConflictError: The key is taken.
        """
        caller.require("trader", "to import a definition")
        signer = self._checked(document)
        content = document.content
        if key is not None:
            content = msgspec.structs.replace(content, key=key)
        note = f"imported; signed by {signer.fingerprint[:16]}"
        if self._definitions.id_of(content.key) is None:
            draft = Draft(**msgspec.structs.asdict(content), visibility=visibility, note=note)
            try:
                return Imported("created", self._definitions.create(draft, caller))
            except ConflictError:
                # Somebody else was first, perhaps with the same; below it is compared.
                pass
        return self._renewed(content, caller, mode, note)

    def _document(self, content: Content) -> Document:
        sha256 = _sha256(content)
        signature = Signature(
            algorithm=ALGORITHM,
            public_key=self.public_key.text,
            value=self._signer.sign(_signed(FORMAT, sha256)),
        )
        return Document(format=FORMAT, content=content, sha256=sha256, signature=signature)

    def _renewed(self, content: Content, caller: Caller, mode: Mode, note: str) -> Imported:
        subject = f"definition {content.key!r}"
        taken = ConflictError(
            f"{subject}: the key is taken by somebody else's; import it under another `key`"
        )
        try:
            known_id = self._definitions.id_of(content.key) or ""
            known, version = self._definitions.said(known_id, caller)
        except NotFoundError:
            raise taken from None
        if _sha256(_content_of(known, version)) == _sha256(content):
            return Imported("unchanged", known)
        if not (caller.is_admin or known.owner_id == caller.user_id):
            raise taken
        if known.strategy_type != content.strategy_type:
            raise ConflictError(
                f"{subject}: is of the type {known.strategy_type}, and stays so, but the "
                f"document's is {content.strategy_type}; import it under another `key`"
            )
        if mode != "new_version":
            raise ConflictError(
                f"{subject}: says something else here; import it with mode=new_version, or under "
                "another `key`"
            )
        change = Change(
            name=content.name,
            description=content.description,
            schema=content.schema,
            defaults=content.defaults,
            note=note,
        )
        renewed = self._definitions.update(known.id, change, caller, if_version=known.version)
        return Imported("new_version", renewed)

    def _checked(self, document: Document) -> PublicKey:
        """Return who has signed a document that is whole and can be trusted.

        Raises:
            ConfigError: It is not.
        """
        if document.format != FORMAT:
            raise ConfigError(
                f"format: must be {FORMAT!r}, got {document.format!r:.100}; export the definition "
                "with this version of Chorus"
            )
        sha256 = _sha256(document.content)
        if sha256 != document.sha256:
            raise ConfigError(
                f"sha256: the content has {sha256}, the document says {document.sha256!r:.100}; it "
                "was changed or damaged: export the definition again"
            )
        signature = document.signature
        if signature.algorithm != ALGORITHM:
            raise ConfigError(
                f"signature.algorithm: must be {ALGORITHM!r}, got {signature.algorithm!r:.100}"
            )
        signer = PublicKey.read(signature.public_key)
        signer.check(_signed(document.format, sha256), signature.value)
        if signer.text != self.public_key.text and not self.trusted.has(signer.fingerprint):
            raise ConfigError(
                f"signature.publicKey: {signer.text} (fingerprint {signer.fingerprint}) is not "
                "trusted here; if you know whose it is, have an admin add it: "
                "POST /api/v1/admin/strategy/trusted-keys"
            )
        return signer


def _content_of(definition: Definition, version: DefinitionVersion) -> Content:
    return Content(
        key=definition.key,
        name=definition.name,
        description=definition.description,
        strategy_type=definition.strategy_type,
        schema=version.schema,
        defaults=version.defaults,
    )


def _sha256(content: Content) -> str:
    return hashlib.sha256(canonical(msgspec.to_builtins(content), name="content")).hexdigest()


def _signed(document_format: str, sha256: str) -> bytes:
    """Return what is signed: no signature over one kind of document is one over another."""
    return f"{document_format}\n{sha256}".encode()
