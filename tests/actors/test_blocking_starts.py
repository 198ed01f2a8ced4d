"""A strategy that does not come back from `on_init`: the others go on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actors.engine import running_engine
from engine.backtest import run_backtest
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.errors import ChorusError
from engine.market import open_market
from tests.actors.control import Control
from tests.chaos.saboteur import report_of

BLOCKS = """
from threading import Event

from strategies import Strategy, StrategyMetadata


class Blocks(Strategy):
    metadata = StrategyMetadata(type="BLOCKS")

    def on_init(self, services):
        Event().wait()

    def on_candle(self, candle):
        pass
"""


def blocking(name: str, isolation: str) -> dict[str, object]:
    return {
        "id": name,
        "type": "BLOCKS",
        "symbol": "AAA/USDT",
        "timeframe": "1m",
        "isolation": isolation,
    }


def test_whoever_blocks_when_it_is_started_holds_nobody_up(
    a_run: Callable[..., RunConfig],
    a_strategy: Callable[..., dict[str, object]],
    tmp_path: Path,
) -> None:
    (tmp_path / "blocks.py").write_text(BLOCKS)
    good = [a_strategy(0), *(a_strategy(n, isolation="pooled") for n in (3, 6))]
    bad = [blocking("alone", "dedicated"), blocking("among", "pooled")]
    settings = {
        "placement": {"hosts": 1},
        "arbitration": {"windowMs": 1500},
        "market": {"speed": 60 * 100},
        "candles": 2500,
        "timeframes": ("1m", "1m"),
    }
    catalog = discover([*default_folders(), tmp_path])
    [late] = a_run([blocking("late", "pooled")], **settings).strategies
    config = a_run([*bad, *good], **settings)
    with (
        running_engine(config, catalog) as engine,
        ThreadPoolExecutor() as starters,
    ):
        control, client = Control(engine), engine.client
        found = {line.id: line for line in client.status().strategies}
        for name in ("alone", "among"):
            assert found[name].status == "error"
            assert "strike 3" in found[name].cause
            assert f"busy with '{name}'" in found[name].cause
        control.until("s3", "running", 30)
        file = str(catalog.types["BLOCKS"].file)
        started = starters.submit(client.start, late, plugin_file=file)
        while not started.done():
            for name in ("s0", "s3", "s6"):
                control.until(name, "running", client.metrics(name).candles + 50)
        with pytest.raises(ChorusError, match="strike 3"):
            started.result()
        report = report_of(config, engine)
    alone = a_run(good, **settings)
    expected = run_backtest(alone, catalog, open_market(alone.market, alone.wanted_streams))
    ledgers = {strategy.id: strategy.ledger_sha256 for strategy in report.strategies}
    for strategy in expected.strategies:
        assert ledgers[strategy.id] == strategy.ledger_sha256
