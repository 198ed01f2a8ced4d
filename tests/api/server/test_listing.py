"""A page that is sent at once is the one its views would make; moments are read as documented."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import Field

from api.server.listing import (
    Amount,
    From,
    Listing,
    Moment,
    To,
    View,
    iso,
    listed,
    moment,
    renamed,
)
from engine.store.paging import Page


class Everything(View):
    id: int
    long_name: str
    price: Amount
    limit_price: Amount | None
    config: dict[str, Any]
    number: int | None = renamed("definition_number", "definitionVersion")
    at: Moment = renamed("at_ms", "at")
    ended: Moment | None = moment("ended")
    flag: bool = Field(default=True, description="always there")


def a_row(**changes: object) -> SimpleNamespace:
    fields = {
        "id": 1,
        "long_name": 'a "b" ü',
        "price": Decimal("1E+3"),
        "limit_price": Decimal("0.10"),
        "config": {"a": [1, None, {"b": 0.5}]},
        "definition_number": 3,
        "at_ms": 1_704_067_200_123,
        "ended_ms": 0,
        "flag": False,
    }
    return SimpleNamespace(**(fields | changes))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [a_row()],
        [a_row(), a_row(limit_price=None, ended_ms=None, definition_number=None)],
    ],
)
@pytest.mark.parametrize("following", [None, "abc"])
def test_a_page_is_what_its_views_would_be(rows: list[Any], following: str | None) -> None:
    made = Listing[Everything](items=[Everything.of(row) for row in rows], next=following)
    sent = listed(Everything, Page(rows, following))
    assert sent.media_type == "application/json"
    assert msgspec.json.decode(sent.body) == msgspec.json.decode(
        made.model_dump_json(by_alias=True)
    )


def test_amounts_are_digits_and_moments_iso_8601() -> None:
    item = msgspec.json.decode(listed(Everything, Page([a_row()], None)).body)["items"][0]
    assert (item["price"], item["limitPrice"]) == ("1000", "0.1")
    assert (item["at"], item["ended"]) == ("2024-01-01T00:00:00.123Z", "1970-01-01T00:00:00.000Z")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("2024-01-01T00:00:00Z", 1_704_067_200_000),
        ("2024-01-01T01:30:00.5+01:30", 1_704_067_200_500),
        ("2024-01-01t00:00:00.123456789z", 1_704_067_200_123),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000),
        ("2024-01-01T00:00:00", None),
        ("2024-02-30T00:00:00Z", None),
        ("2024-01-01", None),
        ("1704067200", None),
        ("0000-01-01T00:00:00Z", None),
        ("", None),
    ],
)
def test_a_period_needs_moments_with_their_zone(text: str, answer: int | None) -> None:
    app = FastAPI()

    @app.get("/")
    def ask(since: From = None, until: To = None) -> list[int | None]:
        return [since, until]

    got = TestClient(app).get("/", params={"from": text, "to": text})
    if answer is None:
        assert got.status_code == 422
    else:
        assert got.json() == [answer, answer]
    parameters = app.openapi()["paths"]["/"]["get"]["parameters"]
    assert [p["name"] for p in parameters] == ["from", "to"]
    for parameter in parameters:
        assert parameter["schema"]["type"] == "string"
        assert parameter["schema"]["format"] == "date-time"


def test_the_same_moment_is_written_the_same_every_time() -> None:
    assert iso(1) == iso(1) == "1970-01-01T00:00:00.001Z"
