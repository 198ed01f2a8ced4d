"""A service on a port of its own, and a command line that asks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from api.server import Services
from api.server.stream import StreamLimits
from engine.access import Caller
from engine.events import MemoryEventLog
from engine.status import StrategyStatus
from tests.api.server.conftest import engine, log, services, system
from tests.api.server.streaming import Place, a_server

__all__ = ["engine", "log", "services", "system"]

LIMITS = StreamLimits(heartbeat_s=0.05, gather_s=0.001)
PASSWORD = "correct horse battery"  # noqa: S105 - of a test


@dataclass
class Desk:
    """Somebody who asks a service by command line.

    Attributes:
        services: What the service works with.
        place: Where it is.
        home: The user's folder for configuration.
        keys: By name of their user.
    """

    services: Services
    place: Place
    home: Path
    keys: dict[str, str]
    admin: Caller

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.place.port}"

    def environment(self, who: str | None = "ann") -> dict[str, str]:
        return {
            "COLUMNS": "160",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "CHORUS_DEBUG": "",
            "CHORUS_URL": self.url,
            "CHORUS_KEY": self.keys.get(who or "", who or ""),
            "XDG_CONFIG_HOME": str(self.home),
            # A proxy nobody may be sent through to this machine.
            "HTTP_PROXY": "http://127.0.0.1:9",
            "ALL_PROXY": "http://127.0.0.1:9",
        }

    def call(self, *args: object, who: str | None = "ann", typed: str = "", **env: str) -> Result:
        """Call `chorus` as somebody; None: nobody."""
        runner = CliRunner(env={**self.environment(who), **env})
        return runner.invoke(app, [str(arg) for arg in args], input=typed)

    def lines(self, *args: object, **options: Any) -> list[str]:
        """Call `chorus`, which has to succeed; returns what it prints."""
        result = self.call(*args, **options)
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    def json(self, *args: object, **options: Any) -> Any:
        """Call `chorus` with ``--json``; returns what it says."""
        return json.loads("\n".join(self.lines(*args, "--json", **options)))

    def json_lines(self, *args: object, **options: Any) -> list[Any]:
        """Call `chorus` with ``--json``; returns what it says line by line."""
        return [json.loads(line) for line in self.lines(*args, "--json", **options)]

    def is_followed(self) -> bool:
        """Tell whether anybody follows the event stream."""
        return bool(self.services.broadcaster._subscribers)

    def user(self, name: str, role: str = "trader") -> Caller:
        """Make a user with a key, and an account ``paper`` unless it may only look."""
        user = self.services.users.create(name, role, self.admin)
        self.keys[name] = self.services.users.keys.create(user.id, "test", self.admin)
        caller = Caller(user.id, role)
        if role != "viewer":
            self.services.accounts.create("paper", {"USDT": Decimal(1000)}, caller)
        return caller

    def listed(self, strategy: str) -> Any:
        """Return a strategy as the API shows it."""
        found = self.json("show", strategy)
        del found["performance"]
        return found

    def status(self, strategy: str) -> str:
        return str(self.listed(strategy)["state"]["status"])


@pytest.fixture
def desk(services: Services, log: MemoryEventLog, tmp_path: Path) -> Iterator[Desk]:
    key = services.users.ensure_admin()
    assert key is not None
    admin = services.users.authenticate_key(key)
    with a_server(services, log, LIMITS) as place:
        made = Desk(services, place, tmp_path / "home", {"admin": key}, admin)
        made.user("ann")
        yield made


def started(desk: Desk, name: str = "one", **options: Any) -> Any:
    """Start a strategy made from a definition."""
    return desk.json(
        "start", name, "--definition", "ema_cross", "--symbol", "BTC/USDT",
        "--timeframe", "1m", **options,
    )  # fmt: skip


def seen(strategy: str, status: str, **fields: Any) -> StrategyStatus:
    """Return how the engine sees a strategy."""
    return StrategyStatus(strategy, "", "EMA_CROSS", "BTC/USDT", "1m", "paper", status, **fields)
