"""How the service shows that it lives, whether it works, and what it uses."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from api.server import Exposition, Services, create_app
from api.server.system import Recorded, SystemStatus, Use
from engine.recording import RecordingStatus
from engine.status import EngineHealth, ProcessStatus
from tests.api.server.conftest import GUARDS, Ask
from tests.api.server.engine import FakeSystem
from tests.api.server.test_routes import problem

HOST = ProcessStatus("h0", "pooled", "running", 4711, 12, 50_000_000, 1.5, restarts=2)
SEEN = SystemStatus(
    started_ms=1_700_000_000_000,
    uptime_s=60.0,
    engine=EngineHealth([HOST], published=9, decided=7),
    recording=RecordingStatus(recorded=3, total=5, error="disk full", failures=4),
    executions=RecordingStatus(recorded=20, total=27),
    recorded=Recorded(signals=4, orders=3, fills=2),
    service=Use(1, 100_000_000, 3.5),
    children=Use(9, 900_000_000, 35.0),
    free_bytes=10**12,
)


def test_whether_it_lives_is_for_everybody_and_says_nothing_else(ask: Ask) -> None:
    answer = ask().get("/system/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_it_is_ready_until_something_it_needs_is_not(ask: Ask, system: FakeSystem) -> None:
    ready = ask().get("/system/ready")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    system.problems["store"] = "postgresql://db: connection refused"
    for name in ("", "ann"):
        answer = ask(name).get("/system/ready")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert {c["name"]: c["ok"] for c in answer.json()["checks"]} == {
            "store": False, "engine": True, "feed": True, "recording": True,
        }  # fmt: skip
        assert "refused" not in answer.text, "why is for admins only"
    checks = ask("admin").get("/system/ready").json()["checks"]
    assert checks[0]["problem"] == "postgresql://db: connection refused"


def test_everything_about_it_is_for_admins(ask: Ask, system: FakeSystem) -> None:
    system.seen = SEEN
    problem(ask("ann").get("/system"), 403)
    problem(ask().get("/system"), 401)
    shown = ask("admin").get("/system").json()
    assert shown["started"] == "2023-11-14T22:13:20.000Z"
    assert shown["engine"]["processes"][0] == {
        "id": "h0", "kind": "pooled", "state": "running", "process": 4711, "strategies": 12,
        "memoryBytes": 50_000_000, "cpuS": 1.5, "restarts": 2, "cause": "",
    }  # fmt: skip
    assert (shown["engine"]["published"], shown["engine"]["decided"]) == (9, 7)
    assert (shown["recording"]["lag"], shown["recording"]["error"]) == (2, "disk full")
    assert (shown["executions"]["lag"], shown["executions"]["error"]) == (7, "")
    assert (shown["service"]["memoryBytes"], shown["children"]["processes"]) == (100_000_000, 9)


def test_its_version_is_for_users(ask: Ask) -> None:
    problem(ask().get("/system/version"), 401)
    assert ask("ann").get("/system/version").json()["api"] == "v1"


def metrics(client: TestClient) -> int:
    return client.get("http://chorus/metrics").status_code


def test_metrics_are_for_admins(ask: Ask) -> None:
    assert [metrics(ask(name)) for name in ("", "ann", "admin")] == [401, 403, 200]


@pytest.mark.parametrize(
    ("address", "status"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 401)]
)
def test_open_metrics_are_for_programs_of_this_machine(
    services: Services, address: str, status: int
) -> None:
    app = create_app(services, guards=GUARDS, exposition=Exposition(is_open=True))
    assert metrics(TestClient(app, client=(address, 1))) == status
