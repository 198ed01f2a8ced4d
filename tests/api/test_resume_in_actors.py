"""`chorus run --state` as a user has it: everything is killed, or stopped, and resumed."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import await_size, below, kill_tree

Write = Callable[..., Path]
Strategy = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.actors

PROGRAM = [sys.executable, "-c", "from api.cli import main; main()"]
DEADLINE_S = 120.0
PACE = 60 * 200
"""Of one-minute candles: 200 per second, so that there is a middle to be killed in."""


@pytest.fixture
def config(write: Write, strategy: Strategy) -> Path:
    synthetic = {"symbols": [{"symbol": "BTC/USDT"}], "candles": 4000}
    return write(
        {
            "name": "interrupted",
            "market": {"synthetic": synthetic},
            "placement": {"hosts": 1},
            "strategies": [
                # What an instance keeps to itself decides about later orders as well.
                strategy(id="alone", risk={"cooldown_candles": 2, "time_limit_candles": 9}),
                strategy(id="stops", isolation="pooled", risk={"stop_loss": 0.004}),
                strategy(id="slow", isolation="pooled", timeframe="5m"),
            ],
        }
    )


class Run:
    """One life of `chorus run --state`."""

    def __init__(self, config: Path, state: Path, *options: str) -> None:
        args = ["run", str(config), "--state", str(state), "--json", *options]
        self._journal = state / "orders.journal"
        self._size = self._written()
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [*PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def _written(self) -> int:
        return self._journal.stat().st_size if self._journal.exists() else 0

    def await_orders(self) -> None:
        """Wait until it has recorded more than it began with."""
        await_size(self._journal, self._size + 5000, self.process)

    def report(self) -> dict[str, Any]:
        """Wait for its end."""
        out, err = self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == 0, err
        assert "Traceback" not in err
        found: dict[str, Any] = json.loads(out)
        return found


@contextlib.contextmanager
def run(config: Path, state: Path, *options: str) -> Iterator[Run]:
    """Start a life; whatever the block leaves of it is killed."""
    life = Run(config, state, *options)
    try:
        yield life
    finally:
        if life.process.poll() is None:
            kill_tree(life.process.pid)
        life.process.communicate()


def kill_in_the_middle(config: Path, state: Path, *options: str) -> None:
    with run(config, state, "--speed", str(PACE), *options) as life:
        life.await_orders()
        assert {"ray::OrderManagerActor", "ray::MarketDataActor", "ray::StrategyActor"} <= {
            each.title.strip().partition(".")[0] for each in below(life.process.pid)
        }
        kill_tree(life.process.pid)
        assert life.process.wait(DEADLINE_S) == -signal.SIGKILL


def assert_as_backtest(found: dict[str, Any], config: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        [*PROGRAM, "backtest", str(config), "--json"], capture_output=True, check=True
    )
    expected = json.loads(done.stdout)
    assert found["ledger_sha256"] == expected["ledger_sha256"]
    assert found["candles"] == expected["candles"] == 4000
    assert not found["stopped_early"]
    for was, should in zip(found["strategies"], expected["strategies"], strict=True):
        assert was["status"] == "running", was["cause"]
        assert was["ledger_sha256"] == should["ledger_sha256"]
        assert was["metrics"] == should["metrics"]
        assert was["candles"] == should["candles"]
        assert len(should["fills"]) > 20


def stop_in_the_middle(config: Path, state: Path, *options: str) -> None:
    with run(config, state, "--speed", str(PACE), *options) as life:
        life.await_orders()
        life.process.send_signal(signal.SIGTERM)
        stopped = life.report()
    assert stopped["stopped_early"]
    assert 0 < stopped["candles"] < 4000


def test_killed_with_everything_stopped_and_resumed_it_ends_as_if_nothing_had_happened(
    config: Path, tmp_path: Path
) -> None:
    state, before = tmp_path / "state", {each.pid for each in below()}
    kill_in_the_middle(config, state)
    stop_in_the_middle(config, state, "--resume")
    kill_in_the_middle(config, state, "--resume")
    with run(config, state, "--resume", "--speed", "max") as life:
        assert_as_backtest(life.report(), config)
    assert {each.pid for each in below()} <= before
