"""Pages of a list that stay right while rows come and go: each goes on after the last one seen."""

from __future__ import annotations

import base64
import binascii
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Select, Text, and_, cast, or_
from sqlalchemy.orm import InstrumentedAttribute, Session

from engine.errors import ConfigError

__all__ = ["MAX_LIMIT", "Order", "Page", "Plain", "order_of", "take_page"]

MAX_LIMIT: Final = 1_000

_BIGGEST: Final = 2**63
"""What no integer of a database reaches."""

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some rows of a list.

    Attributes:
        items: The rows.
        next: Asks for the rows after these; None: these are the last.
    """

    items: list[T]
    next: str | None


class Plain(msgspec.Struct, frozen=True):
    """What rows have that are only read.

    Attributes:
        without: Attributes nobody reads.
        as_text: Documents that come as JSON text, for whoever only passes them on.
    """

    without: tuple[InstrumentedAttribute[Any], ...] = ()
    as_text: tuple[InstrumentedAttribute[Any], ...] = ()


class Order(msgspec.Struct, frozen=True):
    """What a list is sorted by; the last one of several is unique.

    Attributes:
        by: A column that is never NULL.
        is_descending: Greatest first.
    """

    by: InstrumentedAttribute[Any]
    is_descending: bool = False


def order_of(
    sort: str,
    columns: Mapping[str, InstrumentedAttribute[Any]],
    *,
    last: InstrumentedAttribute[Any],
) -> list[Order]:
    """Return the order a caller asks for by a word.

    Args:
        sort: One of the words, with ``-`` in front descending.
        columns: What the words stand for.
        last: A unique column, which decides between equals.

    Raises:
        ConfigError: There is no such word.
    """
    column = columns.get(sort.removeprefix("-"))
    if column is None:
        raise ConfigError(f"sort: must be one of {', '.join(columns)}, got {sort!r}")
    is_descending = sort.startswith("-")
    return [Order(each, is_descending) for each in dict.fromkeys((column, last))]


def take_page(
    session: Session,
    query: Select[T],
    order: Sequence[Order],
    *,
    after: str | None,
    limit: int,
    plain: Plain | None = None,
) -> Page[T]:
    """Return some rows of a query.

    Args:
        session: In a transaction.
        query: Of one mapped class, not sorted.
        order: What to sort by.
        after: As the page before said; None: the first ones.
        limit: How many at most, from 1 to `MAX_LIMIT`.
        plain: The rows have these attributes of the class and are only read; half the time.

    Raises:
        ConfigError: `limit` is out of range, or no page of this list has said `after`.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ConfigError(f"limit: must be from 1 to {MAX_LIMIT}, got {limit}")
    if after is not None:
        query = query.where(_beyond(order, _read(after, order)))
    columns = (each.by.desc() if each.is_descending else each.by.asc() for each in order)
    query = query.order_by(*columns).limit(limit + 1)
    rows = list(session.scalars(query)) if plain is None else _plain(session, query, plain)
    items = rows[:limit]
    return Page(items, _written(items[-1], order) if len(rows) > limit else None)


def _plain(session: Session, query: Select[T], plain: Plain) -> list[T]:
    """Return rows without what follows changes of them."""
    [table] = query.get_final_froms()
    unread, texts = ({each.key for each in some} for some in (plain.without, plain.as_text))
    columns = [
        cast(column, Text).label(column.key) if column.key in texts else column
        for column in table.c
        if column.key not in unread
    ]
    return typing.cast("list[T]", session.execute(query.with_only_columns(*columns)).all())


def _beyond(order: Sequence[Order], values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition of rows that come after one."""
    cases: list[ColumnElement[bool]] = []
    for place, (each, value) in enumerate(zip(order, values, strict=True)):
        same = (e.by == v for e, v in zip(order[:place], values[:place], strict=True))
        further = each.by < value if each.is_descending else each.by > value
        cases.append(and_(*same, further))
    first, value = order[0], values[0]
    # Says nothing new, but it alone lets a database begin at the place in an index.
    bound = first.by <= value if first.is_descending else first.by >= value
    return and_(bound, or_(*cases))


def _written(row: Any, order: Sequence[Order]) -> str:
    values = [[each.by.key for each in order], [getattr(row, each.by.key) for each in order]]
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def _read(cursor: str, order: Sequence[Order]) -> list[Any]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        names, values = msgspec.json.decode(text, type=tuple[list[str], list[str | int | float]])
    except (msgspec.DecodeError, binascii.Error, UnicodeEncodeError, ValueError) as error:
        raise ConfigError(
            f"after: is not what an earlier page gave as `next`: {cursor[:80]!r}; leave it out to "
            "begin at the first page"
        ) from error
    kinds = [each.by.type.python_type for each in order]
    fits = len(values) == len(kinds) and all(map(isinstance, values, kinds))
    fits = fits and all(abs(value) < _BIGGEST for value in values if isinstance(value, int))
    if names != [each.by.key for each in order] or not fits:
        raise ConfigError(
            "after: belongs to a list that is sorted otherwise; leave it out to begin at the first "
            "page"
        )
    return values
