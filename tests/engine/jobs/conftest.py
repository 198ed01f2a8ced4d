"""Backtests over a store of their own, with four users and a clock that is set by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.access import Caller
from engine.catalog import default_folders, discover
from engine.catalog.built_ins import seed_built_ins
from engine.catalog.definitions import Definitions
from engine.events import MemoryEventLog
from engine.jobs import BacktestLimits, Backtests, Datasets, NewBacktest
from engine.store import Store, User

ANN, BOB = Caller("u-ann", "trader"), Caller("u-bob", "trader")
EVE, ADMIN = Caller("u-eve", "viewer"), Caller("u-admin", "admin")
CATALOG = discover(default_folders())
LIMITS = BacktestLimits(unfinished=3, kept=5, strategies=4, streams=6, candles=20_000, attempts=2)

EMA: dict[str, Any] = {
    "id": "one",
    "type": "EMA_CROSS",
    "symbol": "BTC/USDT",
    "timeframe": "15m",
    "parameters": {"fast_period": 5},
}
MARKET: dict[str, Any] = {"synthetic": {"symbols": [{"symbol": "BTC/USDT"}], "candles": 9_000}}
RUN: dict[str, Any] = {"name": "ema", "market": MARKET, "strategies": [EMA]}


class Room:
    """The service, and what it works with."""

    def __init__(self, store: Store, folder: Path, limits: BacktestLimits = LIMITS) -> None:
        self.now_ms = 1_000
        self.store = store
        self.events = MemoryEventLog(now_ms=self.clock)
        self.folder = folder
        with store.write() as session:
            for caller in (ANN, BOB, EVE, ADMIN):
                session.add(
                    User(id=caller.user_id, name=caller.user_id, role=caller.role, created_ms=0)
                )
        self.definitions = Definitions(store, lambda: CATALOG, self.clock)
        seed_built_ins(self.definitions, CATALOG)
        self.backtests = Backtests(
            store,
            self.definitions,
            catalog=lambda: CATALOG,
            datasets=Datasets(folder),
            events=self.events,
            clock=self.clock,
            limits=limits,
        )

    def clock(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def ask(self, caller: Caller = ANN, **changes: Any) -> str:
        """Ask for a backtest; return its id."""
        return self.backtests.create(NewBacktest(**{"config": RUN, **changes}), caller).id

    def status(self, job_id: str) -> str:
        return self.backtests.get(job_id, ADMIN).status

    def told(self, owner: Caller = ANN) -> list[tuple[str, float]]:
        """Return status and progress of each event for an owner."""
        return [
            (event.data["status"], event.data["progress"])
            for event in self.events.read(None, 1_000)
            if event.topic == "status" and event.owner_id == owner.user_id
        ]


@pytest.fixture
def room(store: Store, tmp_path: Path) -> Room:
    folder = tmp_path / "data"
    folder.mkdir()
    return Room(store, folder)
