"""Credentials are written over HTTP and never read: not from answers, logs or the database."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.server import Services
from engine.access import CHORUS
from engine.credentials import Vault
from tests.api.server.conftest import SECRET, Ask

# In every name and value that is secret, right or wrong.
HIDDEN = "hunter2"
GIVEN = {"apiKey": f"{HIDDEN}-key", "apiSecret": f"{HIDDEN}-secret"}
LIVE = {"name": "live", "venue": "binance", "balances": {"USDT": "5"}, "credentials": GIVEN}


def opened(client: TestClient) -> str:
    made = client.post("/accounts", json=LIVE, headers={"Idempotency-Key": "once"})
    assert made.status_code == 201, made.text
    found: str = made.json()["id"]
    return found


def test_they_are_written_and_never_read(
    ask: Ask, services: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ann, admin = ask("ann"), ask("admin")
    row = services.accounts.get(opened(ann), CHORUS)
    path = f"/accounts/{row.id}"
    assert row.credentials is not None
    assert Vault(SECRET).open(row.id, row.credentials) == GIVEN
    again = ann.post("/accounts", json=LIVE, headers={"Idempotency-Key": "once"})
    changed = ann.put(f"{path}/credentials", json={"credentials": GIVEN})
    shown = [again, changed, ann.get(path), ann.get("/accounts"), admin.get("/audit")]
    gone = ann.delete(f"{path}/credentials", headers={"If-Match": changed.headers["etag"]})
    assert again.headers["idempotency-replayed"] == "true"
    assert [each.json()["hasCredentials"] for each in (again, changed, gone)] == [True, True, False]
    assert all("credentials" not in each.json() for each in (again, changed, gone))
    assert "set credentials" in admin.get("/audit").text
    assert all(each.status_code < 300 and HIDDEN not in each.text for each in [*shown, gone])
    assert HIDDEN not in caplog.text
    content = b"".join(file.read_bytes() for file in tmp_path.glob("chorus.db*"))
    assert b"binance" in content
    assert HIDDEN.encode() not in content


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        HIDDEN,
        [HIDDEN],
        {},
        {HIDDEN: 5},
        {HIDDEN: None},
        {HIDDEN: ""},
        {HIDDEN: [HIDDEN]},
        {f"{HIDDEN} ": HIDDEN},
        {"apiKey": {HIDDEN: HIDDEN}},
        {"apiKey": HIDDEN * 2_000},
        {"apiKey": f"{HIDDEN}\ud800"},
        {f"{HIDDEN}{n}": HIDDEN for n in range(21)},
    ],
)
def test_what_is_wrong_with_them_is_said_without_a_word_of_them(
    ask: Ask, tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    ann = ask("ann")
    # As text, since not all of it can be sent otherwise.
    body = f'{{"credentials": {json.dumps(wrong)}}}'
    headers = {"Content-Type": "application/json", "Idempotency-Key": "wrong"}
    path = f"/accounts/{opened(ann)}/credentials"
    refused = [ann.put(path, content=body, headers=headers)]
    if wrong is not None:
        account = f'{{"name": "x", "venue": "y", "balances": {{"USDT": "1"}}, {body[1:]}'
        refused.append(ann.post("/accounts", content=account, headers=headers))
    for answer in refused:
        assert answer.status_code == 422, answer.text
        assert HIDDEN not in answer.text
        assert "credentials" in answer.json()["errors"][0]["path"] or "\\ud800" in body
    assert HIDDEN not in caplog.text
    content = b"".join(file.read_bytes() for file in tmp_path.glob("chorus.db*"))
    assert HIDDEN.encode() not in content


def test_they_are_not_shown_where_something_else_is_wrong(ask: Ask) -> None:
    ann = ask("ann")
    for body in (
        LIVE | {"venue": "paper"},
        LIVE | {"venue": "Not One"},
        LIVE | {"balances": {"USDT": "0"}},
        LIVE | {"name": "ann"} | {"balances": {}},
        LIVE | {"unknown": GIVEN},
    ):
        refused = ann.post("/accounts", json=body)
        assert refused.status_code == 422, refused.text
        assert HIDDEN not in refused.text
    assert [each["id"] for each in ann.get("/accounts").json()["items"]] == ["ann"]
    refused = ann.put("/accounts/ann/credentials", json={"credentials": GIVEN})
    assert "is a paper account, which needs none" in refused.json()["detail"]
    assert ann.post("/accounts", json=LIVE).status_code == 201
    assert HIDDEN not in ann.post("/accounts", json=LIVE).text


def test_they_are_nobody_elses_business(ask: Ask) -> None:
    ann, bob, eve = ask("ann"), ask("bob"), ask("eve", role="viewer")
    path = f"/accounts/{opened(ann)}/credentials"
    for client, status in ((bob, 404), (eve, 403), (ask(), 401)):
        assert client.put(path, json={"credentials": {"apiKey": "x"}}).status_code == status
        assert client.delete(path).status_code == status
    assert ann.get(path.removesuffix("/credentials")).headers["etag"] == '"1"'
    stale = {"If-Match": '"9"'}
    body = {"credentials": {"apiKey": "x"}}
    assert ann.put(path, json=body, headers=stale).status_code == 412
    assert ann.delete(path, headers=stale).status_code == 412


def test_the_document_says_that_they_are_only_written(ask: Ask) -> None:
    schemas = ask().get("/openapi.json").json()["components"]["schemas"]
    given = schemas["NewCredentials"]["properties"]["credentials"]
    assert given["writeOnly"] is True
    assert [each["format"] for each in given["patternProperties"].values()] == ["password"]
    assert given["additionalProperties"] is False
    shown = schemas["AccountView"]["properties"]
    assert shown["hasCredentials"]["type"] == "boolean"
    assert "credentials" not in shown
