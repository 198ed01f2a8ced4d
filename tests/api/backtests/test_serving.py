"""A service plays what is asked for while its block lasts."""

from __future__ import annotations

import pytest

from api.backtests.serving import served_backtests
from api.backtests.workers import WorkerSettings
from engine.errors import ConflictError
from engine.jobs import BacktestLimits, NewBacktest
from tests.api.backtests.conftest import SHORT, Shop, players
from tests.engine.jobs.conftest import ANN, CATALOG
from tests.waiting import until


@pytest.mark.slow
def test_what_is_asked_for_is_played(shop: Shop) -> None:
    folder = shop.folder / "candles"
    with served_backtests(
        folder,
        store=shop.store,
        definitions=shop.definitions,
        catalog=lambda: CATALOG,
        events=shop.events,
        clock=shop.clock,
        limits=BacktestLimits(kept=1),
        settings=WorkerSettings(poll_s=0.05),
    ) as backtests:
        assert backtests.datasets() == []
        (folder / "BTC-USDT_1m.csv").touch()
        assert [each.name for each in backtests.datasets()] == ["BTC-USDT_1m.csv"]
        job_id = backtests.create(NewBacktest(config=SHORT), ANN).id
        until(lambda: backtests.get(job_id, ANN).status == "done", "it is not played")
        with pytest.raises(ConflictError, match="you have 1"):
            backtests.create(NewBacktest(config=SHORT), ANN)
    assert not players()
