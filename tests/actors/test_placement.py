"""Strategies that share processes, and move between them while they trade."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.engine import running_engine
from engine.backtest import run_backtest
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.errors import ChorusError
from engine.market import open_market
from engine.report import build_report


def test_strategies_move_between_placements_without_a_trace_in_the_ledger(
    a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]]
) -> None:
    members = [a_strategy(n, isolation="pooled" if n % 2 else "dedicated") for n in range(6)]
    config = a_run(
        members,
        candles=3000,
        timeframes=("1m", "1m"),
        placement={"hosts": 2},
        market={"speed": 60 * 150},
    )
    catalog = discover(default_folders())
    with running_engine(config, catalog) as engine:
        client = engine.client
        client.move("s0", "pooled")
        client.move("s1", "dedicated")
        client.pause("s5")
        client.move("s5", "dedicated")
        assert client.metrics("s5").status == "paused"
        client.resume("s5")
        client.move("s1", "pooled")
        with pytest.raises(ChorusError, match="not part of this engine"):
            client.move("nobody", "pooled")
        while not engine.wait(1.0):
            pass
        extract = client.extract()
    report = build_report(config, extract, mode="run", market=[], notices=[], stopped_early=False)
    market = open_market(config.market, config.wanted_streams, ())
    expected = run_backtest(config, catalog, market)
    found = {strategy.id: strategy for strategy in report.strategies}
    for strategy in expected.strategies:
        if strategy.id != "s5":  # it was paused for a while
            assert found[strategy.id].ledger_sha256 == strategy.ledger_sha256
            assert found[strategy.id].metrics == strategy.metrics
        assert found[strategy.id].candles == strategy.candles
        assert found[strategy.id].status == "running"
