"""How every benchmark is run: scenarios of trials, warm-ups not counted, medians of the rest."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from benchmarks.machine import available_mb, load, machine_line, revision, versions
from benchmarks.results import (
    Case,
    Figure,
    Metric,
    Mode,
    Outcome,
    Parameters,
    Results,
    label_of,
)
from engine.errors import ChorusError

__all__ = [
    "Measure",
    "Scenario",
    "Step",
    "Trial",
    "UnavailableError",
    "machine_line",
    "percentiles",
    "record",
    "repeat",
    "require_memory",
]

Measure = Callable[[], Mapping[str, float]]
"""One run of a case; returns its figures by name."""


class UnavailableError(ChorusError):
    """This machine cannot run a case; it is skipped and listed with the reason."""


class Trial(msgspec.Struct, frozen=True):
    """A case that is ready to be measured.

    Attributes:
        parameters: All that decides how much work it is.
        prepare: Makes what is not measured, once; may raise `UnavailableError`.
        runs: How often it is measured.
        warm_ups: Runs before those, not counted.
    """

    parameters: Parameters
    prepare: Callable[[], Measure]
    runs: int
    warm_ups: int = 1

    @property
    def steps(self) -> int:
        """Return how many runs there will be in all."""
        return self.warm_ups + self.runs


class Scenario(msgspec.Struct, frozen=True):
    """A benchmark.

    Attributes:
        id: Permanent: another workload gets another id.
        title: What it measures, for people.
        metrics: Every figure a run may return.
        trials: Its cases. Short mode leaves cases out and repeats less; it never does less work
            under the same parameters, so that short and full sessions can be compared.
    """

    id: str
    title: str
    metrics: dict[str, Metric]
    trials: Callable[[Mode], Sequence[Trial]]


class Step(msgspec.Struct, frozen=True):
    """A run that is about to begin.

    Attributes:
        id: Of the benchmark.
        case: Its parameters in one line.
        run: Number within the case from 0, warm-ups first.
        done: Runs of the session that lie behind.
        total: Runs of the session.
    """

    id: str
    case: str
    run: int
    done: int
    total: int


def record(
    scenarios: Sequence[Scenario],
    mode: Mode,
    *,
    on_step: Callable[[Step], None] = lambda _: None,
    on_outcome: Callable[[Results], None] = lambda _: None,
) -> Results:
    """Run benchmarks one after the other.

    A case that fails or cannot be run is listed in its outcome and holds up no other.

    Args:
        scenarios: In the order they run.
        mode: Short or full.
        on_step: Called before every run.
        on_outcome: Called after every benchmark with the results so far.
    """
    results = Results(
        began=datetime.now(UTC).isoformat(timespec="seconds"),
        mode=mode,
        machine=machine_line(),
        revision=revision(),
        versions=versions(),
        load=load(),
    )
    planned = [(scenario, scenario.trials(mode)) for scenario in scenarios]
    total = sum(trial.steps for _, trials in planned for trial in trials)
    done = 0
    for scenario, trials in planned:
        outcome = _run(scenario, trials, Step(scenario.id, "", 0, done, total), on_step)
        done += sum(trial.steps for trial in trials)
        results = msgspec.structs.replace(results, outcomes=(*results.outcomes, outcome))
        on_outcome(results)
    return results


def _run(
    scenario: Scenario, trials: Sequence[Trial], first: Step, on_step: Callable[[Step], None]
) -> Outcome:
    began = time.monotonic()
    cases: list[Case] = []
    skipped: list[str] = []
    failed: list[str] = []
    done = first.done
    for trial in trials:
        label = label_of(trial.parameters)
        try:
            step = msgspec.structs.replace(first, case=label, done=done)
            cases.append(_measure(scenario, trial, step, on_step))
        except UnavailableError as error:
            skipped.append(f"{label}: {error}")
        except ChorusError as error:
            failed.append(f"{label}: {error}")
        done += trial.steps
    return Outcome(
        scenario.id,
        scenario.title,
        cases=tuple(cases),
        skipped=tuple(skipped),
        failed=tuple(failed),
        elapsed_s=round(time.monotonic() - began, 1),
    )


def _measure(
    scenario: Scenario, trial: Trial, first: Step, on_step: Callable[[Step], None]
) -> Case:
    measure = trial.prepare()
    samples = []
    for run in range(trial.steps):
        on_step(msgspec.structs.replace(first, run=run, done=first.done + run))
        # What the run before left behind is not for this one to clear away.
        gc.collect()
        samples.append(measure())
    counted = samples[trial.warm_ups :]
    figures = {
        name: Figure.of(scenario.metrics[name], [sample[name] for sample in counted])
        for name in counted[0]
    }
    return Case(trial.parameters, figures)


def repeat(measure: Measure, runs: int) -> dict[str, float]:
    """Return the median of each figure over several runs, the first one not counted."""
    measure()
    samples = [measure() for _ in range(runs)]
    return {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}


def require_memory(needed_mb: float) -> None:
    """Refuse a case the machine has no memory for, before it makes the system kill processes.

    Raises:
        UnavailableError: Less is available.
    """
    there = available_mb()
    if there < needed_mb:
        raise UnavailableError(
            f"needs about {needed_mb:,.0f} MB of memory, {there:,.0f} MB are available"
        )


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p99 and max of a sample (nearest rank)."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        "p50": ordered[round(last * 0.50)],
        "p99": ordered[round(last * 0.99)],
        "max": ordered[-1],
    }
