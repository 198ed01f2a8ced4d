"""Tables of what was traded: orders, fills, positions.

Their rows name strategies, subscriptions and accounts without foreign keys; see `Signal`.
"""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from engine.store.base import Amount, Asked, Base, Id, Moment, Words

__all__ = ["Fill", "Order", "Position"]


class Order(Base):
    """An order, as last heard of.

    Attributes:
        id: Made from the run and the decision it comes from, so that none can be written twice.
        run_id: Of which run.
        strategy_id: Whose: the id of a strategy, or of a subscription that follows one.
        account_id: Where; empty: not known.
        signal_id: What it comes from; of a protective order, what its entry comes from.
        slice: Of the run, in which it was decided.
        symbol: What.
        side: ``buy`` or ``sell``.
        kind: ``market``, ``limit``, ``stop`` and so on.
        role: ``entry``, ``exit``, ``stop_loss``, ``take_profit`` or ``trailing_stop``.
        quantity: Base currency.
        price: Quote currency; None for the market's.
        trail: Fraction of a trailing stop; None for others.
        net_id: The order it was netted into; None: none.
        filled: Base currency so far.
        status: ``open``, ``filled``, ``canceled``, ``rejected``.
        reason: Why it was canceled or rejected; empty otherwise.
        created_ms: When, in market time.
        updated_ms: When it changed last, in market time.
    """

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("status IN ('open', 'filled', 'canceled', 'rejected')", name="status"),
        Index(None, "strategy_id", "created_ms", "id"),
        Index(None, "account_id", "created_ms", "id"),
        Index(None, "created_ms", "id"),
    )

    id: Mapped[Words] = mapped_column(primary_key=True)
    run_id: Mapped[Id]
    strategy_id: Mapped[Id]
    account_id: Mapped[Id]
    signal_id: Mapped[Words]
    slice: Mapped[Moment]
    symbol: Mapped[Words]
    side: Mapped[Id]
    kind: Mapped[Id]
    role: Mapped[Id]
    quantity: Mapped[Asked]
    price: Mapped[Asked | None]
    trail: Mapped[Amount | None]
    net_id: Mapped[Words | None]
    filled: Mapped[Amount] = mapped_column(default=Decimal(0))
    status: Mapped[Id] = mapped_column(index=True)
    reason: Mapped[Words]
    created_ms: Mapped[Moment]
    updated_ms: Mapped[Moment]


class Fill(Base):
    """A trade that an order led to.

    Attributes:
        id: Made from the order and its number, so that none can be written twice.
        run_id: Of which run.
        order_id: Of which order.
        strategy_id: Whose: the id of a strategy, or of a subscription that follows one.
        account_id: Where; empty: not known.
        symbol: What.
        side: ``buy`` or ``sell``.
        role: As of its order.
        quantity: Base currency.
        price: Quote currency.
        fee: In `fee_currency`.
        fee_currency: In which it is paid.
        realized: Profit it brought, quote currency, before its fee; None where it only opens.
        at_ms: When, in market time.
        line: Number of its line in the ledger of its run, which tells what came first of several
            at a moment; None: not known.
    """

    __tablename__ = "fills"
    __table_args__ = (
        Index(None, "strategy_id", "at_ms", "id"),
        Index(None, "account_id", "at_ms", "id"),
        Index(None, "at_ms", "id"),
    )

    id: Mapped[Words] = mapped_column(primary_key=True)
    run_id: Mapped[Id]
    order_id: Mapped[Words] = mapped_column(ForeignKey("orders.id"), index=True)
    strategy_id: Mapped[Id]
    account_id: Mapped[Id]
    symbol: Mapped[Words]
    side: Mapped[Id]
    role: Mapped[Id]
    quantity: Mapped[Amount]
    price: Mapped[Amount]
    fee: Mapped[Amount]
    fee_currency: Mapped[Id]
    realized: Mapped[Amount | None]
    at_ms: Mapped[Moment]
    line: Mapped[int | None] = mapped_column(BigInteger)


class Position(Base):
    """What a strategy holds of a symbol on an account, in the run that trades it now.

    Attributes:
        strategy_id: Who: the id of a strategy, or of a subscription that follows one.
        account_id: Where; empty: not known.
        symbol: What.
        run_id: Of which run.
        quantity: Base currency, below zero when short.
        cost: What the open part was entered for, quote currency; never below zero.
        entry_price: Mean price it was entered at, quote currency; None when flat.
        realized: Profit of what was closed so far, quote currency, before fees.
        updated_ms: When it changed last, in market time.
    """

    __tablename__ = "positions"

    strategy_id: Mapped[Id] = mapped_column(primary_key=True)
    account_id: Mapped[Id] = mapped_column(primary_key=True)
    symbol: Mapped[Words] = mapped_column(primary_key=True)
    run_id: Mapped[Id] = mapped_column(index=True)
    quantity: Mapped[Amount]
    cost: Mapped[Amount]
    entry_price: Mapped[Amount | None]
    realized: Mapped[Amount]
    updated_ms: Mapped[Moment]
