"""An application over a store of its own, and users who ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path
from typing import cast

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.server import Guards, Services, create_app
from api.server.app import furnish
from engine.access import Caller
from engine.alerts import Alerts
from engine.audit import AuditLog
from engine.catalog import default_folders
from engine.catalog.definitions import Definitions
from engine.catalog.exchange import Exchange
from engine.catalog.files import StrategyFiles
from engine.catalog.signing import Signer
from engine.credentials import Vault
from engine.deployments import Accounts, Served, Strategies
from engine.deployments.ownership import Ownership
from engine.deployments.subscriptions import Subscriptions
from engine.deployments.trading import TradingSwitch
from engine.events import Broadcaster, MemoryEventLog
from engine.history import History
from engine.idempotency import Idempotency
from engine.jobs import BacktestLimits, Backtests, Datasets
from engine.logs import StrategyLogs
from engine.settings import Settings
from engine.users import Hasher, Users
from tests.api.server.engine import FakeEngine, FakeSystem
from tests.stores import a_seeded_store

STREAMS = frozenset({"paper:BTC/USDT:1m", "paper:BTC/USDT:15m"})
PASSWORD = "correct horse battery"  # noqa: S105 - of a test
SECRET = b"s" * 32
GUARDS = Guards(hosts=frozenset({"chorus", "testserver"}))


@pytest.fixture
def log() -> MemoryEventLog:
    """Return what the services' broadcaster follows."""
    ticks = count(1_700_000_000_000)
    return MemoryEventLog(now_ms=lambda: next(ticks))


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


@pytest.fixture
def services(
    tmp_path: Path, log: MemoryEventLog, engine: FakeEngine, system: FakeSystem
) -> Iterator[Services]:
    ticks = count(1_700_000_000_000)
    quick = Hasher(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))

    def clock() -> int:
        return next(ticks)

    with (
        a_seeded_store(tmp_path / "chorus.db") as store,
        closing(Broadcaster(log)) as broadcaster,
    ):
        files = StrategyFiles(store, default_folders(), clock)
        files.sync()
        definitions = Definitions(store, lambda: files.catalog, clock)
        yield Services(
            engine=engine,
            system=system,
            users=Users(store, clock, SECRET, hasher=quick),
            files=files,
            definitions=definitions,
            exchange=Exchange(store, definitions, Signer(SECRET), clock),
            accounts=(accounts := Accounts(store, clock, Vault(SECRET))),
            trading=TradingSwitch(store, accounts, engine, clock),
            strategies=Strategies(
                store,
                definitions,
                catalog=lambda: files.catalog,
                served=lambda: Served(STREAMS, {}),
                clock=clock,
            ),
            subscriptions=Subscriptions(store, catalog=lambda: files.catalog, clock=clock),
            backtests=Backtests(
                store,
                definitions,
                catalog=lambda: files.catalog,
                datasets=Datasets(tmp_path),
                events=log,
                clock=clock,
                limits=BacktestLimits(candles=20_000),
            ),
            broadcaster=broadcaster,
            history=History(store),
            alerts=Alerts(store, log, clock),
            logs=StrategyLogs(store, log, Ownership(store).of, clock),
            settings=Settings(store, clock),
            audit=AuditLog(store),
            idempotency=Idempotency(store, clock, SECRET),
        )


@cache
def _application() -> FastAPI:
    """Return an application to be furnished; making one for every test takes a quarter second."""
    return create_app(cast("Services", None), guards=GUARDS)


Ask = Callable[..., TestClient]


@pytest.fixture
def ask(services: Services) -> Ask:
    """Return a client of a user, who has an account ``<name>`` unless it may only look."""
    key = services.users.ensure_admin()
    assert key is not None
    admin = services.users.authenticate_key(key)
    app = _application()
    furnish(app, services, guards=GUARDS)

    def client(name: str = "", role: str = "trader") -> TestClient:
        made = TestClient(app, base_url="http://chorus/api/v1", raise_server_exceptions=False)
        if name == "admin":
            made.headers["X-API-Key"] = key
        elif name:
            user = services.users.create(name, role, admin, password=PASSWORD)
            if role != "viewer":
                services.accounts.create(
                    "paper", {"USDT": Decimal(1000)}, Caller(user.id, role), account_id=name
                )
            token = made.post("/sessions", json={"name": name, "password": PASSWORD}).json()
            made.headers["Authorization"] = f"Bearer {token['token']}"
        return made

    return client
