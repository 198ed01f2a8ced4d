"""Processes end at the very places where it matters most, and the ledger does not show it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.engine import RunningEngine, running_engine
from actors.state import open_run_folder
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.crash_points import VARIABLE, CrashPoint, arm, fired
from tests.chaos.saboteur import (
    IS_LONG,
    SEED,
    Saboteur,
    assert_undisturbed,
    expected_until,
    report_of,
)
from tests.processes import below

CANDLES = 100_000
"""More than can be played; each test stops the engine itself."""

CANDLES_PER_S = 25
"""Slow enough for hosts to have quiet moments, in which they store states."""

TRADING = 100
"""A slice by which strategies are past their warm-up and trade."""

PATIENCE_S = 60.0

AT_THE_START = {
    CrashPoint.MANAGER_REMEMBERED: 1,
    CrashPoint.MANAGER_BETWEEN_ACTIONS: 2,
    CrashPoint.STATES_DRAFTED: 1,
    CrashPoint.STATES_WRITTEN_IN_PART: 1,
}
"""Where the engine comes by itself, and how often."""

LATER = [
    # A host dies; the manager has decided to start it again, and dies.
    (CrashPoint.DEDICATED_APPLIED, CrashPoint.MANAGER_REMEMBERED),
    (CrashPoint.MARKET_LOGGED,),
    # The one that comes in its place dies in counting its life.
    (CrashPoint.ORDERS_RECORDED, CrashPoint.FILE_DRAFTED),
    (CrashPoint.POOLED_APPLIED,),
    (CrashPoint.ORDERS_SENT,),
]
"""What follows one after the other; the second one of a pair comes of the first."""

ALONE = {
    CrashPoint.MARKET_LOGGED: (1, 2, 50),
    CrashPoint.DEDICATED_APPLIED: (1, 2, 50),
    CrashPoint.POOLED_APPLIED: (1, 2, 20),
    CrashPoint.STATES_WRITTEN_IN_PART: (1, 2),
    CrashPoint.STATES_DRAFTED: (1, 2, 3),
    CrashPoint.FILE_DRAFTED: (1, 2),
    CrashPoint.ORDERS_RECORDED: (1, 2, 50),
    CrashPoint.ORDERS_SENT: (1, 2, 50),
    CrashPoint.MANAGER_REMEMBERED: (1,),
    CrashPoint.MANAGER_BETWEEN_ACTIONS: (1, 2),
}
"""How often each can be reached from the start on, in a run that nothing else disturbs."""

Strategy = Callable[..., dict[str, Any]]
Fired = list[tuple[CrashPoint, int]]


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the folder that arms points in every engine started from here on."""
    folder = tmp_path / "points"
    folder.mkdir()
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


@pytest.fixture
def config(a_run: Callable[..., RunConfig], a_strategy: Strategy) -> RunConfig:
    """Return a run with a pooled host that keeps states in several files."""
    return a_run(
        [
            *(a_strategy(number) for number in (0, 5)),
            *(a_strategy(number, isolation="pooled") for number in (1, 4, 7)),
        ],
        placement={"hosts": 1},
        candles=CANDLES,
        timeframes=("1m", "1m"),
        market={"speed": 60 * CANDLES_PER_S},
        arbitration={"windowMs": 60_000},
    )


@contextmanager
def durable_engine(config: RunConfig, folder: Path) -> Iterator[RunningEngine]:
    """Run an engine that waits for the disk; nothing of it may be left behind."""
    before = {each.pid for each in below()}
    catalog = discover(default_folders())
    with (
        open_run_folder(folder, config, catalog, (), resume=False) as state,
        running_engine(config, catalog, state=state) as engine,
    ):
        yield engine
    assert {each.pid for each in below()} <= before


def await_fired(engine: RunningEngine, folder: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(fired(folder)) < count:
        assert time.monotonic() < deadline, fired(folder)
        assert not engine.wait(0.05), "the feed ended too early"


def verdict(config: RunConfig, engine: RunningEngine) -> None:
    """Stop and check that what was decided is what an undisturbed run decides."""
    Saboteur(engine, SEED).await_slice(TRADING)
    engine.client.stop_engine()
    found = report_of(config, engine)
    decided = engine.client.status().slice_number
    assert TRADING <= decided < CANDLES - 1
    assert_undisturbed(found, expected_until(config, decided))


def test_processes_may_end_at_any_named_point(
    config: RunConfig, points: Path, tmp_path: Path
) -> None:
    expected: list[CrashPoint] = list(AT_THE_START)
    counts = random.Random(SEED)
    for point, count in AT_THE_START.items():
        arm(points, point, count)
    with durable_engine(config, tmp_path / "state") as engine:
        await_fired(engine, points, len(expected))
        saboteur = Saboteur(engine, SEED)
        for first, *then in LATER:
            saboteur.await_progress()
            for point in then:
                arm(points, point)
            arm(points, first, counts.randint(1, 9))
            expected += [first, *then]
            await_fired(engine, points, len(expected))
        saboteur.await_progress()
        verdict(config, engine)
    assert [point for point, _ in fired(points)] == sorted(expected)
    assert set(expected) == set(CrashPoint)
    assert len({pid for _, pid in fired(points)}) == len(expected)


@pytest.mark.skipif(not IS_LONG, reason="each point alone takes minutes: make chaos")
@pytest.mark.parametrize(
    ("point", "count"), [(point, count) for point in CrashPoint for count in ALONE[point]]
)
def test_a_process_may_end_at_a_point_from_the_start_on(
    point: CrashPoint, count: int, config: RunConfig, points: Path, tmp_path: Path
) -> None:
    arm(points, point, count)
    with durable_engine(config, tmp_path / "state") as engine:
        await_fired(engine, points, 1)
        verdict(config, engine)
