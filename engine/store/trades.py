"""Tables of what was traded: orders, fills, positions."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from engine.store.base import Amount, Base, Id, Moment, Words

__all__ = ["Fill", "Order", "Position"]


class Order(Base):
    """An order, as last heard of.

    Attributes:
        id: Made from the decision it comes from, so that none can be written twice.
        strategy_id: Whose.
        account_id: Where.
        slice: Of the run, in which it was decided.
        symbol: What.
        side: ``buy`` or ``sell``.
        kind: ``market``, ``limit``, ``stop`` and so on.
        quantity: Base currency.
        price: Quote currency; None for the market's.
        filled: Base currency so far.
        status: ``open``, ``filled``, ``canceled``, ``rejected``.
        reason: Why it was made, or refused.
        created_ms: When, in market time.
        updated_ms: When its status changed last, in market time.
    """

    __tablename__ = "orders"
    __table_args__ = (
        Index(None, "strategy_id", "created_ms", "id"),
        Index(None, "account_id", "created_ms", "id"),
    )

    id: Mapped[Words] = mapped_column(primary_key=True)
    strategy_id: Mapped[Id] = mapped_column(ForeignKey("strategies.id"))
    account_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"))
    slice: Mapped[Moment]
    symbol: Mapped[Id]
    side: Mapped[Id]
    kind: Mapped[Id]
    quantity: Mapped[Amount]
    price: Mapped[Amount | None]
    filled: Mapped[Amount] = mapped_column(default=Decimal(0))
    status: Mapped[Id] = mapped_column(index=True)
    reason: Mapped[Words]
    created_ms: Mapped[Moment]
    updated_ms: Mapped[Moment]


class Fill(Base):
    """A trade that an order led to.

    Attributes:
        id: Made from the order and its number, so that none can be written twice.
        order_id: Of which order.
        strategy_id: Whose.
        account_id: Where.
        symbol: What.
        side: ``buy`` or ``sell``.
        quantity: Base currency.
        price: Quote currency.
        fee: In `fee_currency`.
        fee_currency: In which it is paid.
        realized: Profit it brought, quote currency; None where it only opens.
        at_ms: When, in market time.
    """

    __tablename__ = "fills"
    __table_args__ = (
        Index(None, "strategy_id", "at_ms", "id"),
        Index(None, "account_id", "at_ms", "id"),
    )

    id: Mapped[Words] = mapped_column(primary_key=True)
    order_id: Mapped[Words] = mapped_column(ForeignKey("orders.id"), index=True)
    strategy_id: Mapped[Id] = mapped_column(ForeignKey("strategies.id"))
    account_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"))
    symbol: Mapped[Id]
    side: Mapped[Id]
    quantity: Mapped[Amount]
    price: Mapped[Amount]
    fee: Mapped[Amount]
    fee_currency: Mapped[Id]
    realized: Mapped[Amount | None]
    at_ms: Mapped[Moment]


class Position(Base):
    """What a strategy holds of a symbol on an account.

    Attributes:
        strategy_id: Who.
        account_id: Where.
        symbol: What.
        quantity: Base currency, below zero when short.
        entry_price: Mean price it was entered at, quote currency; None when flat.
        realized: Profit of what was closed so far, quote currency.
        updated_ms: When it changed last, in market time.
    """

    __tablename__ = "positions"

    strategy_id: Mapped[Id] = mapped_column(ForeignKey("strategies.id"), primary_key=True)
    account_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    symbol: Mapped[Id] = mapped_column(primary_key=True)
    quantity: Mapped[Amount]
    entry_price: Mapped[Amount | None]
    realized: Mapped[Amount]
    updated_ms: Mapped[Moment]
