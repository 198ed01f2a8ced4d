"""Users, keys, settings and the audit log over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.server.conftest import PASSWORD, Ask
from tests.api.server.test_routes import problem

OTHER = "staple and a wire"
NEW = {"name": "Carl", "role": "trader", "password": PASSWORD}


def sign_in(ask: Ask, name: str, password: str) -> int:
    return ask().post("/sessions", json={"name": name, "password": password}).status_code


def id_of(client: TestClient) -> str:
    found: str = client.get("/me").json()["userId"]
    return found


def test_a_user_is_made_changed_and_kept_out(ask: Ask) -> None:
    admin = ask("admin")
    made = admin.post("/users", json=NEW)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.json().items() >= {"name": "carl", "role": "trader", "hasPassword": True}.items()
    assert made.json()["created"].endswith("Z")
    place = f"/users/{made.json()['id']}"
    assert sign_in(ask, "carl", PASSWORD) == 200
    promoted = admin.put(f"{place}/role", json={"role": "admin"}, headers={"If-Match": '"1"'})
    assert (promoted.json()["role"], promoted.headers["etag"]) == ("admin", '"2"')
    stale = admin.put(f"{place}/role", json={"role": "viewer"}, headers={"If-Match": '"1"'})
    problem(stale, 412)
    disabled = admin.post(f"{place}/disable", headers={"If-Match": '"2"'})
    assert disabled.json()["isDisabled"]
    assert sign_in(ask, "carl", PASSWORD) == 401
    assert not admin.post(f"{place}/enable").json()["isDisabled"]
    assert admin.put(f"{place}/password", json={"password": OTHER}).headers["etag"] == '"5"'
    assert sign_in(ask, "carl", OTHER) == 200
    assert admin.get(place).json() == admin.get("/users?limit=2").json()["items"][1]
    problem(admin.post("/users", json={**NEW, "name": "CARL"}), 409)


def test_one_admin_always_stays(ask: Ask) -> None:
    admin = ask("admin")
    place = f"/users/{id_of(admin)}"
    assert "last admin" in problem(admin.post(f"{place}/disable"), 409)["detail"]
    problem(admin.put(f"{place}/role", json={"role": "viewer"}), 409)


def test_who_is_no_admin_sees_itself_only_and_changes_nobody(ask: Ask) -> None:
    ann, bob = ask("ann"), ask("bob", role="viewer")
    for own, other in ((ann, bob), (bob, ann)):
        assert [u["id"] for u in own.get("/users").json()["items"]] == [id_of(own)]
        assert own.get(f"/users/{id_of(own)}").status_code == 200
        problem(own.get(f"/users/{id_of(other)}"), 404)
        problem(own.post("/users", json=NEW), 403)
        for whose in (own, other):
            place = f"/users/{id_of(whose)}"
            problem(own.put(f"{place}/role", json={"role": "admin"}), 403)
            problem(own.post(f"{place}/disable"), 403)
            problem(own.put(f"{place}/password", json={"password": OTHER}), 403)
    assert sign_in(ask, "ann", PASSWORD) == 200


def test_ones_own_password_takes_the_present_one(ask: Ask) -> None:
    ann, admin = ask("ann"), ask("admin")
    for present in ({}, {"present": OTHER}, {"present": None}):
        refused = ann.put("/users/me/password", json={"password": OTHER, **present})
        found = problem(refused, 403)
        assert OTHER not in str(found)
    form = {"password": OTHER, "present": PASSWORD}
    assert ann.put("/users/me/password", json=form, headers={"If-Match": '"9"'}).status_code == 412
    assert ann.put("/users/me/password", json=form).headers["etag"] == '"2"'
    assert (sign_in(ask, "ann", PASSWORD), sign_in(ask, "ann", OTHER)) == (401, 200)
    # The first admin has none yet; from then on it takes that.
    assert admin.put("/users/me/password", json={"password": PASSWORD}).json()["hasPassword"]
    problem(admin.put(f"/users/{id_of(admin)}/password", json={"password": OTHER}), 403)


def test_a_key_is_made_used_and_taken_back(ask: Ask) -> None:
    ann = ask("ann")
    made = ann.post("/keys", json={"name": "bot", "expires": "2124-01-01T01:00:00+01:00"})
    assert made.status_code == 201
    key = made.json()["key"]
    bot = ask()
    bot.headers["X-API-Key"] = key
    assert id_of(bot) == id_of(ann)
    (shown,) = ann.get("/keys").json()["items"]
    assert (shown["id"], shown["name"], shown["expires"]) == (
        made.json()["id"], "bot", "2124-01-01T00:00:00.000Z",
    )  # fmt: skip
    assert shown["used"].endswith("Z")
    assert key.split("_")[2] not in str(shown)
    assert bot.delete(f"/keys/{shown['id']}").json()["revoked"].endswith("Z")
    problem(bot.get("/me"), 401)
    assert ann.delete(f"/keys/{shown['id']}").status_code == 200


def test_keys_of_others_are_for_admins(ask: Ask) -> None:
    ann, bob, admin = ask("ann"), ask("bob"), ask("admin")
    form = {"name": "bot", "userId": id_of(ann)}
    made = admin.post("/keys", json=form).json()
    assert [k["id"] for k in admin.get(f"/keys?userId={id_of(ann)}").json()["items"]] == [
        made["id"]
    ]
    problem(bob.post("/keys", json=form), 404)
    problem(bob.get(f"/keys?userId={id_of(ann)}"), 404)
    problem(bob.delete(f"/keys/{made['id']}"), 404)
    assert bob.get("/keys").json()["items"] == []
    assert admin.delete(f"/keys/{made['id']}").json()["userId"] == id_of(ann)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": ""}, "key name"),
        ({"name": "x" * 65}, "body.name"),
        ({"name": "x", "expires": "2001-01-01T00:00:00Z"}, "expires_ms"),
        ({"name": "x", "expires": "9999-12-31T23:59:59-12:00"}, "expires_ms"),
        ({"name": "x", "expires": "2124-01-01T00:00:00"}, "body.expires"),
        ({"name": "x", "expires": True}, "body.expires"),
        ({"name": "x", "scope": "all"}, "body.scope"),
    ],
)
def test_keys_that_cannot_be_are_refused(ask: Ask, form: dict[str, Any], field: str) -> None:
    assert field in problem(ask("ann").post("/keys", json=form), 422)["detail"]


def test_settings_are_changed_by_admins_bound_to_a_version(ask: Ask) -> None:
    admin = ask("admin")
    made = admin.put("/settings/retention.days", json={"value": {"signals": 90}})
    assert (made.status_code, made.headers["etag"]) == (200, '"1"')
    changed = admin.put("/settings/retention.days", json={"value": 30}, headers={"If-Match": '"1"'})
    assert (changed.json()["value"], changed.json()["updatedBy"]) == (30, id_of(admin))
    problem(
        admin.put("/settings/retention.days", json={"value": 7}, headers={"If-Match": '"1"'}), 412
    )
    got = admin.get("/settings/retention.days")
    assert (got.json(), got.headers["etag"]) == (changed.json(), '"2"')
    assert admin.get("/settings").json()["items"] == [changed.json()]
    problem(admin.get("/settings/none"), 404)
    problem(admin.put("/settings/A", json={"value": 1}), 422)
    problem(admin.put("/settings/a", json={}), 422)


def test_what_was_changed_is_shown_to_admins(ask: Ask) -> None:
    ann, admin = ask("ann"), ask("admin")
    key = ann.post("/keys", json={"name": "bot"}).json()
    ann.delete(f"/keys/{key['id']}")
    admin.put("/settings/a", json={"value": 1})
    newest = admin.get("/audit?limit=1").json()
    (entry,) = newest["items"]
    assert (entry["kind"], entry["objectId"], entry["change"]) == (
        "settings",
        "a",
        {"value": [None, 1]},
    )
    rest = admin.get("/audit", params={"after": newest["next"]}).json()
    ids = [entry["id"], *(e["id"] for e in rest["items"])]
    assert ids == sorted(ids, reverse=True)
    about = admin.get("/audit", params={"kind": "api_keys", "objectId": key["id"]}).json()
    assert [e["action"] for e in about["items"]] == ["revoke", "create"]
    by_ann = admin.get("/audit", params={"userId": id_of(ann)}).json()["items"]
    assert {e["userId"] for e in by_ann} == {id_of(ann)}
    everything = admin.get("/audit?limit=1000").text
    assert key["key"].split("_")[2] not in everything
    assert PASSWORD not in everything


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/audit", None),
        ("GET", "/settings", None),
        ("GET", "/settings/a", None),
        ("PUT", "/settings/a", {"value": 1}),
    ],
)
def test_what_is_for_admins_is_for_nobody_else(ask: Ask, method: str, path: str, body: Any) -> None:
    for name, role in (("ann", "trader"), ("eve", "viewer")):
        refused = ask(name, role=role).request(method, path, json=body)
        assert "needs the role admin" in problem(refused, 403)["detail"]


FOR_EVERYBODY = {("POST", "/sessions"), ("GET", "/system/health"), ("GET", "/system/ready")}


def test_nothing_else_is_answered_without_a_key(ask: Ask) -> None:
    nobody = ask()
    document = nobody.get("/openapi.json").json()
    operations = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert len(operations) > 30
    for method, path in sorted(operations):
        if (method, path.removeprefix("/api/v1")) in FOR_EVERYBODY:
            continue
        place = f"http://chorus{path.format_map(Anything())}"
        for headers in ({}, {"X-API-Key": f"chorus_{'0' * 16}_{'0' * 64}"}):
            refused = nobody.request(method, place, json={}, headers=headers)
            assert refused.status_code == 401, (method, path, refused.text)


class Anything(dict[str, str]):
    """Has a value for every place of a path that any of its routes takes."""

    def __missing__(self, key: str) -> str:
        return {"what": "disable", "number": "1"}.get(key, "x")


def test_every_operation_says_what_the_guards_may_answer(ask: Ask) -> None:
    document = ask().get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert {"400", "413", "415", "429"} <= set(operation["responses"]), path
            names = [p["name"] for p in operation.get("parameters", [])]
            assert ("Idempotency-Key" in names) == (method == "post"), path
    assert "instance" in document["components"]["schemas"]["Problem"]["properties"]
