"""Ids are permanent, found in any case, and every benchmark is well formed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.suite import PLACES, load_scenarios
from engine.errors import ConfigError

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks.md"

NEVER = {("B-SOAK", "short")}
"""A minute says nothing about an hour."""


def test_each_place_holds_the_benchmark_of_its_id() -> None:
    assert [scenario.id for scenario in load_scenarios()] == list(PLACES)


def test_chosen_benchmarks_keep_their_order() -> None:
    found = load_scenarios(["b-backtest", "B-INDICATOR", "B-BACKTEST"])
    assert [scenario.id for scenario in found] == ["B-INDICATOR", "B-BACKTEST"]


def test_an_unknown_id_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"--only B-ODERS: .*did you mean B-ORDERS\?.*B-FANOUT"):
        load_scenarios(["B-ODERS"])


@pytest.mark.parametrize("name", PLACES)
def test_cases_are_told_apart_by_their_parameters(name: str) -> None:
    (scenario,) = load_scenarios([name])
    for mode in ("short", "full"):
        trials = scenario.trials(mode)  # type: ignore[arg-type]
        shown = [tuple(trial.parameters.items()) for trial in trials]
        assert trials or (name, mode) in NEVER
        assert len(set(shown)) == len(shown)
        assert all(trial.runs >= 1 for trial in trials)


def test_short_mode_is_less_work() -> None:
    for scenario in load_scenarios():
        runs = {
            mode: sum(trial.runs for trial in scenario.trials(mode))  # type: ignore[arg-type]
            for mode in ("short", "full")
        }
        assert runs["short"] < runs["full"], scenario.id


def test_the_documentation_describes_every_benchmark() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(B-[A-Z-]+)` \|", text, re.MULTILINE)) == set(PLACES)
