"""Only hosts and origins that are allowed, and what every answer says to browsers."""

from __future__ import annotations

from typing import Any, cast

import pytest
from starlette.testclient import WebSocketDenialResponse

from api.server import Guards, Services
from tests.api.server.guards.conftest import Serve
from tests.api.server.test_routes import problem


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8642", "127.0.0.1", "LOCALHOST:1", "[::1]", "[::1]:80"]
)
def test_this_machine_is_asked_by_its_local_names(serve: Serve, host: str) -> None:
    assert serve().get("/me", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:8642", "", "127.0.0.2", "[::2]:80",
     "localhost@evil.example", "127.0.0.1.evil.example"],
)  # fmt: skip
def test_other_names_are_refused_whoever_asks(serve: Serve, host: str) -> None:
    refused = serve().get("/me", headers={"Host": host})
    assert "is not served here" in problem(refused, 400)["detail"]
    assert serve().get("/openapi.json", headers={"Host": host}).status_code == 400
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        serve().websocket_connect("ws://localhost/api/v1/stream", headers={"Host": host}),
    ):
        pass
    assert denied.value.status_code == 400


def test_names_that_are_allowed_are_served(serve: Serve) -> None:
    ours = serve(Guards(hosts=frozenset({"Chorus.example.org"})))
    assert ours.get("/me", headers={"Host": "chorus.example.org:443"}).status_code == 200
    assert ours.get("/me", headers={"Host": "localhost"}).status_code == 200
    assert ours.get("/me", headers={"Host": "x.chorus.example.org"}).status_code == 400


def test_addresses_with_a_nul_are_refused(serve: Serve) -> None:
    for path in ("/users/a%00b", "/users?after=%00", "/nothing?%00"):
        assert "character NUL" in problem(serve().get(path), 400)["detail"]


SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def test_every_answer_tells_browsers_to_be_careful(serve: Serve) -> None:
    client = serve()
    answers = [
        client.get("/me"), client.get("/nothing"), client.put("/me"), serve(key="").get("/me"),
        client.get("/me", headers={"Host": "x"}), client.get("/openapi.json"),
        client.post("/users", content=b"x" * 2_000_000),
    ]  # fmt: skip
    assert [a.status_code for a in answers] == [200, 404, 405, 401, 400, 200, 413]
    for answer in answers:
        assert SAFE.items() <= dict(answer.headers).items()


def test_a_defect_is_a_problem_document_that_shows_nothing(
    serve: Serve, services: Services
) -> None:
    broken = serve(work_with=cast("Services", Broken()))
    for defect in (broken.get("/audit"), broken.post("/users", content=b"{}")):
        found = problem(defect, 500)
        assert "secret" not in str(found)
        assert SAFE.items() <= dict(defect.headers).items()


class Broken:
    """No services."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError("secret")


# ------------------------------------------------------------------ other origins

THERE = "https://app.example.org"


def preflight(method: str = "PUT") -> dict[str, str]:
    return {
        "Origin": THERE,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "x-api-key, if-match, idempotency-key, content-type",
    }


def test_pages_of_other_origins_are_told_nothing(serve: Serve) -> None:
    client = serve()
    answers = [
        client.get("/me", headers={"Origin": THERE}),
        client.options("/me", headers=preflight()),
    ]
    assert [a.status_code for a in answers] == [200, 405]
    for answer in answers:
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_pages_of_allowed_origins_may_use_everything(serve: Serve) -> None:
    client = serve(Guards(origins=frozenset({THERE})))
    asked = client.options("/users/me/password", headers=preflight())
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == THERE
    assert "access-control-allow-credentials" not in asked.headers
    for answer in (
        client.get("/me", headers={"Origin": THERE}),
        serve(key="", behind=client).get("/me", headers={"Origin": THERE}),
        client.post("/users", content=b"x" * 2_000_000, headers={"Origin": THERE}),
    ):
        assert answer.headers["access-control-allow-origin"] == THERE
        assert "ETag" in answer.headers["access-control-expose-headers"]
    other = {**preflight(), "Origin": "https://evil.example"}
    assert "access-control-allow-origin" not in client.options("/me", headers=other).headers


def test_a_wrong_method_is_told_all_that_are_right(serve: Serve) -> None:
    client = serve()
    for path, methods in [
        ("/users", "GET, POST"),
        ("/settings/x", "GET, PUT"),
        ("/keys/x", "DELETE"),
    ]:
        refused = client.request("TRACE", path)
        problem(refused, 405)
        assert refused.headers["allow"] == methods
