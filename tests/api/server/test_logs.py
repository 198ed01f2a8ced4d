"""A strategy's log over HTTP."""

from __future__ import annotations

from api.server import Services
from engine.events import MemoryEventLog
from engine.logs import Line
from tests.api.server.conftest import Ask
from tests.api.server.test_routes import EMA, problem

PLACE = "/strategies/one/logs"


def fill(services: Services) -> None:
    services.logs.say("one", "info", "is running")
    services.logs.say("one", "error", "was refused: password=hunter2")
    line = Line(strategy_id="one", level="debug", source="strategy", text="dip", candle_ms=60_000)
    services.logs.add(line)
    services.logs.write()


def test_a_log_is_read_by_its_owner(ask: Ask, services: Services) -> None:
    ann = ask("ann")
    ann.post("/strategies", json=EMA)
    fill(services)
    items = ann.get(PLACE).json()["items"]
    assert [item["text"] for item in items] == ["dip", "was refused: password=***", "is running"]
    assert items[0]["candle"] == "1970-01-01T00:01:00.000Z"
    assert (items[0]["source"], items[2]["candle"]) == ("strategy", None)
    assert items[2]["at"].endswith("Z")
    worse = ann.get(PLACE, params={"level": "warning"}).json()["items"]
    assert [item["level"] for item in worse] == ["error"]
    first = ann.get(PLACE, params={"sort": "id", "limit": 2}).json()
    rest = ann.get(PLACE, params={"sort": "id", "after": first["next"]}).json()["items"]
    assert [item["text"] for item in rest] == ["dip"]
    problem(ann.get(PLACE, params={"level": "loud"}), 422)
    problem(ann.get(PLACE, params={"sort": "text"}), 422)


def test_nobody_else_reads_it(ask: Ask, services: Services) -> None:
    ann, bob = ask("ann"), ask("bob")
    ann.post("/strategies", json=EMA)
    ann.patch("/strategies/one", json={"visibility": "public"})
    fill(services)
    problem(bob.get(PLACE), 404)
    problem(ask().get(PLACE), 401)
    assert len(ask("admin").get(PLACE).json()["items"]) == 3


def test_a_log_can_be_followed(ask: Ask, services: Services, log: MemoryEventLog) -> None:
    ann = ask("ann")
    ann.post("/strategies", json=EMA)
    fill(services)
    events = [event for event in log.read(None, 100) if event.topic == "logs"]
    ids = [item["id"] for item in ann.get(PLACE, params={"sort": "id"}).json()["items"]]
    assert [event.data["id"] for event in events] == ids
    owner = ann.get("/strategies/one").json()["ownerId"]
    assert {event.owner_id for event in events} == {owner}
