"""Tables of what is to run and for whom: strategies, accounts, subscriptions."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from engine.store.base import Amount, Base, Document, Id, Moment, Words

__all__ = ["Account", "Strategy", "Subscription"]


class Account(Base):
    """Where orders are placed.

    Attributes:
        id: Random.
        owner_id: Whose.
        name: For people; unique for an owner.
        venue: ``paper``, or an exchange.
        balances: What it began with by currency, as decimal text.
        limits: On all that trade with it together, as `AccountConfig` has them.
        credentials: Of the venue, encrypted by a `Vault`; None: there are none.
        is_enabled: New orders may be placed.
        created_ms: When.
        version: Raised by every change.
    """

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("owner_id", "name"), Index(None, "created_ms", "id"))

    id: Mapped[Id] = mapped_column(primary_key=True)
    owner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"))
    name: Mapped[Id]
    venue: Mapped[Id]
    balances: Mapped[Document]
    limits: Mapped[Document]
    credentials: Mapped[bytes | None]
    is_enabled: Mapped[bool] = mapped_column(default=True)
    created_ms: Mapped[Moment]
    version: Mapped[int] = mapped_column(default=1)

    @property
    def has_credentials(self) -> bool:
        """Tell whether there are credentials; nothing else about them is shown."""
        return self.credentials is not None


class Strategy(Base):
    """A deployed strategy: its configuration, and what its owner wants of it.

    Attributes:
        id: Its name in the engine.
        owner_id: Whose.
        definition_id: What it was made from; None: from a strategy type.
        definition_number: Version of that; it keeps it until it is restarted.
        account_id: Where it trades.
        given: What its owner said, over the definition's defaults.
        config: `StrategyConfig`: both together, with what was changed since.
        generation: Raised by every restart, so that a restart that was asked for is not lost.
        desired: ``running``, ``paused`` or ``stopped``.
        visibility: ``private``: its owner's; ``public``: others may follow it, and see its signals
            and what it made, but neither its configuration nor its orders.
        created_ms: When.
        updated_ms: When anything about it changed last.
        deleted_ms: When it was deleted; its orders and fills stay. None: it was not.
        version: Raised by every change.
    """

    __tablename__ = "strategies"
    __table_args__ = (
        CheckConstraint("desired IN ('running', 'paused', 'stopped')", name="desired"),
        CheckConstraint("visibility IN ('private', 'public')", name="visibility"),
        ForeignKeyConstraint(
            ["definition_id", "definition_number"],
            ["strategy_definition_versions.definition_id", "strategy_definition_versions.number"],
        ),
        Index(None, "created_ms", "id"),
        Index(None, "owner_id", "created_ms", "id"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    owner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"))
    definition_id: Mapped[Id | None]
    definition_number: Mapped[int | None]
    account_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"), index=True)
    given: Mapped[Document]
    config: Mapped[Document]
    generation: Mapped[int] = mapped_column(default=1)
    desired: Mapped[Id]
    visibility: Mapped[Id] = mapped_column(default="private")
    created_ms: Mapped[Moment]
    updated_ms: Mapped[Moment]
    deleted_ms: Mapped[Moment | None]
    version: Mapped[int] = mapped_column(default=1)


class Subscription(Base):
    """An account that follows a strategy with capital, leverage and limits of its own.

    Attributes:
        id: Random.
        owner_id: Whose.
        strategy_id: What it follows.
        account_id: With which account; once per strategy among those that are not deleted.
        capital: What it may use, quote currency.
        leverage: At most.
        risk: Limits, as `RiskConfig`.
        status: ``active`` or ``paused``; never active when deleted.
        created_ms: When.
        deleted_ms: When it was deleted; its orders and fills stay. None: it was not.
        version: Raised by every change.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index(
            None,
            "strategy_id",
            "account_id",
            unique=True,
            sqlite_where=text("deleted_ms IS NULL"),
            postgresql_where=text("deleted_ms IS NULL"),
        ),
        CheckConstraint("status IN ('active', 'paused')", name="status"),
        CheckConstraint("deleted_ms IS NULL OR status = 'paused'", name="deleted"),
        Index(None, "created_ms", "id"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    owner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"), index=True)
    strategy_id: Mapped[Id] = mapped_column(ForeignKey("strategies.id"))
    account_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"), index=True)
    capital: Mapped[Amount]
    leverage: Mapped[Amount] = mapped_column(default=Decimal(1))
    risk: Mapped[Document]
    status: Mapped[Words]
    created_ms: Mapped[Moment]
    deleted_ms: Mapped[Moment | None]
    version: Mapped[int] = mapped_column(default=1)
