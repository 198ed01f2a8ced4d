"""What all lists and all changes have in common."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Self, TypeVar

from fastapi import Depends, Header, Query, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from engine.errors import ConfigError
from engine.store.paging import MAX_LIMIT

__all__ = [
    "After",
    "Form",
    "IfMatch",
    "Limit",
    "Listing",
    "Moment",
    "View",
    "iso",
    "moment",
    "renamed",
]

T = TypeVar("T")

_TAG = re.compile(r'(?:W/)?"(\d{1,18})"')


class Form(BaseModel):
    """What is sent or shown: camelCase, and no field that is not known."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Listing(BaseModel, Generic[T]):
    """Some items of a list."""

    items: list[T]
    next: str | None = Field(description="Ask for the items after these with `after`")


After = Annotated[
    str | None, Query(max_length=1000, description="`next` of the page before; none: from the top")
]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items at most")]


def _version_wanted(
    if_match: Annotated[
        str | None, Header(description="Only if its ETag is still this one", examples=['"3"'])
    ] = None,
) -> int | None:
    """Return the version a change is bound to.

    Raises:
        ConfigError: It is not what an ETag of ours looks like.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    match = _TAG.fullmatch(if_match.strip())
    if match is None:
        raise ConfigError(f'If-Match: needs the ETag of an answer, e.g. "3", got {if_match[:80]!r}')
    return int(match[1])


IfMatch = Annotated[int | None, Depends(_version_wanted)]


def iso(at_ms: int) -> str:
    """Return a moment as ISO 8601, UTC.

    >>> iso(1_704_067_200_123)
    '2024-01-01T00:00:00.123Z'
    """
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[str, BeforeValidator(iso)]
"""Made from milliseconds UTC."""


class View(Form):
    """What is shown of a row, field by field of the same name."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, row: Any, response: Response | None = None) -> Self:
        """Return what is shown of a row.

        Args:
            row: The row.
            response: Gets its version as ETag.
        """
        if response is not None:
            response.headers["ETag"] = f'"{row.version}"'
        return cls.model_validate(row)


def moment(field: str) -> Any:
    """Return a field of a view that shows when something was; `field` holds its milliseconds."""
    return renamed(f"{field}_ms", field)


def renamed(attribute: str, shown: str) -> Any:
    """Return a field of a view that is called otherwise than the row's."""
    return Field(validation_alias=attribute, serialization_alias=shown)
