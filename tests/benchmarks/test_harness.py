"""Warm-ups, medians, progress, and cases that go wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks import harness
from benchmarks.harness import Measure, Scenario, Step, Trial, UnavailableError, record
from benchmarks.results import Metric, Mode, Results
from engine.errors import ChorusError

MakeScenario = Callable[..., Scenario]
MS = Metric("ms", "lower")


def raising(error: Exception) -> Callable[[], Measure]:
    def prepare() -> Measure:
        raise error

    return prepare


def scenario_of(*trials: Trial) -> Scenario:
    return Scenario("B-TEST", "a test", {"Chorus": MS}, lambda _mode: trials)


def test_warm_ups_are_measured_and_forgotten(scenario: MakeScenario) -> None:
    results = record([scenario([99.0, 98.0, 3.0, 1.0, 2.0], runs=3, warm_ups=2)], "full")
    (case,) = results.outcomes[0].cases
    figure = case.figures["Chorus"]
    assert (figure.runs, figure.median, figure.metric) == ((3.0, 1.0, 2.0), 2.0, MS)


def test_every_run_is_announced_before_it_begins(scenario: MakeScenario) -> None:
    steps: list[Step] = []
    chosen = [scenario([1.0] * 3, name="B-A", runs=2), scenario([1.0] * 2, name="B-B", runs=1)]
    record(chosen, "full", on_step=steps.append)
    assert [(s.id, s.case, s.run, s.done, s.total) for s in steps] == [
        ("B-A", "actors=1", 0, 0, 5),
        ("B-A", "actors=1", 1, 1, 5),
        ("B-A", "actors=1", 2, 2, 5),
        ("B-B", "actors=1", 0, 3, 5),
        ("B-B", "actors=1", 1, 4, 5),
    ]


def test_a_case_that_fails_or_cannot_run_holds_up_no_other() -> None:
    steps: list[Step] = []

    def good() -> Measure:
        return lambda: {"Chorus": 1.0}

    results = record(
        [
            scenario_of(
                Trial({"n": 1}, raising(UnavailableError("needs more memory")), runs=2),
                Trial({"n": 2}, raising(ChorusError("an actor ended")), runs=2),
                Trial({"n": 3}, good, runs=2),
            )
        ],
        "full",
        on_step=steps.append,
    )
    (outcome,) = results.outcomes
    assert outcome.skipped == ("n=1: needs more memory",)
    assert outcome.failed == ("n=2: an actor ended",)
    assert [case.label for case in outcome.cases] == ["n=3"]
    assert [step.done for step in steps] == [6, 7, 8]


def test_a_defect_of_a_benchmark_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        record([scenario_of(Trial({"n": 1}, raising(ZeroDivisionError()), runs=1))], "full")


@pytest.mark.slow
def test_results_are_handed_on_after_every_benchmark(scenario: MakeScenario) -> None:
    seen: list[Results] = []
    chosen = [scenario([1.0] * 4, name="B-A"), scenario([1.0] * 4, name="B-B")]
    last = record(chosen, "short", on_outcome=seen.append)
    assert [[o.id for o in r.outcomes] for r in seen] == [["B-A"], ["B-A", "B-B"]]
    assert seen[-1] == last
    assert last.mode == "short"


def test_the_mode_reaches_the_scenario() -> None:
    asked: list[Mode] = []

    def trials(mode: Mode) -> list[Trial]:
        asked.append(mode)
        return []

    for mode in ("short", "full"):
        record([Scenario("B-TEST", "a test", {}, trials)], mode)  # type: ignore[arg-type]
    assert asked == ["short", "full"]


def test_a_case_too_large_for_the_machine_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "available_mb", lambda: 500.0)
    harness.require_memory(500.0)
    with pytest.raises(UnavailableError, match=r"needs about 1,200 MB of memory, 500 MB are"):
        harness.require_memory(1200.0)


def test_percentiles_are_values_of_the_sample() -> None:
    values = [float(n) for n in range(101)]
    assert harness.percentiles(values[::-1]) == {"p50": 50.0, "p99": 99.0, "max": 100.0}
    assert harness.percentiles([7.0]) == {"p50": 7.0, "p99": 7.0, "max": 7.0}
