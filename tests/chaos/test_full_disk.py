"""A disk that fills up while an engine trades: said clearly, nothing is damaged, the run goes on.

What decides the ledger ends the run where it cannot be written. Stored states only shorten the way
back, so one that cannot be written ends nothing.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pytest

from actors.engine import running_engine
from actors.state import open_run_folder
from engine.backtest import run_backtest
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.market import open_market
from tests.chaos.saboteur import (
    IS_LONG,
    SEED,
    Saboteur,
    assert_undisturbed,
    expected_until,
    report_of,
)
from tests.engine.journal.disks import MountedDisk, can_mount
from tests.processes import await_size, below, kill_tree

PROGRAM = [sys.executable, "-c", "from api.cli import main; main()"]
CANDLES = 2000
CANDLES_PER_S = 100
TRADING = 100
"""A slice by which strategies are past their warm-up and trade."""

TRADING_BYTES = 3000
"""Of the journal; that many are there only once orders have been decided."""

DISK_BYTES = 24 << 20
PAGE = bytes(4096)
DEADLINE_S = 120.0

Strategy = Callable[..., dict[str, Any]]


class Disk(Protocol):
    """Where a run keeps its state.

    Attributes:
        folder: On it.
        said: What the system says when it is full.
    """

    folder: Path
    said: str

    def fill(self, program: int) -> None:
        """Take no more of what a program writes."""

    def make_room(self) -> None:
        """Take more again."""


class LimitedDisk:
    """A file size that the order manager's process may not exceed, by little: needs no root."""

    said = "File too large"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, program: int) -> None:
        (orders,) = below(program, "ray::OrderManagerActor")
        written = (self.folder / "state" / "orders.journal").stat().st_size
        limits = (written + 500, resource.RLIM_INFINITY)
        resource.prlimit(orders.pid, resource.RLIMIT_FSIZE, limits)

    def make_room(self) -> None:
        """The process it held for is gone."""


class SmallDisk:
    """A real one that something else fills to the last byte."""

    said = "No space left on device"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, program: int) -> None:
        del program
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(PAGE)

    def make_room(self) -> None:
        self._ballast.unlink()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take a real disk where one can be had, and both kinds in a longer session."""
    if "disk" in metafunc.fixturenames:
        kinds = ["small"] if can_mount() else []
        if IS_LONG or not kinds:
            kinds.append("limited")
        metafunc.parametrize("disk", kinds, indirect=True)


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "limited":
        yield LimitedDisk(folder)
        return
    mounted = MountedDisk(folder, DISK_BYTES)
    assert mounted.mount()
    yield SmallDisk(folder)
    mounted.unmount()


@pytest.fixture
def config(a_run: Callable[..., RunConfig], a_strategy: Strategy) -> RunConfig:
    return a_run(
        [a_strategy(0), *(a_strategy(number, isolation="pooled") for number in (1, 4))],
        placement={"hosts": 1},
        candles=CANDLES,
        timeframes=("1m", "1m"),
    )


@contextmanager
def chorus(*words: object) -> Iterator[subprocess.Popen[str]]:
    """Start a command; whatever the block leaves of it is killed."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*PROGRAM, *map(str, words), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            kill_tree(process.pid)
        process.communicate()


def report(*words: object) -> dict[str, Any]:
    with chorus(*words) as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_disk_that_fills_up_ends_the_run_which_goes_on_when_there_is_room(
    disk: Disk, config: RunConfig, tmp_path: Path
) -> None:
    file = tmp_path / "run.json"
    file.write_text(config.model_dump_json(by_alias=True, exclude_unset=True))
    before, state = {each.pid for each in below()}, disk.folder / "state"
    with chorus("run", file, "--state", state, "--speed", 60 * CANDLES_PER_S) as process:
        await_size(state / "orders.journal", TRADING_BYTES, process)
        disk.fill(process.pid)
        out, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out) == (1, "")
    # Several files grow; any may be the first that finds no room.
    failure, remedy = err.splitlines()
    assert failure.startswith("error: the engine failed: order manager ended: JournalError: ")
    assert str(state) in failure
    assert disk.said in failure
    assert f"what was decided is kept in '{state}': " in remedy
    assert "with --resume continues the run" in remedy
    assert {each.pid for each in below()} <= before

    disk.make_room()
    found = report("run", file, "--state", state, "--resume", "--speed", "max")
    market = open_market(config.market, config.wanted_streams, ())
    backtest = run_backtest(config, discover(default_folders()), market)
    expected = json.loads(backtest.to_json())
    assert found["ledger_sha256"] == expected["ledger_sha256"]
    assert found["candles"] == expected["candles"] == CANDLES
    for was, should in zip(found["strategies"], expected["strategies"], strict=True):
        assert was["status"] == "running", was["cause"]
        assert was["metrics"] == should["metrics"]
        assert len(should["fills"]) > 20
    assert {each.pid for each in below()} <= before


def test_states_that_cannot_be_written_end_nothing_and_are_reported_once(
    a_run: Callable[..., RunConfig], a_strategy: Strategy, tmp_path: Path
) -> None:
    config = a_run(
        [a_strategy(2), *(a_strategy(number, isolation="pooled") for number in (1, 4))],
        placement={"hosts": 1},
        candles=100_000,
        timeframes=("1m", "1m"),
        # 5 candles of a minute are one of theirs: there are quiet moments, to store states in.
        market={"speed": 60 * 25},
        arbitration={"windowMs": 60_000},
    )
    catalog = discover(default_folders())
    with open_run_folder(tmp_path / "state", config, catalog, (), resume=False) as state:
        (state.path / "snapshots").write_text("in the way")
        with running_engine(config, catalog, state=state) as engine:
            saboteur = Saboteur(engine, SEED)
            saboteur.await_slice(TRADING)
            while not any(line.startswith("2 of 2") for line in engine.client.extract().notices):
                assert engine.client.status().slice_number < 1500, "nobody has tried"
                assert not engine.wait(0.2)
            engine.client.stop_engine()
            found = report_of(config, engine)
            decided = engine.client.status().slice_number
    (notice,) = found.notices
    assert notice.startswith("2 of 2 hosts could not store states, so after a crash they would ")
    assert f"{str(state.path / 'snapshots')!r}"[:-1] in notice
    assert_undisturbed(found, expected_until(config, decided))
