"""`chorus run` and `chorus backtest`, the engine itself replaced where it is not the point."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import Result

from api.cli.boundary import spread_replay
from api.cli.runs import StopRequest
from engine.errors import ChorusError
from engine.report import RunReport, StrategyReport
from engine.status import EngineStatus, StrategyStatus

Chorus = Callable[..., Result]
Write = Callable[..., Path]
Strategy = Callable[..., dict[str, Any]]


def strategy_report(**changes: Any) -> StrategyReport:
    facts: dict[str, Any] = {
        "id": "macd",
        "name": "macd",
        "type": "RULES",
        "symbol": "BTC/USDT",
        "timeframe": "1m",
        "account": "",
        "status": "running",
        "candles": 400,
        "errors": 0,
        "cause": "",
        "trace": "",
        "metrics": {
            "capital": "1000",
            "equity": 1250.5,
            "total_return": 0.2505,
            "win_rate": 0.625,
            "sharpe": None,
            "max_drawdown": 0.031,
            "total_trades": 1234,
        },
        "signals": [],
        "orders": [],
        "fills": [],
        "positions": [],
        "ledger_sha256": "ab" * 32,
    }
    return StrategyReport(**{**facts, **changes})


def run_report(*strategies: StrategyReport, **changes: Any) -> RunReport:
    found = strategies or (strategy_report(),)
    by_status: dict[str, int] = {}
    for each in found:
        by_status[each.status] = by_status.get(each.status, 0) + 1
    facts: dict[str, Any] = {
        "name": "test",
        "mode": "run",
        "strategies": list(found),
        "totals": {
            "strategies": len(found),
            "by_status": by_status,
            "signals": 12,
            "orders": 10,
            "fills": 9,
            "errors": 0,
            "accounts": [{"account": "paper", "currency": "USDT", "balance": "1000.5"}],
        },
        "latency": {"p50": 0.5, "p99": 2.25},
        "candles": 45_031,
        "candles_per_s": 30_000.0,
        "elapsed_s": 1.5,
        "ledger_sha256": "cd" * 32,
        "market": [],
        "notices": [],
    }
    return RunReport(**{**facts, **changes})


class FakeEngine:
    """Stands in for `actors.engine`: says what it was called with, gives a prepared report."""

    def __init__(self) -> None:
        self.report = run_report()
        self.calls: list[dict[str, Any]] = []
        self.during: Callable[[], None] = lambda: None
        self.stopped = False

    def run_engine(self, config: Any, catalog: Any, **facts: Any) -> RunReport:
        self.calls.append({"config": config, "catalog": catalog, **facts})
        facts["on_status"](
            EngineStatus(
                phase="running",
                slice_number=10,
                candles=200,
                total_candles=400,
                candles_per_s=1234.0,
                elapsed_s=1.0,
                strategies=[
                    StrategyStatus("macd", "macd", "RULES", "BTC/USDT", "1m", "", "running")
                ],
                latency_ms={},
            )
        )
        self.during()
        self.stopped = facts["stop"]()
        return self.report


@pytest.fixture
def engine(replace_actors: Callable[[object], None]) -> FakeEngine:
    fake = FakeEngine()
    replace_actors(fake)
    return fake


@pytest.fixture
def config(write: Write, strategy: Strategy) -> Path:
    return write({"name": "tiny", "strategies": [strategy()]}, "tiny.json")


def test_the_engine_gets_config_catalogue_files_and_speed(
    chorus: Chorus, engine: FakeEngine, config: Path, candles: Path
) -> None:
    result = chorus("run", config, "--replay", candles, "--speed", "60")
    assert result.exit_code == 0, result.stderr
    (call,) = engine.calls
    assert call["config"].name == "tiny"
    assert "RULES" in call["catalog"].types
    assert list(call["replay"]) == [str(candles)]
    assert call["speed"] == 60.0
    assert call["config"].market.speed == 60.0


def test_the_configured_speed_is_that_of_the_configured_market(
    chorus: Chorus, engine: FakeEngine, write: Write, strategy: Strategy, candles: Path
) -> None:
    market = {"speed": 5, "replay": [candles.name]}
    path = write({"market": market, "strategies": [strategy()]})
    for args in ([], ["--speed", "max"], ["--replay", candles], ["--replay", candles, "--speed=7"]):
        assert chorus("run", path, *args).exit_code == 0
    assert [call["speed"] for call in engine.calls] == [5.0, "max", "max", 7.0]


def test_the_report_shows_what_matters(
    chorus: Chorus, engine: FakeEngine, config: Path, candles: Path
) -> None:
    out = chorus("run", config, "--replay", candles).stdout
    for text in (
        "test (actors)",
        "BTC/USDT 1m",
        "1,234",
        "62.5 %",
        "+25.05 %",
        "+250.50",
        "3.10 %",
        "paper",
        "1,000.50",
        "45,031 candles in 1.5 s: 30,000 candles/s",
        "p50 0.50 ms, p99 2.25 ms",
        f"ledger sha256 {'cd' * 32}",
        "200/400 candles",
    ):
        assert text in out


def test_failed_strategies_are_listed_loudly_and_the_run_still_succeeds(
    chorus: Chorus, engine: FakeEngine, config: Path, candles: Path
) -> None:
    engine.report = run_report(
        strategy_report(),
        strategy_report(
            id="bad",
            status="error",
            metrics=None,
            cause="ValueError: no [price]",
            positions=[{"symbol": "BTC/USDT", "quantity": "0.2500"}],
        ),
        strategy_report(id="shaky", errors=2),
        strategy_report(id="idle", status="no data", metrics=None),
        notices=["2 files have gaps"],
    )
    result = chorus("run", config, "--replay", candles)
    assert result.exit_code == 0
    assert (
        "1 ended in error:\n  bad: ValueError: no [price]; it still holds 0.25 BTC/USDT"
        in result.stdout
    )
    assert "shaky: 2 exceptions contained" in result.stdout
    assert "no candles for: idle (not run)" in result.stdout
    assert "note: 2 files have gaps" in result.stdout
    assert "4 strategies (1 error, 1 no data, 2 running)" in result.stdout


def test_one_is_not_written_as_many(
    chorus: Chorus, engine: FakeEngine, config: Path, candles: Path
) -> None:
    totals = {**run_report().totals, "signals": 1, "orders": 1, "fills": 1}
    engine.report = run_report(strategy_report(errors=1), totals=totals, candles=1)
    out = chorus("run", config, "--replay", candles).stdout
    assert "macd: 1 exception contained\n" in out
    assert "\n1 strategy (1 running), 1 signal, 1 order, 1 fill; arbitration" in out
    assert "\n1 candle in 1.5 s" in out


def test_json_prints_the_report_and_nothing_else(
    chorus: Chorus, engine: FakeEngine, config: Path, candles: Path
) -> None:
    result = chorus("run", config, "--replay", candles, "--json")
    assert json.loads(result.stdout)["ledger_sha256"] == "cd" * 32
    assert result.stderr == ""


def test_quiet_shows_no_progress(
    chorus: Chorus, engine: FakeEngine, config: Path, candles: Path
) -> None:
    out = chorus("run", config, "--replay", candles, "--quiet").stdout
    assert "200/400" not in out
    assert "ledger sha256" in out


def test_the_report_file_holds_the_report(
    chorus: Chorus, engine: FakeEngine, config: Path, candles: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.json"
    result = chorus("run", config, "--replay", candles, "--report", target)
    assert f"report written to {target}" in result.stdout
    assert json.loads(target.read_bytes())["candles"] == 45_031


@pytest.fixture
def hearing() -> Iterator[None]:
    """Let SIGHUP be heard, which `nohup` has a program ignore."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hearing")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_engine_and_still_reports(
    chorus: Chorus, engine: FakeEngine, config: Path, candles: Path, number: signal.Signals
) -> None:
    engine.during = lambda: os.kill(os.getpid(), number)
    before = signal.getsignal(number)
    result = chorus("run", config, "--replay", candles)
    assert engine.stopped
    assert result.exit_code == 0
    assert f"stopped early by {number.name}" in result.stdout
    assert "ledger sha256" in result.stdout
    assert signal.getsignal(number) is before


