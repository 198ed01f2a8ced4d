"""Whole engines in real Ray actors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from actors.engine import run_engine, running_engine
from engine.backtest import run_backtest
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.errors import ChorusError
from engine.market import open_market
from engine.report import RunReport, StrategyReport
from engine.status import EngineStatus
from tests.actors.control import Control
from tests.processes import below

BAD_STRATEGIES = """
import os

from strategies import Strategy, StrategyMetadata


class {name}(Strategy):
    metadata = StrategyMetadata(type="{type}")

    def on_init(self, services):
        self.seen = 0

    def on_candle(self, candle):
        self.seen += 1
        if self.seen >= 300:
            {what}
"""

WATCHES = """
from strategies import Strategy, StrategyMetadata


class Watches(Strategy):
    metadata = StrategyMetadata(type="WATCHES")

    def on_candle(self, candle):
        pass
"""


def backtest(config: RunConfig, folders: list[Path]) -> RunReport:
    market = open_market(config.market, config.wanted_streams, ())
    return run_backtest(config, discover(folders), market)


def by_id(report: RunReport) -> dict[str, StrategyReport]:
    return {strategy.id: strategy for strategy in report.strategies}


def test_twelve_actors_write_the_ledger_of_the_backtest_and_leave_nothing_behind(
    a_run: Callable[..., RunConfig],
    a_strategy: Callable[..., dict[str, object]],
) -> None:
    before = set(below())
    disabled = a_strategy(13, id="off", symbol="CCC/USDT", enabled=False)
    lost = a_strategy(1, id="lost", symbol="ZZZ/USDT")
    config = a_run([*(a_strategy(n) for n in range(12)), disabled, lost])
    seen: list[EngineStatus] = []
    report = run_engine(config, discover(default_folders()), on_status=seen.append)
    expected = backtest(config, default_folders())
    assert report.ledger_sha256 == expected.ledger_sha256
    assert report.totals["fills"] == expected.totals["fills"] > 200
    assert [s.metrics for s in report.strategies] == [s.metrics for s in expected.strategies]
    assert report.candles == expected.candles == 6000
    assert report.latency["p50"] > 0
    assert seen[-1].phase == "done"
    assert {status.id: status.status for status in seen[-1].strategies} == {
        **{f"s{n}": "running" for n in range(12)},
        "off": "created",
        "lost": "no data",
    }
    assert "ZZZ/USDT" in by_id(report)["lost"].cause
    for status, strategy in zip(seen[-1].strategies, report.strategies, strict=True):
        assert status.trades == (strategy.metrics or {"total_trades": 0})["total_trades"]
    assert set(below()) <= before


def test_strategies_that_raise_hang_or_exit_disturb_nobody(
    a_run: Callable[..., RunConfig],
    a_strategy: Callable[..., dict[str, object]],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, what in [
        ("Raises", 'raise ValueError("boom at candle 300")'),
        ("Loops", "while True: pass"),
        ("Exits", "os._exit(3)"),
    ]:
        source = BAD_STRATEGIES.format(name=name, type=name.upper(), what=what)
        (tmp_path / f"{name.lower()}.py").write_text(source)
    bad = [
        {"id": name, "type": name.upper(), "symbol": "AAA/USDT", "timeframe": "1m"}
        for name in ("raises", "loops", "exits")
    ]
    good = [a_strategy(n) for n in range(6)]
    # Slow enough for whoever is struck three times to come back twice before the end.
    window = {
        "arbitration": {"windowMs": 1500},
        "market": {"speed": 60 * 300},
        "candles": 5000,
        "timeframes": ("1m", "1m"),
    }
    folders = [*default_folders(), tmp_path]
    report = run_engine(a_run([*good, *bad], **window), discover(folders))
    alone = backtest(a_run(good, **window), folders)
    found = by_id(report)
    for strategy in alone.strategies:
        assert found[strategy.id].status == "running"
        assert found[strategy.id].ledger_sha256 == strategy.ledger_sha256
        assert found[strategy.id].metrics == strategy.metrics
        assert found[strategy.id].candles == strategy.candles
    assert {name: found[name].status for name in ("raises", "loops", "exits")} == {
        "raises": "error",
        "loops": "paused",
        "exits": "error",
    }
    assert "boom at candle 300" in found["raises"].cause
    assert "strike 3" in found["loops"].cause
    assert "no progress beyond slice" in found["loops"].cause
    assert "strike 3" in found["exits"].cause
    assert "process ended" in found["exits"].cause
    assert capfd.readouterr().out == "", "standard output may be somebody's JSON"


def test_strategies_are_controlled_one_by_one_while_the_others_run_on(
    a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]], tmp_path: Path
) -> None:
    (tmp_path / "watches.py").write_text(WATCHES)
    both = {"id": "both", "type": "WATCHES", "symbols": ["AAA/USDT", "BBB/USDT"], "timeframe": "5m"}
    members = [a_strategy(0), a_strategy(1), a_strategy(3), both]
    config = a_run(members, candles=20_000, market={"speed": 6000})  # a minute in 10 ms
    late = a_run([a_strategy(6, id="late")]).strategies[0]
    lost = a_run([a_strategy(0, id="lost", symbol="ZZZ/USDT")]).strategies[0]
    catalog = discover([*default_folders(), tmp_path])
    rules = str(catalog.types["RULES"].file)
    with running_engine(config, catalog) as engine:
        client, control = engine.client, Control(engine)
        control.until("s0", "running", 30)
        client.pause("s0")
        control.until("s0", "paused")
        control.until("s3", "running", client.metrics("s3").candles + 20)
        client.resume("s0")
        control.until("s0", "running")
        with pytest.raises(ChorusError, match="parameter"):
            client.update("s0", {"no_such_parameter": 1})
        client.stop("s1")
        control.until("s1", "stopped")
        with pytest.raises(ChorusError, match="restart it first"):
            client.pause("s1")
        client.restart("s1")
        restarted_at = client.status().slice_number
        control.until("s1", "running")
        client.restart("both")
        control.until("both", "running", 60)
        client.start(late, plugin_file=rules)
        control.until("late", "running")
        assert client.metrics("late").candles >= client.metrics("s0").candles - 50
        for strategy, refusal in [(late, "taken"), (lost, "ZZZ/USDT")]:
            with pytest.raises(ChorusError, match=refusal):
                client.start(strategy, plugin_file=rules)
        with pytest.raises(ChorusError, match="not part of this engine"):
            client.pause("nobody")
        client.stop("s3")
        control.until_it_trades_after("s1", restarted_at)
        client.stop_engine()
        assert engine.wait(30.0)
        extract = client.extract()
    assert list(extract.outcomes) == ["s0", "s1", "s3", "both", "late"]
    assert [strategy.id for strategy in extract.strategies] == list(extract.outcomes)
    assert extract.outcomes["s0"].errors == 0
    assert extract.outcomes["s3"].status == "stopped"
    assert extract.outcomes["s3"].metrics is not None
