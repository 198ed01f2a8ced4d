"""What is told of a row: what the API shows of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final

import msgspec

from engine.money import plain
from engine.recording.owners import Owner
from engine.recording.rows import Row

__all__ = ["Draft", "of_fill", "of_order", "of_signal", "shown"]

_HIDDEN: Final = frozenset({"recorded_ms", "slice", "net_id", "line"})
_LONGEST: Final = 2_000
"""Characters of a text: an event has little room, and the store has all of it."""


class Draft(msgspec.Struct, frozen=True, array_like=True):
    """An event to be published, see `EventLog.publish`."""

    topic: str
    strategy_id: str
    owner_id: str
    data: dict[str, Any]


def of_signal(owner: Owner, row: Row) -> Draft:
    """Return what is told of a signal, a plain order that was asked for, or a wish to cancel."""
    told = owner.owner_id if owner.signals_to is None else owner.signals_to
    return Draft("signals", owner.strategy_id, told, shown(row))


def of_order(owner: Owner, row: Row) -> Draft:
    """Return what is told of an order whenever something about it has changed."""
    return Draft("orders", owner.strategy_id, owner.owner_id, shown(row, kind="type"))


def of_fill(owner: Owner, row: Row) -> Draft:
    """Return what is told of a fill."""
    return Draft("fills", owner.strategy_id, owner.owner_id, shown(row))


def shown(row: Row, kind: str = "kind") -> dict[str, Any]:
    """Return what is told of a row: names in camelCase, decimals as text, times as ISO 8601.

    Args:
        row: The row.
        kind: What the column of that name is called.

    >>> shown({"order_id": "r1|a", "at_ms": 1_500, "price": Decimal("6E+4")})
    {'orderId': 'r1|a', 'at': '1970-01-01T00:00:01.500Z', 'price': '60000'}
    """
    data: dict[str, Any] = {}
    for column, name in _plan(tuple(row), kind):
        value = row[column]
        found = type(value)
        if found is str:
            data[name] = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
        elif found is Decimal:
            data[name] = plain(value)[:_LONGEST]
        elif found is int and column.endswith("_ms"):
            data[name] = _iso(value)
        else:
            data[name] = value
    return data


@cache
def _plan(columns: tuple[str, ...], kind: str) -> list[tuple[str, str]]:
    """Return which columns are told, under which names: it is the same for all rows of a table."""
    names = {column: _name(column) for column in columns if column not in _HIDDEN}
    if "kind" in names:
        names["kind"] = kind
    return list(names.items())


def _name(column: str) -> str:
    first, *others = column.removesuffix("_ms").split("_")
    return first + "".join(word.capitalize() for word in others)


@lru_cache(maxsize=256)
def _iso(at_ms: int) -> str:
    """Return a moment as the API shows it; many rows of a batch have the same."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
