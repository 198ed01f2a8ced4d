"""The kill switch is turned by whom it belongs to, and shows in what accounts risk."""

from __future__ import annotations

from decimal import Decimal

from api.server import Services
from engine.trading import AccountState
from tests.api.server.conftest import Ask
from tests.api.server.engine import FakeEngine


def test_an_owner_halts_its_account_and_an_admin_all(ask: Ask, engine: FakeEngine) -> None:
    ann, admin = ask("ann"), ask("admin")
    assert ann.get("/trading").json() == {
        "everywhere": "running",
        "accounts": [{"account": "ann", "mode": "running"}],
    }
    assert ann.post("/trading/halt", json={"account": "ann"}).json()["mode"] == "halted"
    assert engine.modes == {"ann": "halted"}
    assert ann.post("/trading/halt", json={}).status_code == 403
    assert admin.post("/trading/reduce", json={"reason": "odd prices"}).status_code == 200
    assert ann.get("/trading").json() == {
        "everywhere": "reduce",
        "accounts": [{"account": "ann", "mode": "halted"}],
    }
    assert ann.post("/trading/resume", json={"account": "ann"}).json()["mode"] == "running"
    risk = ann.get("/risk").json()["accounts"][0]
    assert (risk["accountId"], risk["mode"], risk["currencies"]) == ("ann", "reduce", [])


def test_others_turn_nothing(ask: Ask, engine: FakeEngine) -> None:
    ask("ann")
    bob, eve = ask("bob"), ask("eve", "viewer")
    assert bob.post("/trading/halt", json={"account": "ann"}).status_code == 404
    assert eve.post("/trading/halt", json={"account": "ann"}).status_code == 403
    assert ask().post("/trading/halt", json={}).status_code == 401
    assert bob.post("/trading/stop", json={}).status_code == 422
    assert engine.modes == {}
    assert [each["account"] for each in bob.get("/trading").json()["accounts"]] == ["bob"]


def test_who_turned_it_is_on_record(ask: Ask, services: Services) -> None:
    ann, admin = ask("ann"), ask("admin")
    ann.post("/trading/halt", json={"account": "ann", "reason": "news"})
    entry = admin.get("/audit", params={"kind": "trading"}).json()["items"][0]
    assert (entry["action"], entry["objectId"], entry["change"]) == (
        "halt", "ann", {"reason": "news"},
    )  # fmt: skip


def test_risk_is_what_the_order_manager_says(ask: Ask, engine: FakeEngine) -> None:
    ann, bob = ask("ann"), ask("bob")
    amounts = (Decimal(x) for x in ("1000", "990", "250", "0", "1", "-10", "0.01"))
    engine.states = [AccountState("ann", "USDT", *amounts)]
    assert ann.get("/risk").json()["accounts"][0]["currencies"] == [
        {
            "currency": "USDT",
            "balance": "1000",
            "equity": "990",
            "committed": "250",
            "free": "740",
            "unrealized": "-10",
            "drawdown": 0.01,
        }
    ]
    assert bob.get("/risk").json()["accounts"][0]["currencies"] == []
