"""An application behind guards of a test's choice, and a clock for what they count."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from api.server import Guards, Services, create_app

Serve = Callable[..., TestClient]

START_S = 1_700_000_000.0


class Clock:
    """Seconds since 1970, as a test says."""

    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of all counts; the library asks the machine's."""
    clock = Clock()
    time = SimpleNamespace(time=clock, monotonic=clock)
    for module in ("limits.storage.memory", "limits.strategies", "api.server.guards.rates"):
        monkeypatch.setattr(f"{module}.time", time)
    return clock


@pytest.fixture
def admin_key(services: Services) -> str:
    key = services.users.ensure_admin()
    assert key is not None
    return key


@pytest.fixture
def serve(services: Services, admin_key: str) -> Serve:
    """Return a client of an application behind some guards; ``key=""``: of nobody."""

    def client(
        guards: Guards | None = None,
        *,
        key: str = admin_key,
        address: str = "10.0.0.1",
        behind: TestClient | None = None,
        work_with: Services = services,
    ) -> TestClient:
        app = create_app(work_with, guards=guards) if behind is None else behind.app
        made = TestClient(
            app,
            base_url="http://localhost/api/v1",
            raise_server_exceptions=False,
            client=(address, 5000),
        )
        if key:
            made.headers["X-API-Key"] = key
        return made

    return client
