"""What the lists of what strategies did have in common: a request chooses rows by its query."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Annotated, Any, Literal

from fastapi import Query

from api.server.listing import After, From, Limit, To
from engine.history import Selection

__all__ = ["Account", "Selecting", "Side", "Strategy", "Symbol"]

Strategy = Annotated[
    str | None, Query(max_length=64, description="Id of a strategy or a subscription")
]
Account = Annotated[str | None, Query(max_length=64)]
Symbol = Annotated[str | None, Query(max_length=64, examples=["BTC/USDT"])]
Side = Literal["buy", "sell"] | None


class Selecting:
    """A dependency of FastAPI that makes a `Selection` of the query.

    Lists differ in what they are filtered and sorted by, and FastAPI reads the parameters of a
    query from a signature: so each list has an instance with a signature of its own.

    Args:
        sort: What a list is sorted by where nothing is said.
        by: The words it may be sorted by, for people.
        filters: Attributes of a `Selection` and their types; without one all rows are chosen.
    """

    def __init__(self, sort: str, by: str, **filters: Any) -> None:
        word = Annotated[str, Query(description=f"{by}; `-` reverses")]
        self.__signature__ = Signature(
            [
                *(_parameter(name, kind, None) for name, kind in filters.items()),
                _parameter("since", From, None),
                _parameter("until", To, None),
                _parameter("sort", word, sort),
                _parameter("after", After, None),
                _parameter("limit", Limit, 100),
            ]
        )

    async def __call__(self, *, since: int | None, until: int | None, **more: Any) -> Selection:
        """Return what a request chooses; called by FastAPI, which has checked the values."""
        return Selection(since_ms=since, until_ms=until, **more)


def _parameter(name: str, kind: Any, default: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
