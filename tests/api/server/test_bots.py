"""Bots over HTTP: everybody's own, and of public strategies nothing but what is offered."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import update

from api.server import Services
from engine.access import Caller
from engine.deployments import NewStrategy
from engine.store import Strategy
from tests.api.server.conftest import Ask

EMA = NewStrategy(
    id="one",
    definition="builtin-ema_cross",
    account="ann",
    config={"symbol": "BTC/USDT", "timeframe": "15m", "parameters": {"fast_period": 7}},
)
BOT = {"strategy": "one", "account": "bob", "capital": "250.50"}


@pytest.fixture
def ann(ask: Ask, services: Services) -> TestClient:
    """Return ann, who has a public strategy."""
    client = ask("ann")
    services.strategies.create(EMA, Caller(client.get("/me").json()["userId"], "trader"))
    make(services, visibility="public")
    return client


def make(services: Services, **fields: str | int) -> None:
    """Let ann's strategy be otherwise, as its own routes would."""
    with services.strategies._store.write() as session:
        session.execute(update(Strategy).where(Strategy.id == "one").values(**fields))


def problem(answer: Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    return found


def test_a_bot_follows_is_changed_pauses_and_leaves(ann: TestClient, ask: Ask) -> None:
    bob = ask("bob")
    made = bob.post("/bots", json={**BOT, "leverage": 2, "risk": {"stopLoss": "0.02"}})
    assert made.status_code == 201, made.text
    assert made.headers["etag"] == '"1"'
    bot = made.json()
    assert bot["created"].endswith("Z")
    assert {name: bot[name] for name in ("capital", "leverage", "risk", "status")} == {
        "capital": "250.5",
        "leverage": "2",
        "risk": {"stopLoss": "0.02"},
        "status": "active",
    }
    assert (bot["strategyId"], bot["accountId"], bot["strategyStatus"]) == ("one", "bob", "running")
    place = f"/bots/{bot['id']}"
    assert bob.get(place).json() == bot
    changed = bob.patch(place, json={"capital": 300}, headers={"If-Match": '"1"'})
    assert (changed.json()["capital"], changed.headers["etag"]) == ("300", '"2"')
    assert changed.json()["risk"] == bot["risk"]
    problem(bob.patch(place, json={"capital": 300}, headers={"If-Match": '"1"'}), 412)
    assert bob.put(f"{place}/pause").json()["status"] == "paused"
    assert bob.put(f"{place}/resume").json()["status"] == "active"
    assert bob.delete(place).status_code == 200
    problem(bob.get(place), 404)
    assert bob.post("/bots", json=BOT).status_code == 201


def test_lists_come_in_pages_and_by_strategy_and_status(ann: TestClient, ask: Ask) -> None:
    bob = ask("bob")
    made = bob.post("/bots", json=BOT).json()
    assert bob.get("/bots").json() == {"items": [made], "next": None}
    for query, found in [
        ("strategy=one", 1),
        ("strategy=two", 0),
        ("status=active", 1),
        ("status=paused", 0),
        ("limit=1", 1),
    ]:
        assert len(bob.get(f"/bots?{query}").json()["items"]) == found, query
    for query in ("status=fast", "limit=0", "after=nonsense"):
        problem(bob.get(f"/bots?{query}"), 422)


ROUTES = [
    ("GET", "/bots/{bot}", None),
    ("PATCH", "/bots/{bot}", {"capital": "1"}),
    ("PUT", "/bots/{bot}/pause", None),
    ("PUT", "/bots/{bot}/resume", None),
    ("DELETE", "/bots/{bot}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_what_is_somebody_elses_is_not_there_and_nobody_gets_in_without_a_key(
    ann: TestClient, ask: Ask, method: str, path: str, body: Any
) -> None:
    bob = ask("bob")
    place = path.format(bot=bob.post("/bots", json=BOT).json()["id"])
    for other in (ann, ask("eve", role="viewer")):
        problem(other.request(method, place, json=body), 404)
        assert other.get("/bots").json()["items"] == []
    problem(ask().request(method, place, json=body), 401)
    assert ask("admin").request(method, place, json=body).status_code == 200


def test_a_viewer_changes_nothing_and_nobody_takes_anothers_account(
    ann: TestClient, ask: Ask
) -> None:
    problem(ask("eve", role="viewer").post("/bots", json=BOT), 403)
    ask("bob")
    assert "account 'bob': there is none" in problem(ann.post("/bots", json=BOT), 422)["detail"]
    problem(ask().post("/bots", json=BOT), 401)
    problem(ask().get("/bots"), 401)


def test_of_a_public_strategy_followers_see_only_that_it_runs(
    ann: TestClient, ask: Ask, services: Services
) -> None:
    bob = ask("bob")
    made = bob.post("/bots", json=BOT)
    assert "fast_period" not in made.text
    assert "ann" not in made.text
    place = f"/bots/{made.json()['id']}"
    make(services, desired="stopped")
    assert bob.get(place).json()["strategyStatus"] == "stopped"
    make(services, deleted_ms=1)
    assert bob.get(place).json()["strategyStatus"] == "deleted"


def test_a_private_strategy_is_not_followed(ann: TestClient, ask: Ask, services: Services) -> None:
    bob = ask("bob")
    make(services, visibility="private")
    refused = problem(bob.post("/bots", json=BOT), 422)
    unknown = problem(bob.post("/bots", json={**BOT, "strategy": "nope"}), 422)
    assert refused["detail"].replace("'one'", "'nope'") == unknown["detail"]
    assert refused["errors"][0]["path"] == "strategy"


def test_the_owner_learns_how_many_follow_and_not_who(ann: TestClient, ask: Ask) -> None:
    bob = ask("bob")
    bob.post("/bots", json=BOT)
    for client in (ann, ask("admin")):
        assert client.get("/strategies/one/followers").json() == {"active": 1, "paused": 0}
    for client in (bob, ask("eve", role="viewer")):
        problem(client.get("/strategies/one/followers"), 404)
    problem(ask().get("/strategies/one/followers"), 401)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"capital": "0"}, "capital"),
        ({"capital": "1000.01"}, "capital"),
        ({"capital": "NaN"}, "body.capital"),
        ({"leverage": 126}, "leverage"),
        ({"risk": {"stopLoss": 2}}, "body.risk.stopLoss"),
        ({"risk": {"stopLos": 1}}, "body.risk.stopLos"),
        ({"account": "nope"}, "account"),
        ({"fancy": 1}, "body.fancy"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_field(
    ann: TestClient, ask: Ask, changes: dict[str, Any], field: str
) -> None:
    found = problem(ask("bob").post("/bots", json={**BOT, **changes}), 422)
    assert [each["path"] for each in found["errors"]] == [field]


def test_an_account_follows_a_strategy_once(ann: TestClient, ask: Ask) -> None:
    bob = ask("bob")
    bob.post("/bots", json=BOT)
    problem(bob.post("/bots", json={**BOT, "capital": 1}), 409)
