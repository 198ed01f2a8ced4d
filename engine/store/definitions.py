"""Tables of what can be run: strategy files, definitions with their versions, keys of others."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, PrimaryKeyConstraint, false, true
from sqlalchemy.orm import Mapped, mapped_column

from engine.store.base import Base, Document, Id, Moment, Words

__all__ = ["VISIBILITIES", "Definition", "DefinitionVersion", "StrategyFile", "TrustedKey"]

VISIBILITIES = ("system", "private", "public")
"""Who sees a definition: everybody (it came with Chorus), its owner, everybody."""


class StrategyFile(Base):
    """A file of the configured folders, as last looked at.

    Attributes:
        id: Made from the path.
        path: Where; a file that has gone keeps its row.
        type: Name of its strategy type; empty where it could not be loaded.
        version: Of the type, as its author says.
        code_hash: Of the file's content.
        author: As its metadata says.
        description: Likewise.
        compatibility: Exchanges, market types, symbol patterns and least capital it is made for.
        schema: JSON Schema (Draft 7) of its parameters.
        problems: What is wrong with it: ``{"errors": [...], "warnings": [...]}``.
        is_usable: It loads and keeps the interface.
        is_present: It was there at the last look.
        validated_ms: When that was.
    """

    __tablename__ = "strategy_files"

    id: Mapped[Id] = mapped_column(primary_key=True)
    path: Mapped[Words] = mapped_column(unique=True)
    type: Mapped[Id] = mapped_column(index=True)
    version: Mapped[Id]
    code_hash: Mapped[Id]
    author: Mapped[Words]
    description: Mapped[Words]
    compatibility: Mapped[Document]
    schema: Mapped[Document]
    problems: Mapped[Document]
    is_usable: Mapped[bool]
    is_present: Mapped[bool] = mapped_column(server_default=true())
    validated_ms: Mapped[Moment]


class Definition(Base):
    """A named way to run a strategy type; what it says is in its versions.

    Attributes:
        id: Random.
        key: Stable name, unique.
        owner_id: Whose; None: it came with Chorus.
        name: For people.
        description: For people.
        strategy_type: What it runs.
        is_enabled: New strategies may be made from it.
        visibility: One of `VISIBILITIES`.
        newest: Number of its newest version.
        created_ms: When.
        updated_ms: When anything about it changed last.
        version: Raised by every change of this row.
    """

    __tablename__ = "strategy_definitions"
    __table_args__ = (
        CheckConstraint("visibility IN ('system', 'private', 'public')", name="visibility"),
        Index(None, "created_ms", "id"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    key: Mapped[Id] = mapped_column(unique=True)
    owner_id: Mapped[Id | None] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[Words]
    description: Mapped[Words]
    strategy_type: Mapped[Id] = mapped_column(index=True)
    is_enabled: Mapped[bool] = mapped_column(server_default=true())
    visibility: Mapped[Id]
    newest: Mapped[int]
    created_ms: Mapped[Moment]
    updated_ms: Mapped[Moment]
    version: Mapped[int] = mapped_column(default=1)


class DefinitionVersion(Base):
    """What a definition said at some time; never changed, never deleted.

    Attributes:
        definition_id: Of which.
        number: 1, 2, 3 and so on.
        schema: JSON Schema (Draft 7) of the configuration.
        defaults: Configuration a strategy starts from.
        sha256: Of both, in their canonical form.
        note: Why it was made.
        is_rollback: It repeats an earlier one.
        author_id: By whom; None: it came with Chorus.
        created_ms: When.
    """

    __tablename__ = "strategy_definition_versions"
    __table_args__ = (PrimaryKeyConstraint("definition_id", "number"),)

    definition_id: Mapped[Id] = mapped_column(ForeignKey("strategy_definitions.id"))
    number: Mapped[int]
    schema: Mapped[Document]
    defaults: Mapped[Document]
    sha256: Mapped[Id]
    note: Mapped[Words]
    is_rollback: Mapped[bool] = mapped_column(server_default=false())
    author_id: Mapped[Id | None] = mapped_column(ForeignKey("users.id"))
    created_ms: Mapped[Moment]


class TrustedKey(Base):
    """A key of another installation whose definitions may be imported.

    Attributes:
        id: Its fingerprint.
        name: Whose it is, in the words of who trusts it.
        public_key: In Base64.
        author_id: Who trusts it.
        created_ms: Since when.
    """

    __tablename__ = "trusted_keys"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[Words]
    public_key: Mapped[Words]
    author_id: Mapped[Id | None] = mapped_column(ForeignKey("users.id"))
    created_ms: Mapped[Moment]
