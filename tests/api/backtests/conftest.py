"""Backtests over a store of their own, and workers that play them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.backtests.workers import BacktestWorkers, WorkerSettings
from engine.jobs import BacktestLimits, Datasets
from tests.engine.jobs.conftest import CATALOG, EMA, Room
from tests.processes import below
from tests.stores import an_empty_store
from tests.waiting import until

LIMITS = BacktestLimits(attempts=2)


def a_run(candles: int) -> dict[str, Any]:
    symbols = [{"symbol": "BTC/USDT"}]
    return {
        "name": "ema",
        "market": {"synthetic": {"symbols": symbols, "candles": candles}},
        "strategies": [EMA],
    }


SHORT, LONG = a_run(3_000), a_run(2_000_000)


class Shop(Room):
    """The service with workers."""

    def workers(self, **settings: Any) -> BacktestWorkers:
        chosen = WorkerSettings(**{"poll_s": 0.05, **settings})
        return BacktestWorkers(self.backtests, Datasets(self.folder), lambda: CATALOG, chosen)

    def await_status(self, job_id: str, status: str) -> None:
        until(lambda: self.status(job_id) == status, lambda: f"{job_id} is {self.status(job_id)}")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "data"
    folder.mkdir()
    with an_empty_store(tmp_path / "chorus.db") as store:
        yield Shop(store, folder, LIMITS)


def players(root: int | None = None) -> list[int]:
    """Return the ids of the processes of backtests below one, without any below this."""
    return [each.pid for each in below(root) if "api.backtests.child" in each.title]


def await_player(root: int | None = None) -> int:
    """Return the id of the process of a backtest, once there is one."""
    return until(lambda: players(root), "no process of a backtest is started")[0]
