"""What strategies did, over HTTP: to their owners, page by page, and to nobody else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

from api.server import Services
from api.server.routes import (
    alerts,
    fills,
    orders,
    portfolio,
    positions,
    strategy_history,
)
from engine.history import History
from engine.store import Store, Strategy
from tests.api.server.conftest import Ask
from tests.api.server.test_routes import EMA, problem
from tests.engine.history.conftest import (
    a_fill,
    a_position,
    a_signal,
    an_execution,
    an_order,
)

ORDER = "r1|one|paper:BTC/USDT:15m|41|0"
OF_A_STRATEGY = [
    "orders",
    "fills",
    "signals",
    "position",
    "executions",
    "performance",
    "equity",
]
NOON = "1970-01-01T12:00:00Z"


def store_of(services: Services) -> Store:
    return services.history._store


@pytest.fixture
def ann(ask: Ask, services: Services) -> TestClient:
    """Return a client whose strategy ``one`` has done a little of everything."""
    client = ask("ann")
    assert client.post("/strategies", json=EMA).status_code == 201
    own = {"strategy_id": "one", "account_id": "ann"}
    with store_of(services).write() as session:
        for n in range(3):
            order = ORDER if n == 0 else f"o{n}"
            status = "open" if n == 2 else "filled"
            session.add(an_order(order, created_ms=n, price=Decimal("1E+2"), status=status, **own))
            session.flush()
            profit = Decimal(5) if n else None
            session.add(a_fill(f"{order}#1", at_ms=n, realized=profit, **own))
            session.add(a_signal(f"g{n}", strategy_id="one", at_ms=n))
            session.add(an_execution(n, strategy_id="one"))
        session.add(a_position(**own))
    return client


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        ("/orders", "id", ["o2", "o1", ORDER]),
        ("/orders?strategy=one&status=open", "id", ["o2"]),
        ("/orders?account=nobody", "id", []),
        ("/fills", "id", ["o2#1", "o1#1", f"{ORDER}#1"]),
        ("/fills?sort=at&side=sell", "id", []),
        ("/positions?open=true", "unrealized", [None]),
        ("/strategies/one/orders?sort=created", "id", [ORDER, "o1", "o2"]),
        ("/strategies/one/orders?side=buy&status=filled&symbol=BTC/USDT", "id", ["o1", ORDER]),
        ("/strategies/one/fills?from=1970-01-01T00:00:00.001Z", "id", ["o2#1", "o1#1"]),
        ("/strategies/one/fills?to=1970-01-01T00:00:00.001%2B00:00", "id", [f"{ORDER}#1"]),
        ("/strategies/one/signals?code=accepted", "id", ["g2", "g1", "g0"]),
        ("/strategies/one/position", "quantity", ["2"]),
        ("/strategies/one/executions?result=failed", "interval", []),
        ("/strategies/one/executions?limit=1", "interval", ["1970-01-01T00:00:00.002Z"]),
    ],
)
def test_lists_show_what_was_done(
    ann: TestClient, path: str, key: str, expected: list[Any]
) -> None:
    got = ann.get(path)
    assert got.status_code == 200, got.text
    assert [item[key] for item in got.json()["items"]] == expected


@pytest.mark.parametrize(
    "path", ["/orders", "/fills", *(f"/strategies/one/{each}" for each in OF_A_STRATEGY[:3])]
)
def test_pages_go_on(ann: TestClient, path: str) -> None:
    first = ann.get(path, params={"limit": 2}).json()
    rest = ann.get(path, params={"after": first["next"]}).json()
    assert len({item["id"] for item in first["items"] + rest["items"]}) == 3
    assert rest["next"] is None


def test_an_order_shows_its_fills_though_its_id_holds_slashes(ann: TestClient) -> None:
    found = ann.get(f"/orders/{ORDER}").json()
    assert (found["order"]["id"], found["order"]["price"]) == (ORDER, "100")
    assert [(fill["orderId"], fill["fee"]) for fill in found["fills"]] == [(ORDER, "0.5")]
    assert ann.get("/orders/" + ORDER.replace("/", "%2F").replace("|", "%7C")).json() == found
    problem(ann.get("/orders/nothing/here"), 404)


def test_performance_and_equity_of_a_period(ann: TestClient) -> None:
    whole = ann.get("/strategies/one/performance").json()
    assert (whole["fills"], whole["net"], whole["capital"]) == (3, "8.5", "1000")
    assert (whole["since"], whole["sharpe"]) == ("1970-01-01T00:00:00.000Z", None)
    later = ann.get("/strategies/one/performance", params={"from": NOON}).json()
    assert (later["fills"], later["capital"], later["since"]) == (0, "1008.5", None)
    equity = ann.get("/strategies/one/equity", params={"points": 4}).json()
    assert (equity["start"], equity["changes"]) == ("1000", 3)
    assert [point["equity"] for point in equity["points"]] == ["999.5", "1004", "1008.5"]
    assert equity["points"][0]["at"] == "1970-01-01T00:00:00.000Z"
    problem(ann.get("/strategies/one/equity?points=3"), 422)


def test_the_portfolio_is_worth_what_the_last_price_says(
    ask: Ask, services: Services, ann: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    [account] = ann.get("/portfolio").json()["accounts"]
    assert (account["accountId"], account["name"]) == ("ann", "paper")
    assert account["currencies"] == [
        {
            "currency": "USDT",
            "start": "1000",
            "realized": "7.25",
            "fees": "1.5",
            "balance": "1005.75",
            "unrealized": None,
            "equity": None,
        }
    ]
    monkeypatch.setattr(services.history, "_marks", lambda: {"BTC/USDT": Decimal(110)})
    [account] = ann.get("/portfolio?account=ann").json()["accounts"]
    assert account["currencies"][0]["equity"] == "1025.75"
    assert account["positions"][0]["unrealized"] == "20"
    assert ann.get("/positions").json()["items"] == account["positions"]
    problem(ask("bob").get("/portfolio?account=ann"), 404)
    assert ask("eve", role="viewer").get("/portfolio").json() == {"accounts": []}
    assert len(ask("admin").get("/portfolio").json()["accounts"]) == 2


@pytest.mark.parametrize(
    "path", [f"/orders/{ORDER}", *(f"/strategies/one/{each}" for each in OF_A_STRATEGY)]
)
def test_what_is_somebody_elses_is_not_there(ask: Ask, ann: TestClient, path: str) -> None:
    problem(ask("bob").get(path), 404)
    problem(ask("eve", role="viewer").get(path), 404)
    problem(ask().get(path), 401)
    assert ask("admin").get(path).status_code == 200
    assert ann.delete("/strategies/one").status_code == 200
    assert ann.get(path).status_code == 200, "what a deleted strategy did stays"


@pytest.mark.parametrize("path", ["/orders", "/fills", "/positions", "/alerts"])
def test_lists_hold_nothing_of_others(
    ask: Ask, services: Services, ann: TestClient, path: str
) -> None:
    raise_one(services, ann)
    assert ann.get(path).json()["items"]
    assert ask("bob").get(path).json() == {"items": [], "next": None}
    assert ask("bob2").get(path, params={"strategy": "one"}).json()["items"] == []
    assert ask("admin").get(path).json()["items"]
    problem(ask().get(path), 401)


def test_a_public_strategy_shows_what_it_wanted_and_made(
    ask: Ask, services: Services, ann: TestClient
) -> None:
    with store_of(services).write() as session:
        session.get_one(Strategy, "one").visibility = "public"
    bob = ask("bob")
    shown = {
        each for each in OF_A_STRATEGY if bob.get(f"/strategies/one/{each}").status_code == 200
    }
    assert shown == {"signals", "performance", "equity"}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/orders?from=yesterday", "query.from"),
        ("/orders?sort=price", "sort: must be one of created, updated"),
        ("/orders?status=lost", "query.status"),
        ("/fills?after=x", "after: is not what an earlier page gave"),
        ("/positions?open=perhaps", "query.open"),
        ("/alerts?level=bad", "query.level"),
        ("/strategies/one/executions?to=2024-01-01", "query.to"),
    ],
)
def test_a_bad_question_is_answered_with_what_is_wrong(
    ann: TestClient, path: str, message: str
) -> None:
    assert message in problem(ann.get(path), 422)["detail"]


def raise_one(services: Services, client: TestClient) -> int:
    owner = client.get("/me").json()["userId"]
    found = services.alerts.raise_alert(
        "error", "ended in error", "look at its cause", strategy_id="one", owner_id=owner
    )
    return found.id


def test_alerts_are_acknowledged_once(ask: Ask, services: Services, ann: TestClient) -> None:
    number = raise_one(services, ann)
    [shown] = ann.get("/alerts?open=true&strategy=one&level=error").json()["items"]
    assert (shown["id"], shown["acknowledged"]) == (number, None)
    first = ann.post(f"/alerts/{number}/acknowledge").json()
    assert first["acknowledged"].endswith("Z")
    assert first["acknowledgedBy"] == ann.get("/me").json()["userId"]
    assert ann.post(f"/alerts/{number}/acknowledge").json() == first
    assert ann.get("/alerts?open=true").json()["items"] == []
    assert ann.get("/alerts?open=false").json()["items"] == [first]
    problem(ask("bob").post(f"/alerts/{number}/acknowledge"), 404)
    problem(ask("eve", role="viewer").post(f"/alerts/{number}/acknowledge"), 404)
    problem(ask().post(f"/alerts/{number}/acknowledge"), 401)
    assert ask("admin").post(f"/alerts/{number}/acknowledge").json() == first
    problem(ann.post("/alerts/0/acknowledge"), 422)
    problem(ann.post(f"/alerts/{2**63}/acknowledge"), 422)
    problem(ann.post("/alerts/77/acknowledge"), 404)


def test_a_viewer_only_looks_at_its_alerts(ask: Ask, services: Services) -> None:
    eve = ask("eve", role="viewer")
    owner = eve.get("/me").json()["userId"]
    number = services.alerts.raise_alert("info", "hello", "", owner_id=owner).id
    assert [each["id"] for each in eve.get("/alerts").json()["items"]] == [number]
    problem(eve.post(f"/alerts/{number}/acknowledge"), 403)


ROOMS = (alerts, fills, orders, portfolio, positions, strategy_history)


def test_examples_have_the_fields_that_are_shown() -> None:
    checked = 0
    for room in ROOMS:
        for view in vars(room).values():
            if not (isinstance(view, type) and issubclass(view, BaseModel)):
                continue
            schema = view.model_json_schema(mode="serialization")
            for example in schema.get("examples", []):
                assert set(example) == set(schema["properties"]), view
                checked += 1
    assert checked > 6


def test_last_prices_are_not_known_without_an_engine(services: Services) -> None:
    assert History(store_of(services))._marks() == {}
