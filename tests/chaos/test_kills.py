"""Processes of a running engine are killed; the ledger is that of the undisturbed backtest."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.engine import RunningEngine, running_engine
from engine.backtest import run_backtest
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.market import open_market
from engine.report import RunReport, build_report

KILLS = int(os.environ.get("CHORUS_CHAOS_KILLS", "20"))
"""How many processes are killed; `make chaos` asks for more."""

SEED = int(os.environ.get("CHORUS_CHAOS_SEED", "1"))
VICTIMS = (
    "ray::StrategyActor",
    "ray::StrategyHost",
    "ray::OrderManagerActor",
    "ray::MarketDataActor",
    "ray::StrategyManager",
)

DEDICATED = (0, 5, 8)
POOLED = (1, 4, 6)
"""Together each symbol and timeframe with two of the three kinds of protection."""

CANDLES_PER_S = 100

_BETWEEN_KILLS_S = 0.3


@pytest.fixture
def config_of(
    a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]]
) -> Callable[[int], RunConfig]:
    """Make a run of so many candles in which every strategy trades often and differently."""

    def config(candles: int) -> RunConfig:
        return a_run(
            [
                *(a_strategy(number) for number in DEDICATED),
                *(a_strategy(number, isolation="pooled") for number in POOLED),
            ],
            placement={"hosts": 2},
            candles=candles,
            timeframes=("1m", "1m"),
            market={"speed": 60 * CANDLES_PER_S},
            # A loaded machine may need longer than a second or two to start a process.
            arbitration={"windowMs": 60_000},
        )

    return config


def below_this_one(title: str) -> list[int]:
    """Return the ids of the living processes below this one whose title starts so, sorted.

    Found by ancestry: another engine on the machine is nobody this test may touch.
    """
    parents: dict[int, int] = {}
    titles: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(entry.name)], titles[int(entry.name)] = int(fields[1]), words
    below, grown = {os.getpid()}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in below} - below
        below |= more
        grown = bool(more)
    below.discard(os.getpid())
    return sorted(pid for pid in below if titles[pid].startswith(title))


class Saboteur:
    """Kills one process after the other, at moments and in an order given by a seed."""

    def __init__(self, engine: RunningEngine, seed: int) -> None:
        self._engine = engine
        self._random = random.Random(seed)
        self.killed: dict[str, int] = dict.fromkeys(VICTIMS, 0)

    def kill_one(self, title: str) -> None:
        """Kill a process of a kind, and wait until deciding goes on."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._random.choice(below_this_one(title)), signal.SIGKILL)
            self.killed[title] += 1

    def play(self, kills: int) -> None:
        """Kill so many processes, each a random moment after the engine has got over the last."""
        for _ in range(kills):
            if self._engine.wait(self._random.random() * _BETWEEN_KILLS_S):
                return
            self.kill_one(self._random.choice(VICTIMS))
            self.await_progress()

    def await_progress(self) -> None:
        """Wait until two more slices are decided than when this was called."""
        before = self._engine.client.status().slice_number
        deadline = time.monotonic() + 60.0
        while self._engine.client.status().slice_number <= before + 1:
            assert time.monotonic() < deadline, f"no progress after slice {before}"
            if self._engine.wait(0.05):
                return


@contextlib.contextmanager
def engine_of(config: RunConfig) -> Iterator[RunningEngine]:
    with running_engine(config, discover(default_folders())) as engine:
        yield engine


def expected_of(config: RunConfig) -> RunReport:
    market = open_market(config.market, config.wanted_streams, ())
    return run_backtest(config, discover(default_folders()), market)


def report_of(config: RunConfig, engine: RunningEngine) -> RunReport:
    while not engine.wait(1.0):
        pass
    return build_report(
        config, engine.client.extract(), mode="run", market=[], notices=[], stopped_early=False
    )


def assert_undisturbed(found: RunReport, expected: RunReport) -> None:
    assert found.ledger_sha256 == expected.ledger_sha256
    for was, should in zip(found.strategies, expected.strategies, strict=True):
        assert was.status == "running", was.cause
        assert was.ledger_sha256 == should.ledger_sha256
        assert was.metrics == should.metrics
        assert was.candles == should.candles


def test_any_process_may_be_killed_at_any_moment(config_of: Callable[[int], RunConfig]) -> None:
    config = config_of(max(3000, KILLS * 300))
    before = set(below_this_one(""))
    with engine_of(config) as engine:
        saboteur = Saboteur(engine, SEED)
        saboteur.play(KILLS)
        found = report_of(config, engine)
    assert sum(saboteur.killed.values()) == KILLS
    assert all(saboteur.killed.values()), saboteur.killed
    assert_undisturbed(found, expected_of(config))
    assert set(below_this_one("")) <= before


@pytest.mark.parametrize("title", VICTIMS)
def test_each_kind_of_process_comes_back(title: str, config_of: Callable[[int], RunConfig]) -> None:
    config = config_of(1500)
    with engine_of(config) as engine:
        saboteur = Saboteur(engine, SEED)
        saboteur.await_progress()
        saboteur.kill_one(title)
        saboteur.await_progress()
        found = report_of(config, engine)
    assert_undisturbed(found, expected_of(config))
