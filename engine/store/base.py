"""What all tables share: column types and the names of constraints."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, Dialect, Integer, MetaData, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

from engine.money import plain

__all__ = [
    "Amount",
    "Asked",
    "Base",
    "Counter",
    "Document",
    "Id",
    "Moment",
    "Money",
    "Words",
]

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name, so that a migration can change it on both databases."""


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(naming_convention=_NAMES)


class Money(TypeDecorator[Decimal]):
    """A decimal, to the digit: SQLite has none, and would round to a float."""

    impl = String(80)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """Write it without an exponent."""
        del dialect
        return None if value is None else plain(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        """Read it as it was written."""
        del dialect
        return None if value is None else Decimal(value)


class AnyMoney(Money):
    """A decimal of any length: what others ask for is not bounded by anything."""

    impl = Text()
    cache_ok = True


_JSON = JSON().with_variant(JSONB(), "postgresql")

Id = Annotated[str, mapped_column(String(64))]
"""An identity: a user's own name for a thing, or a random one."""

Words = Annotated[str, mapped_column(Text)]
Moment = Annotated[int, mapped_column(BigInteger)]
"""Milliseconds since 1970, UTC."""

Amount = Annotated[Decimal, mapped_column(Money)]
Asked = Annotated[Decimal, mapped_column(AnyMoney)]
"""An amount as somebody asked for it."""

Document = Annotated[dict[str, Any], mapped_column(_JSON)]
Counter = Annotated[
    int,
    mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True
    ),
]
"""A number given by the database, in the order of writing."""
