"""`chorus run` as a user has it: a process of its own, real actors, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]
Strategy = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.actors

PROGRAM = [sys.executable, "-c", "from api.cli import main; main()"]
DEADLINE_S = 180


def three(strategy: Strategy) -> list[dict[str, Any]]:
    return [
        strategy(id=f"s{n}", timeframe=timeframe) for n, timeframe in enumerate(["1m", "3m", "5m"])
    ]


def chorus(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [*PROGRAM, *(str(arg) for arg in args)],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def test_run_and_backtest_leave_the_same_ledger(
    write: Write, strategy: Strategy, candles: Path
) -> None:
    config = write({"name": "three", "strategies": three(strategy)})
    live = chorus("run", config, "--replay", candles, "--json")
    assert live.returncode == 0, live.stderr
    assert live.stderr == ""
    reference = chorus("backtest", config, "--replay", candles, "--json")
    run, backtest = json.loads(live.stdout), json.loads(reference.stdout)
    assert run["ledger_sha256"] == backtest["ledger_sha256"]
    assert [s["fills"] for s in run["strategies"]] == [s["fills"] for s in backtest["strategies"]]
    assert sum(len(s["fills"]) for s in run["strategies"]) > 10
    assert run["latency"].keys() == {"p50", "p90", "p99", "max"}


def test_ctrl_c_ends_a_run_cleanly_with_a_report(
    write: Write, strategy: Strategy, tmp_path: Path
) -> None:
    synthetic = {"symbols": [{"symbol": "BTC/USDT"}], "candles": 1_000_000}
    market = {"synthetic": synthetic, "speed": 6000}  # would take hours to end by itself
    config = write({"market": market, "strategies": three(strategy)})
    report = tmp_path / "report.json"
    with subprocess.Popen(  # noqa: S603 - our own command
        [*PROGRAM, "run", str(config), "--report", str(report)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "3 running" in line and "candles" in line:
                process.send_signal(signal.SIGINT)
                break
        rest, _ = process.communicate(timeout=DEADLINE_S)
    output = "".join(lines) + rest
    assert process.returncode == 0, output
    assert "stopped early by SIGINT" in output
    assert "Traceback" not in output
    found = json.loads(report.read_bytes())
    assert found["stopped_early"] is True
    assert 0 < found["candles"] < 1_000_000
    for each in found["strategies"]:
        assert each["candles"] > 0
        assert each["metrics"] is not None
