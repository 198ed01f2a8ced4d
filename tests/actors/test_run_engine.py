"""Whole engines in real Ray actors."""

from __future__ import annotations

import os
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

DEADLINE_S = 120.0


def backtest(config: RunConfig, folders: list[Path]) -> RunReport:
    streams = [stream for strategy in config.strategies for stream in strategy.streams]
    return run_backtest(config, discover(folders), open_market(config.market, streams, ()))


def by_id(report: RunReport) -> dict[str, StrategyReport]:
    return {strategy.id: strategy for strategy in report.strategies}


def children() -> set[int]:
    """Return the processes below this one, zombies not counted."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                found[int(entry.name)] = int(fields[1])
    below, grown = {os.getpid()}, True
    while grown:
        more = {pid for pid, parent in found.items() if parent in below} - below
        below |= more
        grown = bool(more)
    return below - {os.getpid()}


def test_twelve_actors_write_the_ledger_of_the_backtest_and_leave_nothing_behind(
    a_run: Callable[..., RunConfig],
    a_strategy: Callable[..., dict[str, object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = children()
    folder = tmp_path / "t"
    folder.mkdir()
    config = a_run([a_strategy(n) for n in range(12)])
    seen: list[EngineStatus] = []
    report = run_engine(config, discover(default_folders()), on_status=seen.append)
    expected = backtest(config, default_folders())
    assert report.ledger_sha256 == expected.ledger_sha256
    assert report.totals["fills"] == expected.totals["fills"] > 200
    assert [s.metrics for s in report.strategies] == [s.metrics for s in expected.strategies]
    assert report.candles == expected.candles == 6000
    assert report.latency["p50"] > 0
    assert seen[-1].phase == "done"
    assert {status.status for status in seen[-1].strategies} == {"running"}
    assert children() - before == set()


def test_strategies_that_raise_hang_or_exit_disturb_nobody(
    a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]], tmp_path: Path
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
    window = {"arbitration": {"windowMs": 1500}}
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
        "loops": "error",
        "exits": "error",
    }
    assert "boom at candle 300" in found["raises"].cause
    assert "no answer for" in found["loops"].cause
    assert "process ended" in found["exits"].cause


def test_one_strategy_is_controlled_while_the_others_run_on(
    a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]]
) -> None:
    one_minute_in_10_ms = {"market": {"speed": 6000}}
    config = a_run(
        [a_strategy(0), a_strategy(1), a_strategy(3)], candles=20_000, **one_minute_in_10_ms
    )
    late = a_run([a_strategy(6, id="late")]).strategies[0]
    catalog = discover(default_folders())
    with running_engine(config, catalog) as engine:
        client = engine.client

        def until(strategy_id: str, status: str, candles: int = 0) -> None:
            for _ in range(200):
                line = {s.id: s for s in client.status().strategies}[strategy_id]
                if line.status == status and line.candles >= candles:
                    return
                assert not engine.wait(0.1), "the feed ended too early"
            pytest.fail(f"{strategy_id} is {line}, not {status} after {candles} candles")

        until("s0", "running", 30)
        client.pause("s0")
        until("s0", "paused")
        until("s3", "running", client.metrics("s3").candles + 20)
        client.resume("s0")
        until("s0", "running")
        with pytest.raises(ChorusError, match="parameter"):
            client.update("s0", {"no_such_parameter": 1})
        client.stop("s1")
        until("s1", "stopped")
        with pytest.raises(ChorusError, match="restart it first"):
            client.pause("s1")
        client.restart("s1")
        until("s1", "running")
        client.start(late, plugin_file=str(catalog.types[late.type].file))
        until("late", "running")
        assert client.metrics("late").candles >= client.metrics("s0").candles - 50
        with pytest.raises(ChorusError, match="not part of this engine"):
            client.pause("nobody")
        with pytest.raises(ChorusError, match="taken"):
            client.start(late, plugin_file=str(catalog.types[late.type].file))
        client.stop_engine()
        assert engine.wait(30.0)
        extract = client.extract()
    assert set(extract.outcomes) == {"s0", "s1", "s3", "late"}
    assert extract.outcomes["s3"].errors == 0


def test_stopping_early_still_reports_what_was_decided(
    a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]]
) -> None:
    config = a_run([a_strategy(0)], candles=1_000_000)
    seen: list[EngineStatus] = []
    report = run_engine(
        config,
        discover(default_folders()),
        on_status=seen.append,
        stop=lambda: bool(seen) and seen[-1].candles > 2000,
    )
    assert report.stopped_early
    assert 2000 < report.candles < 1_000_000
    assert report.strategies[0].candles > 0
    assert report.strategies[0].metrics is not None


def test_a_market_without_the_wanted_stream_leaves_that_strategy_idle(
    a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]]
) -> None:
    config = a_run([a_strategy(0), a_strategy(1, id="lost", symbol="ZZZ/USDT")], candles=300)
    report = by_id(run_engine(config, discover(default_folders())))
    assert report["lost"].status == "no data"
    assert "ZZZ/USDT" in report["lost"].cause
    assert report["s0"].status == "running"
