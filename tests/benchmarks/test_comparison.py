"""What counts as a change, and what does not."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.comparison import BUSY, ENOUGH_RUNS, Verdict, cautions, compare
from benchmarks.results import Better, Case, Figure, Metric, Outcome, Results

MakeResults = Callable[..., Results]

positive = st.floats(min_value=1e-6, max_value=1e9)
runs = st.lists(positive, min_size=1, max_size=7)
betters: st.SearchStrategy[Better] = st.sampled_from(["higher", "lower"])


def one_figure(values: list[float], better: Better) -> Results:
    case = Case({"actors": 1}, {"Chorus": Figure.of(Metric("u", better), values)})
    return Results("", "full", "box", "", {}, 0.0, (Outcome("B-TEST", "a test", (case,)),))


@given(runs, betters)
def test_nothing_changed_between_a_session_and_itself(values: list[float], better: Better) -> None:
    (change,) = compare(one_figure(values, better), one_figure(values, better))
    assert change.ratio == 1.0
    assert change.verdict == ("within spread" if len(values) >= ENOUGH_RUNS else "too few runs")


@given(runs, runs, betters)
def test_a_change_is_called_exactly_where_no_run_of_one_session_reaches_the_other(
    old: list[float], new: list[float], better: Better
) -> None:
    (change,) = compare(one_figure(old, better), one_figure(new, better))
    above, below = all(n > o for n in new for o in old), all(n < o for n in new for o in old)
    if min(len(old), len(new)) < ENOUGH_RUNS:
        expected: Verdict = "too few runs"
    elif above or below:
        expected = "better" if above == (better == "higher") else "worse"
    else:
        expected = "within spread"
    assert change.verdict == expected


@given(runs, runs, betters)
def test_the_other_way_round_better_is_worse_and_the_ratio_its_inverse(
    old: list[float], new: list[float], better: Better
) -> None:
    (there,) = compare(one_figure(old, better), one_figure(new, better))
    (back,) = compare(one_figure(new, better), one_figure(old, better))
    mirrored = {"better": "worse", "worse": "better"}
    assert back.verdict == mirrored.get(there.verdict, there.verdict)
    assert there.ratio is not None
    assert back.ratio is not None
    assert there.ratio * back.ratio == pytest.approx(1.0)


def test_a_median_of_zero_has_no_ratio(results: MakeResults) -> None:
    (change,) = compare(results({1: {"x": [0.0] * 3}}), results({1: {"x": [1.0] * 3}}))
    assert (change.ratio, change.verdict) == (None, "worse")


def test_what_only_one_session_has_is_said_and_not_judged(results: MakeResults) -> None:
    old = results({10: {"x": [1.0] * 3}, 40: {"x": [4.0] * 3}})
    new = results({10: {"x": [1.0] * 3, "y": [2.0] * 3}})
    found = {(c.case, c.figure): (c.verdict, c.ratio) for c in compare(old, new)}
    assert found == {
        ("actors=10", "x"): ("within spread", 1.0),
        ("actors=10", "y"): ("only now", None),
        ("actors=40", "x"): ("only before", None),
    }


def test_benchmarks_that_were_not_run_are_not_missed(results: MakeResults) -> None:
    both = msgspec.structs.replace(
        results({1: {"x": [1.0]}}),
        outcomes=(
            *results({1: {"x": [1.0]}}, name="B-A").outcomes,
            *results({1: {"x": [1.0]}}, name="B-B").outcomes,
        ),
    )
    assert [c.id for c in compare(both, results({1: {"x": [1.0]}}, name="B-B"))] == ["B-B"]


def test_a_figure_in_another_unit_is_another_figure(results: MakeResults) -> None:
    seconds = results({1: {"x": [1.0] * 3}}, metric=Metric("s", "lower"))
    milliseconds = results({1: {"x": [1.0] * 3}})
    verdicts = [change.verdict for change in compare(seconds, milliseconds)]
    assert verdicts == ["only now", "only before"]


def test_another_machine_or_library_is_a_caution_another_chorus_is_not(
    results: MakeResults,
) -> None:
    now = results({1: {"x": [1.0]}})
    assert cautions(now, now) == []
    before = msgspec.structs.replace(
        results({1: {"x": [1.0]}}, machine="old box"), versions={"chorus": "0.0.9", "ray": "2.59"}
    )
    assert cautions(before, now) == [
        "the baseline is from another machine: old box",
        "other versions than in the baseline: ray 2.59 -> 2.60.0",
    ]


@pytest.mark.parametrize(("old", "new"), [(BUSY + 0.01, 0.0), (0.0, BUSY + 0.01)])
def test_a_busy_machine_is_a_caution(results: MakeResults, old: float, new: float) -> None:
    quiet = msgspec.structs.replace(results({1: {"x": [1.0]}}), load=BUSY)
    assert cautions(quiet, quiet) == []
    before, now = (msgspec.structs.replace(quiet, load=load) for load in (old, new))
    (caution,) = cautions(before, now)
    assert f"load {old:.2f} before the baseline, {new:.2f} before this one" in caution