@pytest.mark.usefixtures("hearing")
def test_the_first_signal_is_answered_at_once_and_the_second_interrupts(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with StopRequest() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGHUP)
        assert capfd.readouterr().err == "stopping: SIGHUP; a second signal interrupts\n"
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_program_under_nohup_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop()
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("command", ["run", "backtest", "validate"])
def test_an_interrupted_command_says_so(
    chorus: Chorus, config: Path, candles: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("api.cli.preflight.open_market", interrupted)
    result = chorus(command, config, "--replay", candles)
    assert (result.exit_code, result.stdout) == (130, "")
    end = "" if command == "validate" else "; no report was written"
    assert result.stderr == f"interrupted{end}\n"


def test_an_engine_that_fails_ends_with_code_1(
    chorus: Chorus, engine: FakeEngine, config: Path, candles: Path
) -> None:
    def fail() -> None:
        raise ChorusError("engine: the order manager ended; see its log")

    engine.during = fail
    result = chorus("run", config, "--replay", candles)
    assert result.exit_code == 1
    assert result.stderr == "error: engine: the order manager ended; see its log\n"


@pytest.mark.parametrize(
    ("given", "spread"),
    [
        (["c.yaml", "--replay", "a"], ["c.yaml", "--replay", "a"]),
        (
            ["c.yaml", "--replay", "a", "b", "-q"],
            ["c.yaml", "--replay", "a", "--replay", "b", "-q"],
        ),
        (
            ["--replay", "a", "--replay", "b", "c.json"],
            ["--replay", "a", "--replay", "b", "c.json"],
        ),
        (
            ["--replay", "a", "b", "--report", "o.json", "c.yml"],
            ["--replay", "a", "--replay", "b", "--report", "o.json", "c.yml"],
        ),
        (["c.yaml", "--replay=a", "b"], ["c.yaml", "--replay=a", "b"]),
        (["c.yaml", "--", "--replay", "a", "b"], ["c.yaml", "--", "--replay", "a", "b"]),
    ],
)
def test_replay_takes_what_a_glob_expands_to(given: list[str], spread: list[str]) -> None:
    assert spread_replay(given) == spread


def test_backtest_trades_and_is_the_same_twice(
    chorus: Chorus, config: Path, candles: Path, tmp_path: Path
) -> None:
    results = []
    for name in ("a.json", "b.json"):
        target = tmp_path / name
        result = chorus("backtest", config, "--replay", candles, "--report", target)
        assert result.exit_code == 0, result.stderr
        results.append(json.loads(target.read_bytes()))
        assert results[-1]["ledger_sha256"] in result.stdout
    first, second = results
    assert first["ledger_sha256"] == second["ledger_sha256"]
    assert len(first["ledger_sha256"]) == hashlib.sha256().digest_size * 2
    (strategy,) = first["strategies"]
    assert strategy["metrics"]["total_trades"] > 3
    assert len(strategy["fills"]) >= 2 * strategy["metrics"]["total_trades"]
    assert first["candles"] == 400


def test_backtest_json_is_only_the_report(chorus: Chorus, config: Path, candles: Path) -> None:
    result = chorus("backtest", config, "--replay", candles, "--json")
    report = json.loads(result.stdout)
    assert report["mode"] == "backtest"
    assert report["stopped_early"] is False


def test_rows_that_were_left_out_and_gaps_are_said_once(
    chorus: Chorus, config: Path, candles: Path
) -> None:
    frame = pl.read_parquet(candles)
    broken = frame.with_columns(
        close=pl.when(pl.col("open_time") == frame["open_time"][50])
        .then(float("nan"))
        .otherwise(pl.col("close"))
    ).filter(pl.col("open_time") != frame["open_time"][200])
    broken.write_parquet(candles)
    result = chorus("backtest", config, "--replay", candles)
    assert result.exit_code == 0
    lines = [line for line in result.stdout.split("\n") if str(candles) in line]
    assert len([line for line in lines if "missing" in line]) == 1
    assert len([line for line in lines if "1 of 399 rows refused" in line]) == 1
