"""Two sessions beside each other: what changed by more than the runs of one session differ."""

from __future__ import annotations

from typing import Literal

import msgspec

from benchmarks.results import Figure, Results

__all__ = ["BUSY", "ENOUGH_RUNS", "Change", "Verdict", "cautions", "compare"]

ENOUGH_RUNS = 3
"""On either side; fewer say nothing about the spread."""

BUSY = 0.5
"""Processes ready to run before a session; from there on others took part of the machine."""

Verdict = Literal["better", "worse", "within spread", "too few runs", "only now", "only before"]


class Change(msgspec.Struct, frozen=True):
    """One figure in two sessions.

    Attributes:
        id: Benchmark.
        case: Its parameters.
        figure: Name of the figure.
        before: In the baseline, None if it is not there.
        now: In this session, None if it is not there.
        ratio: Median now over median before; None where there is no quotient.
        verdict: ``better`` and ``worse`` only if the runs of both sessions do not overlap.
    """

    id: str
    case: str
    figure: str
    before: Figure | None
    now: Figure | None
    ratio: float | None
    verdict: Verdict


_Key = tuple[str, str, str, str]
"""Benchmark, case, figure and unit: a figure that is counted otherwise is another one."""


def compare(before: Results, now: Results) -> list[Change]:
    """Compare two sessions figure by figure.

    Benchmarks that were not run now are left out (`--only`), their cases and figures are not.

    Returns:
        In the order of this session; what only the baseline has comes last.
    """
    ran = {outcome.id for outcome in now.outcomes}
    old, new = _figures(before), _figures(now)
    keys = dict.fromkeys([*new, *(key for key in old if key[0] in ran)])
    return [_change(key, old.get(key), new.get(key)) for key in keys]


def _figures(results: Results) -> dict[_Key, Figure]:
    return {
        (outcome.id, case.label, name, figure.metric.unit): figure
        for outcome in results.outcomes
        for case in outcome.cases
        for name, figure in case.figures.items()
    }


def _change(key: _Key, before: Figure | None, now: Figure | None) -> Change:
    name = key[:3]
    if before is None or now is None:
        return Change(*name, before, now, None, "only now" if before is None else "only before")
    ratio = now.median / before.median if before.median else None
    return Change(*name, before, now, ratio, _verdict(before, now))


def _verdict(before: Figure, now: Figure) -> Verdict:
    if min(len(before.runs), len(now.runs)) < ENOUGH_RUNS:
        return "too few runs"
    if before.lowest <= now.highest and now.lowest <= before.highest:
        return "within spread"
    grew = now.median > before.median
    return "better" if grew == (now.metric.better == "higher") else "worse"


def cautions(before: Results, now: Results) -> list[str]:
    """Return what makes a comparison of two sessions doubtful, one sentence each."""
    found = []
    if before.machine != now.machine:
        found.append(f"the baseline is from another machine: {before.machine}")
    changed = [
        f"{name} {before.versions.get(name, 'none')} -> {number}"
        for name, number in now.versions.items()
        if name != "chorus" and before.versions.get(name) != number
    ]
    if changed:
        found.append(f"other versions than in the baseline: {', '.join(changed)}")
    if max(before.load, now.load) > BUSY:
        found.append(
            f"the machine was busy before a session (load {before.load:.2f} before the baseline, "
            f"{now.load:.2f} before this one): what is flagged may be its other work"
        )
    return found
