"""Backtests over HTTP: asked for, looked at, compared, canceled and taken away by their owner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.server import Services
from engine.access import CHORUS
from engine.events import MemoryEventLog
from tests.api.server.conftest import Ask
from tests.api.server.test_routes import problem
from tests.engine.jobs.conftest import EMA, MARKET

SUMMARY = {
    "ledger_sha256": "aa", "candles": 9, "elapsed_s": 0.1, "signals": 1, "orders": 1, "fills": 1,
    "errors": 0, "strategies": [{"id": "one", "metrics": {"sharpe": 1.5}}],
}  # fmt: skip
RUN = {"name": "ema", "market": MARKET, "strategies": [EMA]}


def a_form(**changes: Any) -> dict[str, Any]:
    return {"config": RUN, **changes}


def play_all(services: Services) -> None:
    """Do what workers do, without playing anything."""
    while (claim := services.backtests.claim("w")) is not None:
        services.backtests.finish(claim, summary=SUMMARY, report={"name": "ema"})


def test_a_backtest_is_asked_for_and_looked_at(ask: Ask, services: Services) -> None:
    ann = ask("ann")
    made = ann.post("/backtests", json=a_form(name="mine"))
    assert made.status_code == 202
    place = made.headers["location"]
    assert place == f"/api/v1/backtests/{made.json()['id']}"
    found = ann.get(place.removeprefix("/api/v1")).json()
    assert found == made.json()
    assert (found["status"], found["name"], found["summary"]) == ("waiting", "mine", None)
    assert found["config"]["config"]["strategies"][0]["id"] == "one"
    report = f"/backtests/{found['id']}/report"
    assert "is waiting" in problem(ann.get(report), 409)["detail"]
    play_all(services)
    done = ann.get(f"/backtests/{found['id']}").json()
    assert (done["status"], done["progress"], done["summary"]) == ("done", 1, SUMMARY)
    assert done["ended"].endswith("Z")
    assert ann.get(report).json() == {"name": "ema"}


def test_strategies_are_made_from_definitions_and_datasets_are_named(
    ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "BTC-USDT_1m.csv").write_text("xyz")
    ann = ask("ann")
    assert ann.get("/backtests/datasets").json() == [
        {"name": "BTC-USDT_1m.csv", "symbol": "BTC/USDT", "timeframe": "1m", "sizeBytes": 3}
    ]
    made = {
        "id": "fast",
        "definition": "builtin-ema_cross",
        "config": {"symbol": "BTC/USDT", "timeframe": "15m"},
    }
    form = {"strategies": [made], "datasets": ["BTC-USDT_1m.csv"]}
    kept = ann.post("/backtests", json=form).json()["config"]
    assert kept["definitions"]["fast"]["version"] == 1
    assert kept["datasets"] == ["BTC-USDT_1m.csv"]


def test_lists_hold_the_newest_first_and_are_filtered(ask: Ask, services: Services) -> None:
    ann = ask("ann")
    ids = [ann.post("/backtests", json=a_form()).json()["id"] for _ in range(3)]
    ann.post(f"/backtests/{ids[1]}/cancel")
    play_all(services)
    first = ann.get("/backtests?limit=2").json()
    rest = ann.get("/backtests", params={"after": first["next"]}).json()
    assert [each["id"] for each in first["items"] + rest["items"]] == ids[::-1]
    assert "config" not in first["items"][0]
    canceled = ann.get("/backtests?status=canceled").json()["items"]
    assert [each["id"] for each in canceled] == [ids[1]]
    problem(ann.get("/backtests?status=lost"), 422)


def test_they_stand_side_by_side(ask: Ask, services: Services) -> None:
    ann = ask("ann")
    slow = {**EMA, "parameters": {"fast_period": 9}}
    forms = [a_form(), a_form(config={**RUN, "strategies": [slow]})]
    ids = [ann.post("/backtests", json=form).json()["id"] for form in forms]
    play_all(services)
    found = ann.get("/backtests/compare", params={"ids": ",".join(ids)}).json()
    assert [each["id"] for each in found["backtests"]] == ids
    assert found["settings"] == [{"path": "strategies.*.parameters.fast_period", "values": [5, 9]}]
    assert {"path": "strategies.*.sharpe", "values": [1.5, 1.5]} in found["metrics"]
    problem(ann.get("/backtests/compare", params={"ids": ids[0]}), 422)
    problem(ann.get("/backtests/compare", params={"ids": f"{ids[0]},x"}), 404)


def test_what_has_ended_is_taken_away(ask: Ask) -> None:
    ann = ask("ann")
    place = f"/backtests/{ann.post('/backtests', json=a_form()).json()['id']}"
    assert "cancel it first" in problem(ann.delete(place), 409)["detail"]
    assert ann.post(f"{place}/cancel").json()["status"] == "canceled"
    assert "has ended already" in problem(ann.post(f"{place}/cancel"), 409)["detail"]
    assert ann.delete(place).status_code == 200
    problem(ann.get(place), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/backtests/{id}"),
        ("GET", "/backtests/{id}/report"),
        ("GET", "/backtests/compare?ids={id},{id2}"),
        ("POST", "/backtests/{id}/cancel"),
        ("DELETE", "/backtests/{id}"),
    ],
)
def test_what_is_somebody_elses_is_not_there(
    ask: Ask, services: Services, method: str, path: str
) -> None:
    ann, bob = ask("ann"), ask("bob")
    ids = [ann.post("/backtests", json=a_form()).json()["id"] for _ in range(2)]
    if "cancel" not in path:
        play_all(services)
    place = path.format(id=ids[0], id2=ids[1])
    problem(bob.request(method, place), 404)
    problem(ask().request(method, place), 401)
    assert bob.get("/backtests").json()["items"] == []
    assert ask("admin").request(method, place).status_code == 200


def test_a_viewer_asks_for_none(ask: Ask) -> None:
    eve = ask("eve", role="viewer")
    problem(eve.post("/backtests", json=a_form()), 403)
    assert eve.get("/backtests").json()["items"] == []
    problem(ask().get("/backtests/datasets"), 401)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "config.strategies"),
        ({"config": {**RUN, "market": {"replay": ["/etc/passwd"]}}}, "config.market.replay"),
        ({"config": {**RUN, "pluginFolders": ["/"]}}, "config.pluginFolders"),
        ({"config": {**RUN, "market": {}}, "datasets": ["../x.csv"]}, "datasets"),
        ({"config": {**RUN, "fancy": 1}}, "config.fancy"),
        ({"config": RUN, "strategies": [{"id": "x"}]}, "body.strategies.0.definition"),
        ({"config": RUN, "fancy": 1}, "body.fancy"),
    ],
)
def test_what_cannot_be_played_is_refused_with_the_field(
    ask: Ask, form: dict[str, Any], field: str
) -> None:
    found = problem(ask("ann").post("/backtests", json=form), 422)
    assert any(each["path"] == field for each in found["errors"]), found


def test_too_many_at_once_are_refused(ask: Ask) -> None:
    ann = ask("ann")
    for _ in range(10):
        assert ann.post("/backtests", json=a_form()).status_code == 202
    assert (
        "10 of yours wait or run" in problem(ann.post("/backtests", json=a_form()), 409)["detail"]
    )


def test_what_becomes_of_it_is_told_to_its_owner(
    ask: Ask, services: Services, log: MemoryEventLog
) -> None:
    ann = ask("ann")
    made = ann.post("/backtests", json=a_form()).json()
    play_all(services)
    events = [event for event in log.read(None, 100) if event.data.get("kind") == "backtest"]
    assert {event.owner_id for event in events} == {made["ownerId"]}
    assert [event.data["status"] for event in events] == ["waiting", "running", "done"]
    assert services.backtests.get(made["id"], CHORUS).status == "done"
