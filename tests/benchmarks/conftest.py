"""Makers of results and scenarios, so that a test names only what it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from benchmarks.harness import Scenario, Trial
from benchmarks.results import Case, Figure, Metric, Outcome, Results

MS = Metric("ms", "lower")
RATE = Metric("candles/s", "higher")

Runs = Mapping[str, Sequence[float]]
MakeResults = Callable[..., Results]
MakeScenario = Callable[..., Scenario]


def build_results(
    runs: Mapping[int, Runs], *, metric: Metric = MS, name: str = "B-TEST", machine: str = "box"
) -> Results:
    """Return results of one benchmark: number of actors -> figure -> runs."""
    cases = tuple(
        Case({"actors": n}, {figure: Figure.of(metric, values) for figure, values in each.items()})
        for n, each in runs.items()
    )
    return Results(
        began="2026-01-02T03:04:05+00:00",
        mode="full",
        machine=machine,
        revision="abc1234",
        versions={"chorus": "0.1.0", "ray": "2.60.0"},
        load=0.25,
        outcomes=(Outcome(name, "a test", cases),),
    )


def build_scenario(
    values: Sequence[float], *, name: str = "B-TEST", runs: int = 3, warm_ups: int = 1
) -> Scenario:
    """Return a scenario with one case whose runs give these values, then fail."""

    def trials(_mode: str) -> list[Trial]:
        given = iter(values)
        return [Trial({"actors": 1}, lambda: lambda: {"Chorus": next(given)}, runs, warm_ups)]

    return Scenario(name, "a test", {"Chorus": MS}, trials)


@pytest.fixture
def results() -> MakeResults:
    """Return a maker of results."""
    return build_results


@pytest.fixture
def scenario() -> MakeScenario:
    """Return a maker of scenarios."""
    return build_scenario
