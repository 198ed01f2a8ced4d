"""Whoever kills processes of a running engine, and the verdict on what comes of it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from actors.engine import RunningEngine, running_engine
from engine.backtest import Backtest
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.market import open_market
from engine.report import EngineExtract, RunReport, build_report, extract_of
from tests.processes import Process, below

FEW = 20
KILLS = int(os.environ.get("CHORUS_CHAOS_KILLS", FEW))
"""How many processes are killed; `make chaos` asks for more."""

IS_LONG = KILLS > FEW
"""There is time for everything, not only for a part of it."""

SEED = int(os.environ.get("CHORUS_CHAOS_SEED", "1"))
MANAGER = "ray::StrategyManager"
VICTIMS = (
    "ray::StrategyActor",
    "ray::StrategyHost",
    "ray::OrderManagerActor",
    "ray::MarketDataActor",
    MANAGER,
)

_BETWEEN_KILLS_S = 0.3
_PATIENCE_S = 60.0


class Saboteur:
    """Kills one process after the other, at moments and in an order given by a seed."""

    def __init__(self, engine: RunningEngine, seed: int) -> None:
        self._engine = engine
        self._random = random.Random(seed)
        self.killed: dict[str, int] = dict.fromkeys(VICTIMS, 0)

    def kill_one(self, title: str) -> Process:
        """Kill a process of a kind and return which it was."""
        victim = self._choose(title)
        self._signal(victim, signal.SIGKILL)
        self.killed[title] += 1
        return victim

    def kill_at_once(self, *titles: str) -> None:
        """Kill a process of each kind at one moment: none sees another one die."""
        victims = [self._choose(title) for title in titles]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for victim in victims:
                self._signal(victim, number)
        for title in titles:
            self.killed[title] += 1

    def kill_while_stopping(self, *titles: str) -> None:
        """Let the engine stop while some of it hangs, and kill that.

        What hangs keeps the engine from being done with stopping before it is killed. The manager
        has to be told to stop before it can be killed, and is killed at once.
        """
        victims = [self._choose(title) for title in titles]
        hanging = [each for each in victims if not each.title.startswith(MANAGER)]
        for victim in hanging:
            self._signal(victim, signal.SIGSTOP)
        with ThreadPoolExecutor(max_workers=1) as pool:
            stopping = pool.submit(self._engine.client.stop_engine)
            # The manager may itself wait for what hangs.
            with contextlib.suppress(TimeoutError):
                stopping.result(1.0 if hanging else None)
            for victim in victims:
                self._signal(victim, signal.SIGKILL)
            stopping.result()

    def await_successor(self, title: str, victim: Process) -> None:
        """Wait until a process has been started in the place of one that was killed."""
        known = {each.pid for each in below(title=title)} | {victim.pid}
        deadline = time.monotonic() + _PATIENCE_S
        while all(each.pid in known for each in below(title=title)):
            assert time.monotonic() < deadline, f"nobody comes for {victim}"
            assert not self._engine.wait(0.01), "the feed ended too early"

    def _choose(self, title: str) -> Process:
        deadline = time.monotonic() + _PATIENCE_S
        while not (found := below(title=title)):
            assert time.monotonic() < deadline, f"there is no {title}"
            assert not self._engine.wait(0.05), "the feed ended too early"
        return self._random.choice(found)

    @staticmethod
    def _signal(victim: Process, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim.pid, number)

    def choose(self, pairs: Iterable[tuple[str, str]], most: int) -> list[tuple[str, str]]:
        """Return some pairs in an order of the seed; all of them in a longer session."""
        found = list(pairs)
        self._random.shuffle(found)
        return found if IS_LONG else found[:most]

    def pause(self) -> None:
        """Let the engine run for a random moment."""
        self._engine.wait(self._random.random() * _BETWEEN_KILLS_S)

    def play(self, kills: int) -> None:
        """Kill so many processes, each a random moment after the engine has got over the last.

        One of each kind comes first, then any.
        """
        first = self._random.sample(VICTIMS, len(VICTIMS))
        for number in range(kills):
            self.pause()
            self.kill_one(first[number] if number < len(first) else self._random.choice(VICTIMS))
            self.await_progress()

    def await_progress(self) -> None:
        """Wait until two more slices are decided than when this was called."""
        self.await_slice(self._engine.client.status().slice_number + 2)

    def await_slice(self, number: int) -> None:
        """Wait until a slice is decided, or the feed has ended."""
        deadline = time.monotonic() + _PATIENCE_S
        while (decided := self._engine.client.status().slice_number) < number:
            assert time.monotonic() < deadline, f"no progress after slice {decided}"
            if self._engine.wait(0.05):
                return


@contextlib.contextmanager
def engine_of(config: RunConfig) -> Iterator[RunningEngine]:
    with running_engine(config, discover(default_folders())) as engine:
        yield engine


def expected_until(config: RunConfig, decided: int) -> RunReport:
    """Return the report of a backtest that ends with a slice."""
    market = open_market(config.market, config.wanted_streams, ())
    backtest = Backtest(config, discover(default_folders()), market)
    backtest.run(every=decided + 1, watch=lambda: False)
    extract = EngineExtract(
        strategies=list(config.strategies),
        outcomes=backtest.outcomes(),
        ledger=extract_of(backtest.manager),
        candles=backtest.candles,
        elapsed_s=0.0,
        latency_ms={},
    )
    return build_report(config, extract, mode="backtest", market=[], notices=[], stopped_early=True)


def report_of(config: RunConfig, engine: RunningEngine) -> RunReport:
    while not engine.wait(1.0):
        pass
    return build_report(
        config, engine.client.extract(), mode="run", market=[], notices=[], stopped_early=False
    )


def assert_undisturbed(found: RunReport, expected: RunReport) -> None:
    assert found.ledger_sha256 == expected.ledger_sha256
    for was, should in zip(found.strategies, expected.strategies, strict=True):
        assert was.status == should.status, was.cause
        assert was.ledger_sha256 == should.ledger_sha256
        assert was.metrics == should.metrics
        assert was.candles == should.candles
