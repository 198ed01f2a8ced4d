"""What is told of a row: as the API shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final

import msgspec

from engine.money import plain
from engine.recording.rows import Row

__all__ = ["Draft", "shown"]

_HIDDEN: Final = frozenset({"run_id", "recorded_ms"})
_LONGEST: Final = 2_000
"""Characters of a text: an event has little room, and the store has all of it."""


class Draft(msgspec.Struct, frozen=True, array_like=True):
    """An event to be published, see `EventLog.publish`."""

    topic: str
    strategy_id: str
    owner_id: str
    data: dict[str, Any]


def shown(row: Row) -> dict[str, Any]:
    """Return what is told of a row: names in camelCase, decimals as text, times as ISO 8601.

    >>> shown({"order_id": "r1|a", "at_ms": 1_500, "price": Decimal("6E+4"), "run_id": "r1"})
    {'orderId': 'r1|a', 'at': '1970-01-01T00:00:01.500Z', 'price': '60000'}
    """
    data: dict[str, Any] = {}
    for column, name in _plan(tuple(row)):
        value = row[column]
        kind = type(value)
        if kind is str:
            data[name] = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
        elif kind is Decimal:
            data[name] = plain(value)[:_LONGEST]
        elif kind is int and column.endswith("_ms"):
            data[name] = _iso(value)
        else:
            data[name] = value
    return data


@cache
def _plan(columns: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return which columns are told, under which names: it is the same for all rows of a table."""
    return [(column, _name(column)) for column in columns if column not in _HIDDEN]


def _name(column: str) -> str:
    first, *others = column.removesuffix("_ms").split("_")
    return first + "".join(word.capitalize() for word in others)


@lru_cache(maxsize=256)
def _iso(at_ms: int) -> str:
    """Return a moment as the API shows it; many rows of a batch have the same."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
