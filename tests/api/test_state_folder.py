"""`--state` and `--resume`: what cannot be begun or continued ends with code 2 and a remedy."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import Result

from engine.report import RunReport
from tests.engine.journal.disks import (
    MountedDisk,
    SimulatedDisk,
    TinyDisk,
    can_mount,
    without_privileges,
)

Chorus = Callable[..., Result]
Write = Callable[..., Path]
Strategy = Callable[..., dict[str, Any]]
Command = Callable[..., Result]

WATCHES = """\
from strategies import Strategy, StrategyMetadata


class Watches(Strategy):
    metadata = StrategyMetadata(type="WATCHES")

    def on_candle(self, candle):
        pass
"""


class NoActors:
    """In the place of `actors.engine`: says which folder it was given, or that it never was."""

    def __init__(self) -> None:
        self.states: list[Any] = []
        self.during: Callable[[], None] = lambda: None

    def run_engine(self, config: Any, catalog: Any, *, state: Any, **facts: Any) -> RunReport:
        self.states.append(state)
        self.during()
        return RunReport(
            name=config.name,
            mode="run",
            strategies=[],
            totals={
                "strategies": 0,
                "by_status": {},
                "signals": 0,
                "orders": 0,
                "fills": 0,
                "errors": 0,
                "accounts": [],
            },
            latency={},
            candles=0,
            candles_per_s=0.0,
            elapsed_s=0.0,
            ledger_sha256="",
            market=[],
            notices=[],
        )


@pytest.fixture
def engine(replace_actors: Callable[[object], None]) -> NoActors:
    fake = NoActors()
    replace_actors(fake)
    return fake


@pytest.fixture
def config(write: Write, strategy: Strategy, tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "watches.py").write_text(WATCHES)
    watches = {"id": "w", "type": "WATCHES", "symbol": "BTC/USDT", "timeframe": "1m"}
    return write({"strategies": [strategy(), watches], "plugin_folders": ["plugins"]})


@pytest.fixture
def run(chorus: Chorus, engine: NoActors, config: Path, candles: Path) -> Command:
    """Call `chorus run` on the configuration and its candles."""

    def call(*args: object) -> Result:
        return chorus("run", config, "--replay", candles, "--json", *args)

    return call


@pytest.fixture
def begun(run: Command, engine: NoActors, tmp_path: Path) -> Path:
    """Return the folder of a run that may be continued."""
    done = run("--state", tmp_path / "state")
    assert done.exit_code == 0, done.stderr
    engine.states.clear()
    return tmp_path / "state"


@pytest.fixture
def resume(run: Command, begun: Path) -> Command:
    """Continue that run."""
    return lambda *args: run("--state", begun, "--resume", *args)


@pytest.fixture
def unprivileged(begun: Path) -> Iterator[None]:
    """Let permissions hold for the root user as well.

    A run has gone before: what is imported late has been imported, since Python's own files may be
    closed to anybody but root.
    """
    assert begun.is_dir()
    with without_privileges():
        yield


def refused(result: Result, engine: NoActors, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert engine.states == []
    assert result.stdout == ""
    assert result.stderr.startswith("error: --")
    assert "Traceback" not in result.stderr
    for text in said:
        assert text in result.stderr


def test_the_engine_gets_the_folder_and_it_is_free_again_afterwards(
    resume: Command, engine: NoActors, begun: Path
) -> None:
    for _ in range(2):
        assert resume("--speed", "60").exit_code == 0
    assert [state.path for state in engine.states] == [begun, begun]
    assert [path.name for path in begun.iterdir() if path.name != "lock"] == ["manifest.json"]


def test_resuming_needs_to_be_told_which_run(run: Command, engine: NoActors) -> None:
    result = run("--resume")
    refused(result, engine, "--resume: needs --state FOLDER, the folder the run was started with")


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_a_folder_without_a_run_cannot_be_resumed(
    run: Command, engine: NoActors, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    state = tmp_path / name
    result = run("--state", state, "--resume")
    refused(result, engine, f"--state {str(state)!r}: there is no run", "or start a new run")
    assert not (tmp_path / "nowhere").exists()


def test_a_run_that_is_there_is_not_begun_anew(run: Command, engine: NoActors, begun: Path) -> None:
    result = run("--state", begun)
    refused(
        result, engine, f"--state {begun}: holds a run already; add --resume", "or name another"
    )


def test_a_folder_of_something_else_is_left_alone(
    run: Command, engine: NoActors, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    result = run("--state", tmp_path / "mine")
    refused(result, engine, "mine': need an empty folder", "'thesis.txt'; name another one")
    assert [entry.name for entry in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("option", [[], ["--resume"]])
@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_is_no_folder(
    run: Command, engine: NoActors, tmp_path: Path, name: str, option: list[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    result = run("--state", tmp_path / name, *option)
    refused(result, engine, f"--state '{tmp_path}/{name}': ", "name ")


@pytest.mark.parametrize("option", [[], ["--resume"]])
def test_a_name_longer_than_any_folder_has_is_refused_in_short(
    run: Command, engine: NoActors, option: list[str]
) -> None:
    result = run("--state", "x" * 4000, *option)
    refused(result, engine, "--state x", "…", "(4000 characters)", "File name too long")
    assert len(result.stderr) < 200


def test_a_changed_configuration_is_named(resume: Command, engine: NoActors, config: Path) -> None:
    config.write_text(config.read_text().replace('"signalPeriod": 9', '"signalPeriod": 8'))
    refused(
        resume(),
        engine,
        "cannot be continued, it would not go on as it began: strategies of the configuration "
        "changed; put that back, or start a new run in another folder",
    )


def test_changed_candles_are_named(resume: Command, engine: NoActors, candles: Path) -> None:
    pl.read_parquet(candles).head(399).write_parquet(candles)
    refused(resume(), engine, "it would not go on as it began: the candles changed; put that back")


def test_changed_code_is_named(resume: Command, engine: NoActors, tmp_path: Path) -> None:
    (tmp_path / "plugins" / "watches.py").write_text(WATCHES + "        # as before\n")
    refused(resume(), engine, "the code of strategy type WATCHES changed; put that back")


def test_everything_that_changed_is_named_at_once(
    resume: Command, engine: NoActors, config: Path, candles: Path, tmp_path: Path
) -> None:
    text = config.read_text().replace('"value": 1', '"value": 2')
    config.write_text(text.replace("{", '{"name": "other",', 1))
    pl.read_parquet(candles).head(399).write_parquet(candles)
    (tmp_path / "plugins" / "watches.py").write_text(WATCHES + "\n")
    refused(
        resume(),
        engine,
        "name of the configuration, strategies of the configuration, the candles, the code of "
        "strategy type WATCHES changed",
    )


def test_a_folder_that_was_refused_is_free_for_the_run_it_belongs_to(
    resume: Command, engine: NoActors, config: Path
) -> None:
    text = config.read_text()
    config.write_text(text.replace('"signalPeriod": 9', '"signalPeriod": 8'))
    assert resume().exit_code == 2
    config.write_text(text)
    assert resume().exit_code == 0


def test_a_folder_in_use_names_who_uses_it(resume: Command, engine: NoActors, begun: Path) -> None:
    second: list[Result] = []
    engine.during = lambda: second.append(resume())
    assert resume().exit_code == 0
    assert len(engine.states) == 1
    engine.states.clear()
    refused(
        second[0],
        engine,
        f"--state {str(begun)!r}: in use by the engine with process id {os.getpid()}; stop it "
        "first, or name another folder",
    )


def test_a_folder_that_may_not_be_written_to_is_refused(
    chorus: Chorus, engine: NoActors, unprivileged: None
) -> None:
    # Not below pytest's own folder, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        config, state = home / "run.yaml", home / "state"
        synthetic = "market: {synthetic: {symbols: [{symbol: BTC/USDT}], candles: 200}}\n"
        one = "strategies: [{id: a, type: EMA_CROSS, symbol: BTC/USDT, timeframe: 1m}]\n"
        config.write_text(synthetic + one)
        home.chmod(0o500)
        result = chorus("run", config, "--state", state)
        refused(
            result, engine, f"--state {str(state)!r}: cannot make the folder", "Permission denied"
        )
        assert "name a folder you may write to, or change its permissions" in result.stderr
        home.chmod(0o700)
        assert chorus("run", config, "--state", state, "--json").exit_code == 0
        engine.states.clear()
        for mode, target in [(0o400, state / "lock"), (0o000, state)]:
            target.chmod(mode)
            for option in ([], ["--resume"]):
                result = chorus("run", config, "--state", state, *option)
                refused(result, engine, f"--state {str(state)!r}: cannot" if mode == 0 else "")
            target.chmod(0o700)


def test_a_disk_with_less_room_than_a_run_needs_is_refused(
    run: Command, engine: NoActors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    tiny = SimulatedDisk(disk, monkeypatch)
    result = run("--state", tiny.folder / "run")
    refused(result, engine, f"--state '{disk}/run': a run needs 16 MiB of free space")
    assert "make room or name a folder on another disk" in result.stderr
    assert list(disk.iterdir()) == []


def test_a_run_without_room_to_go_on_is_refused(
    resume: Command, engine: NoActors, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.journal.folder.free_bytes", lambda path: 15 << 20)
    refused(resume(), engine, f"--state {str(begun)!r}: a run needs 16 MiB", "there are 15.0")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take a real disk, too, where one can be had."""
    if "disk" in metafunc.fixturenames:
        kinds = ["simulated", "mounted"] if can_mount() else ["simulated"]
        metafunc.parametrize("disk", kinds, indirect=True)


