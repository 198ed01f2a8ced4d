"""`chorus bench`, its benchmarks replaced by one that takes no time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from benchmarks import suite
from benchmarks.harness import Scenario, Trial
from benchmarks.results import Metric, load_results
from engine.errors import ChorusError

Chorus = Callable[..., Result]


class Workload:
    """A benchmark of two cases; the second one can be told to fail."""

    def __init__(self) -> None:
        self.values: Iterator[float] = iter(())
        self.failure = ""
        self.modes: list[str] = []

    def give(self, *values: float) -> None:
        self.values = iter(values)

    def trials(self, mode: str) -> list[Trial]:
        self.modes.append(mode)
        return [Trial({"n": n}, lambda: self.measure, runs=3, warm_ups=0) for n in (1, 2)]

    def measure(self) -> dict[str, float]:
        value = next(self.values)
        if self.failure and value == 0:
            raise ChorusError(self.failure)
        return {"Chorus": value}


@pytest.fixture
def workload(monkeypatch: pytest.MonkeyPatch) -> Workload:
    made = Workload()
    scenario = Scenario("B-BACKTEST", "a test", {"Chorus": Metric("ms", "lower")}, made.trials)
    monkeypatch.setattr(suite, "_load", lambda _place: scenario)
    monkeypatch.setattr(suite, "PLACES", {"B-BACKTEST": "nowhere"})
    return made


def test_medians_are_shown_and_all_runs_are_kept(
    chorus: Chorus, workload: Workload, tmp_path: Path
) -> None:
    workload.give(3, 1, 2, 60, 40, 50)
    target = tmp_path / "bench.json"
    result = chorus("bench", "--json", target)
    assert result.exit_code == 0, result.output
    assert "1 … 3" in result.stdout
    assert "n=2" in result.stderr
    (outcome,) = load_results(target).outcomes
    assert [case.figures["Chorus"].runs for case in outcome.cases] == [(3, 1, 2), (60, 40, 50)]
    assert workload.modes == ["full"]


@pytest.mark.slow
def test_a_folder_gets_results_page_and_chart(
    chorus: Chorus, workload: Workload, tmp_path: Path
) -> None:
    workload.give(3, 1, 2, 60, 40, 50)
    out = tmp_path / "new" / "folder"
    result = chorus("bench", "--short", "--out", out)
    assert result.exit_code == 0, result.output
    assert sorted(file.name for file in out.iterdir()) == [
        "B-BACKTEST.svg",
        "results.json",
        "results.md",
    ]
    assert "| B-BACKTEST | n=1 | Chorus | 2 | 1 … 3 | ms | 3 |" in (out / "results.md").read_text()
    assert f"written to {out}" in result.stdout
    assert workload.modes == ["short"]


def test_without_matplotlib_only_the_charts_are_missing(
    chorus: Chorus, workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload.give(3, 1, 2, 60, 40, 50)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = chorus("bench", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "note: no charts" in result.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["results.json", "results.md"]


@pytest.mark.slow
def test_a_baseline_shows_what_changed_beyond_the_spread(
    chorus: Chorus, workload: Workload, tmp_path: Path
) -> None:
    base = tmp_path / "base.json"
    workload.give(1, 2, 3, 40, 50, 60)
    assert chorus("bench", "--json", base).exit_code == 0
    workload.give(4, 5, 6, 41, 51, 61)
    result = chorus("bench", "--baseline", base, "--json", base)
    assert result.exit_code == 0, result.output
    worse, same = (
        line for line in result.stdout.split("\n") if line.rstrip().endswith(("WORSE", "spread"))
    )
    assert worse.split()[:7] == ["B-BACKTEST", "n=1", "Chorus", "2", "5", "ms", "2.50"]
    assert same.split()[6] == "1.02"


def test_a_benchmark_that_fails_is_named_and_the_rest_is_kept(
    chorus: Chorus, workload: Workload, tmp_path: Path
) -> None:
    workload.failure = "an actor ended"
    workload.give(1, 2, 3, 0)
    target = tmp_path / "bench.json"
    result = chorus("bench", "--json", target)
    assert result.exit_code == 1
    assert "B-BACKTEST failed: n=2: an actor ended" in result.stdout
    assert [case.label for case in load_results(target).outcomes[0].cases] == ["n=1"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder; it holds nothing but a file `taken`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "B-BACKTESTS"], "did you mean B-BACKTEST?"),
        (["--baseline", "nowhere.json"], "nowhere.json: cannot be read"),
        (["--json", "no/such/folder/x.json"], "--json no/such/folder/x.json: cannot be written"),
        (["--json", "."], "--json .: cannot be written"),
        (["--out", "taken"], "--out taken: cannot be written"),
        (["--json", "n" * 300], "--json nnn"),
    ],
)
def test_wrong_input_ends_before_anything_is_measured(
    chorus: Chorus,
    workload: Workload,
    folder: Path,
    arguments: list[str],
    message: str,
) -> None:
    result = chorus("bench", *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert workload.modes == []
    assert [file.name for file in folder.iterdir()] == ["taken"]


def test_a_run_that_is_refused_leaves_old_results_alone(
    chorus: Chorus, workload: Workload, tmp_path: Path
) -> None:
    target = tmp_path / "bench.json"
    target.write_text("old")
    assert chorus("bench", "--json", target, "--out", target).exit_code == 2
    assert target.read_text() == "old"
