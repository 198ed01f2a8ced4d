"""Definitions, accounts and strategies over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.api.server.conftest import PASSWORD, Ask

DEFINITIONS = "/admin/strategy/definitions"
EMA = {
    "id": "one",
    "definition": "builtin-ema_cross",
    "account": "ann",
    "config": {"symbol": "BTC/USDT", "timeframe": "15m"},
}


def problem(answer: Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found["instance"] == answer.url.path
    return found


def test_a_strategy_is_deployed_changed_and_taken_away(ask: Ask) -> None:
    ann = ask("ann")
    made = ann.post("/strategies/start", json=EMA)
    assert made.status_code == 201
    assert made.headers["etag"] == '"1"'
    assert made.json()["created"].endswith("Z")
    assert made.json()["definitionVersion"] == 1
    paused = ann.put("/strategies/one/pause", headers={"If-Match": '"1"'})
    assert (paused.json()["desired"], paused.headers["etag"]) == ("paused", '"2"')
    assert (
        "by now, not 1"
        in problem(ann.put("/strategies/one/resume", headers={"If-Match": '"1"'}), 412)["detail"]
    )
    assert ann.put("/strategies/one/resume").json()["desired"] == "running"
    assert [s["id"] for s in ann.get("/strategies").json()["items"]] == ["one"]
    assert ann.delete("/strategies/one").status_code == 200
    problem(ann.get("/strategies/one"), 404)
    problem(ann.post("/strategies", json=EMA), 409)


def test_parameters_are_changed_while_it_runs(ask: Ask) -> None:
    ann = ask("ann")
    rules = {
        "key": "dips",
        "strategyType": "RULES",
        "defaults": {
            "indicators": {"rsi": {"period": 14}},
            "rules": {"entry": {"condition": "rsi < floor"}, "exit": {"condition": "rsi > 70"}},
            "parameters": {"floor": 30},
        },
    }
    made = ann.post(DEFINITIONS, json=rules)
    assert made.status_code == 201, made.text
    form = {**EMA, "definition": made.json()["id"]}
    assert ann.post("/strategies", json=form).status_code == 201
    changed = ann.put("/strategies/one/settings", json={"parameters": {"floor": 25}})
    assert changed.json()["config"]["parameters"] == {"floor": 25}
    wrong = problem(ann.put("/strategies/one/settings", json={"parameters": {"flor": 1}}), 422)
    assert "flor" in wrong["detail"]


def test_definitions_have_versions(ask: Ask) -> None:
    ann = ask("ann")
    made = ann.post(DEFINITIONS, json={"key": "mine", "strategyType": "EMA_CROSS"}).json()
    place = f"{DEFINITIONS}/{made['id']}"
    ann.post(f"{place}/update", json={"defaults": {"timeframe": "15m"}, "note": "slower"})
    back = ann.post(f"{place}/rollback", json={"to": 1}).json()
    assert (back["newest"], back["version"]) == (3, 3)
    versions = ann.get(f"{place}/versions").json()
    assert [v["number"] for v in versions] == [3, 2, 1]
    assert ann.get(f"{place}/versions/2").json()["note"] == "slower"
    assert versions[0]["schema"] == versions[2]["schema"]
    assert not ann.post(f"{place}/disable").json()["isEnabled"]
    keys = [d["key"] for d in ann.get(f"{DEFINITIONS}?enabled=false").json()["items"]]
    assert keys == ["mine"]


def test_pages_go_on_where_the_one_before_ended(ask: Ask) -> None:
    ann = ask("ann")
    for number in range(5):
        ann.post("/strategies", json={**EMA, "id": f"s{number}"})
    first = ann.get("/strategies?limit=3&sort=-id").json()
    rest = ann.get("/strategies", params={"sort": "-id", "after": first["next"]}).json()
    assert [s["id"] for s in first["items"] + rest["items"]] == ["s4", "s3", "s2", "s1", "s0"]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/strategies/one", None),
        ("PUT", "/strategies/one/pause", None),
        ("PUT", "/strategies/one/settings", {"parameters": {"allow_short": True}}),
        ("DELETE", "/strategies/one", None),
        ("PATCH", "/strategies/one", {"visibility": "public"}),
        ("PUT", "/strategies/one/resume", None),
        ("POST", "/strategies/one/activate", None),
        ("POST", "/strategies/one/deactivate", None),
        ("POST", "/strategies/one/restart", None),
        ("GET", "/strategies/one/candles", None),
        ("GET", "/accounts/ann", None),
        ("POST", "/accounts/ann/disable", None),
        ("DELETE", "/accounts/ann/credentials", None),
        ("GET", f"{DEFINITIONS}/{{mine}}", None),
        ("POST", f"{DEFINITIONS}/{{mine}}/update", {"name": "x"}),
        ("POST", f"{DEFINITIONS}/{{mine}}/disable", None),
        ("GET", f"{DEFINITIONS}/{{mine}}/versions", None),
        ("GET", f"{DEFINITIONS}/{{mine}}/versions/1", None),
        ("POST", f"{DEFINITIONS}/{{mine}}/rollback", {"to": 1}),
        ("GET", f"{DEFINITIONS}/{{mine}}/export", None),
    ],
)
def test_what_is_somebody_elses_is_not_there_and_nobody_gets_in_without_a_key(
    ask: Ask, method: str, path: str, body: Any
) -> None:
    ann, bob = ask("ann"), ask("bob")
    ann.post("/strategies/start", json=EMA)
    mine = ann.post(DEFINITIONS, json={"key": "mine", "strategyType": "EMA_CROSS"}).json()["id"]
    place = path.format(mine=mine)
    problem(bob.request(method, place, json=body), 404)
    for headers in ({}, {"X-API-Key": "chorus_x_y"}, {"Authorization": "Bearer x"}):
        refused = ask().request(method, place, json=body, headers=headers)
        problem(refused, 401)
        assert refused.headers["www-authenticate"] == "Bearer"
    assert ask("admin").request(method, place, json=body).status_code == 200


def test_a_viewer_changes_nothing(ask: Ask) -> None:
    eve = ask("eve", role="viewer")
    problem(eve.post("/strategies", json=EMA), 403)
    problem(eve.post("/accounts", json={"name": "x", "balances": {"USDT": "1"}}), 403)
    problem(eve.post(DEFINITIONS, json={"key": "x", "strategyType": "RULES"}), 403)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/strategies", {**EMA, "desired": "fast"}, "body.desired"),
        ("/strategies", {**EMA, "fancy": 1}, "body.fancy"),
        ("/strategies", {**EMA, "config": {**EMA["config"], "timeframe": "7q"}}, "config"),
        ("/strategies", {**EMA, "config": {"symbol": "X/Y", "timeframe": "1m"}}, "streams"),
        ("/strategies", {"id": "x"}, "body.definition"),
        ("/accounts", {"name": "x", "balances": {"USDT": "NaN"}}, "body.balances.USDT"),
        ("/accounts", {"name": "x", "balances": {"usdt": "1"}}, "balances"),
        (DEFINITIONS, {"key": "a b", "strategyType": "RULES"}, "key"),
        (DEFINITIONS, {"key": "a", "strategyType": "RULES", "schema": {"type": 1}}, "schema"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_field(
    ask: Ask, path: str, body: Any, field: str
) -> None:
    found = problem(ask("ann").post(path, json=body), 422)
    assert any(each["path"].startswith(field) for each in found["errors"]), found


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/strategies?limit=0", "query.limit"),
        ("/strategies?limit=x", "query.limit"),
        ("/strategies?after=nonsense", "after: is not what an earlier page"),
        ("/strategies?sort=config", "sort: must be one of"),
        (f"{DEFINITIONS}/x/versions/one", "path.number"),
    ],
)
def test_a_bad_question_is_answered_with_what_is_wrong(ask: Ask, path: str, message: str) -> None:
    assert message in problem(ask("ann").get(path), 422)["detail"]


def test_an_etag_that_is_none_is_refused(ask: Ask) -> None:
    ann = ask("ann")
    ann.post("/strategies/start", json=EMA)
    for tag in ("x", "1", '"x"', '"1" x'):
        refused = ann.put("/strategies/one/pause", headers={"If-Match": tag})
        assert "If-Match: needs the ETag" in problem(refused, 422)["detail"]
    assert ann.put("/strategies/one/pause", headers={"If-Match": "*"}).status_code == 200


def test_wrong_roads_get_problem_documents(ask: Ask) -> None:
    ann = ask("ann")
    problem(ann.get("/nothing"), 404)
    problem(ann.put("/strategies"), 405)
    problem(
        ann.post("/strategies", content=b"{", headers={"Content-Type": "application/json"}), 422
    )
    problem(ann.post("/strategies", content=b"\xff\xfe"), 415)


def test_signing_in_needs_the_right_password(ask: Ask) -> None:
    ann = ask("ann")
    assert ann.get("/me").json()["role"] == "trader"
    for name, password in [("ann", "wrong"), ("nobody", PASSWORD), ("", "")]:
        refused = ask().post("/sessions", json={"name": name, "password": password})
        assert problem(refused, 401)["detail"] == problem(ask().get("/me"), 401)["detail"]


def test_the_document_describes_every_route_and_no_secret_is_in_it(ask: Ask) -> None:
    client: TestClient = ask()
    document = client.get("/openapi.json").json()
    assert len(document["paths"]) > 10
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert "422" in operation["responses"], (path, method)
            assert operation["summary"], (path, method)
    assert "password_hash" not in str(document)
