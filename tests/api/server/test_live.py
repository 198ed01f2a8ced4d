"""How a strategy is, what it says of itself, and what it sees."""

from __future__ import annotations

from typing import Any

import pytest

from api.server import Services
from engine.report import StrategyOutcome
from engine.status import StrategyStatus
from tests.api.server.conftest import Ask
from tests.api.server.engine import FakeEngine

EMA = {
    "id": "one",
    "definition": "builtin-ema_cross",
    "account": "ann",
    "config": {
        "symbol": "BTC/USDT",
        "timeframe": "1m",
        "parameters": {"fast_period": 3, "slow_period": 8},
    },
}


def seen(status: str, **fields: Any) -> StrategyStatus:
    return StrategyStatus("one", "", "EMA_CROSS", "BTC/USDT", "1m", "ann", status, **fields)


def test_a_strategy_shows_how_it_is(ask: Ask, engine: FakeEngine) -> None:
    ann = ask("ann")
    made = ann.post("/strategies", json=EMA).json()
    assert (made["desired"], made["state"]["status"]) == ("stopped", "stopped")
    started = ann.post("/strategies/one/activate").json()
    assert (started["desired"], started["state"]["status"]) == ("running", "starting")
    engine.statuses["one"] = seen("running", position=0.5, pnl=2.0, trades=3)
    shown = ann.get("/strategies/one").json()["state"]
    assert (shown["status"], shown["position"], shown["pnl"], shown["trades"]) == (
        "running", 0.5, 2.0, 3,
    )  # fmt: skip
    engine.refusals["one"] = "no data"
    shown = ann.get("/strategies/one").json()["state"]
    assert (shown["status"], shown["cause"]) == ("running", "no data")
    del engine.statuses["one"]
    assert ann.get("/strategies").json()["items"][0]["state"] == {
        "status": "error",
        "cause": "no data",
    }


def test_it_is_created_and_started_in_one_go(ask: Ask) -> None:
    ann = ask("ann")
    assert ann.post("/strategies/start", json=EMA).json()["desired"] == "running"
    assert [s["id"] for s in ann.get("/strategies/active").json()["items"]] == ["one"]
    assert ann.post("/strategies/one/deactivate").json()["desired"] == "stopped"
    assert ann.get("/strategies/active").json()["items"] == []
    assert ann.put("/strategies/one/pause").status_code == 409


def test_another_configuration_makes_it_start_afresh(ask: Ask, services: Services) -> None:
    ann = ask("ann")
    ann.post("/strategies/start", json=EMA)
    changed = ann.patch("/strategies/one", json={"config": {"timeframe": "15m"}})
    assert changed.json()["config"]["timeframes"] == ["15m"]
    assert services.strategies.deployed(["one"])[0][0].generation == 2
    assert ann.post("/strategies/one/restart").status_code == 200
    assert services.strategies.deployed(["one"])[0][0].generation == 3
    wrong = ann.patch("/strategies/one", json={"config": {"timeframe": "7q"}})
    assert (wrong.status_code, "config" in wrong.json()["detail"]) == (422, True)


def test_a_public_strategy_is_seen_by_others_without_its_configuration(ask: Ask) -> None:
    ann, bob = ask("ann"), ask("bob")
    ann.post("/strategies/start", json=EMA)
    assert bob.get("/strategies/public").json()["items"] == []
    ann.patch("/strategies/one", json={"visibility": "public"})
    found = bob.get("/strategies/public").json()["items"]
    assert [(each["id"], each["about"]["symbol"]) for each in found] == [("one", "BTC/USDT")]
    assert "config" not in found[0]
    assert bob.get("/strategies/one").status_code == 404


def test_its_metrics_are_its_own_words(ask: Ask, engine: FakeEngine) -> None:
    ann, bob = ask("ann"), ask("bob")
    ann.post("/strategies/start", json=EMA)
    assert ann.get("/strategies/one/metrics").status_code == 409
    engine.outcomes["one"] = StrategyOutcome(
        "one", "running", 90, 1, "", "Traceback", {"trades": 4}, seen("running")
    )
    shown = ann.get("/strategies/one/metrics").json()
    assert (shown["candles"], shown["errors"], shown["metrics"]) == (90, 1, {"trades": 4})
    assert bob.get("/strategies/one/metrics").status_code == 404
    assert ask().get("/strategies/one/metrics").status_code == 401


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_its_candles_come_with_its_indicators(ask: Ask, engine: FakeEngine, limit: int) -> None:
    ann, bob = ask("ann"), ask("bob")
    ann.post("/strategies/start", json=EMA)
    shown = ann.get("/strategies/one/candles", params={"limit": limit}).json()
    assert shown["stream"] == "paper:BTC/USDT:1m"
    published = engine.market.history("paper:BTC/USDT:1m")
    assert [each["seq"] for each in shown["candles"]] == [
        candle.seq for _, candle in published[-limit:]
    ]
    newest = shown["candles"][-1]
    assert set(newest["indicators"]) == {"fast", "slow"}
    assert all(isinstance(value, float) for value in newest["indicators"].values())
    assert newest["closeTime"].endswith("Z")
    earlier = ann.get(
        "/strategies/one/candles", params={"limit": 1, "to": shown["candles"][-1]["openTime"]}
    ).json()
    assert earlier["candles"][0]["seq"] == newest["seq"] - 1
    assert bob.get("/strategies/one/candles").status_code == 404