@pytest.fixture
def disk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TinyDisk]:
    """Return a small disk that passes for one with room enough."""
    folder = tmp_path / "disk"
    folder.mkdir()
    monkeypatch.setattr("engine.journal.folder.free_bytes", lambda path: 16 << 20)
    if request.param == "simulated":
        yield SimulatedDisk(folder, monkeypatch)
        return
    mounted = MountedDisk(folder)
    assert mounted.mount()
    yield mounted
    mounted.unmount()


def test_a_disk_that_is_read_only_is_refused_for_new_runs_and_for_those_to_be_continued(
    run: Command, engine: NoActors, disk: TinyDisk
) -> None:
    begun, empty = disk.folder / "begun", disk.folder / "empty"
    empty.mkdir()
    assert run("--state", begun).exit_code == 0
    engine.states.clear()
    disk.make_read_only()
    for state, *option in [(disk.folder / "new",), (empty,), (begun, "--resume")]:
        refused(
            run("--state", state, *option),
            engine,
            f"--state {str(state)!r}: cannot ",
            "Read-only file system",
            "name a folder on a writable one",
        )


def test_a_damaged_run_is_refused(resume: Command, engine: NoActors, begun: Path) -> None:
    manifest = begun / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    refused(resume(), engine, f"--state '{manifest}': the manifest is damaged", "restore it from")
