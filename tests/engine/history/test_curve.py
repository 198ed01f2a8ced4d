"""A curve of few points looks like the whole one."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.history.curve import Curve, curve_of, thinned
from engine.history.trades import Trade
from engine.history.visible import Trader
from tests.examples import examples

GAINS = st.lists(st.tuples(st.integers(0, 3), st.integers(-100, 100)), max_size=200)


def trades_of(gains: list[tuple[int, int]]) -> list[Trade]:
    """Return fills that gain so much, each so many milliseconds after the one before."""
    at_ms, trades = 0, []
    for number, (later, gain) in enumerate(gains):
        at_ms += later
        one = Decimal(1)
        profit = Decimal(gain) + one
        trades.append(
            Trade(at_ms, f"f{number}", "r", "A/B", "buy", one, one, one, "B", profit, None)
        )
    return trades


def curve(gains: list[tuple[int, int]], points: int = 10_000, since: int | None = None) -> Curve:
    return curve_of(Trader("s", "B", Decimal(500)), trades_of(gains), since_ms=since, points=points)


@given(gains=GAINS, points=st.integers(4, 60), since=st.none() | st.integers(0, 300))
@examples(200)
def test_a_thinned_curve_keeps_its_ends_and_extremes(
    gains: list[tuple[int, int]], points: int, since: int | None
) -> None:
    whole, thin = curve(gains, since=since), curve(gains, points, since)
    assert whole.changes == thin.changes == len(whole.points)
    assert whole.start == thin.start
    assert len(thin.points) <= points
    assert set(thin.points) <= set(whole.points)
    assert thin.points == sorted(thin.points)
    if whole.points:
        assert thin.points[0] == whole.points[0]
        assert thin.points[-1] == whole.points[-1]
        for extreme in (min, max):
            assert extreme(e for _, e in thin.points) == extreme(e for _, e in whole.points)
    if len(whole.points) <= points:
        assert thin == whole


@given(gains=GAINS, since=st.integers(0, 300))
@examples(100)
def test_a_later_part_of_a_curve_goes_on_where_the_earlier_one_ended(
    gains: list[tuple[int, int]], since: int
) -> None:
    whole, later = curve(gains), curve(gains, since=since)
    earlier = [point for point in whole.points if point[0] < since]
    assert later.start == (earlier[-1][1] if earlier else Decimal(500))
    assert later.points == whole.points[len(earlier) :]


def test_of_several_fills_at_a_moment_the_last_one_counts() -> None:
    assert curve([(1, 5), (0, 7), (2, -20)]).points == [(1, Decimal(512)), (3, Decimal(492))]


def test_without_a_capital_it_begins_at_nothing() -> None:
    found = curve_of(Trader("s", "B", None), trades_of([(1, 5)]), points=4)
    assert (found.start, found.points) == (Decimal(0), [(1, Decimal(5))])


def test_too_few_points_cannot_show_it() -> None:
    with pytest.raises(ConfigError, match="points: must be 4 or more, got 3"):
        curve([], points=3)


def test_a_spike_of_one_point_among_many_stays() -> None:
    values = np.zeros(100_000)
    values[54_321], values[54_322] = 1.0, -1.0
    kept = thinned(values, 100)
    assert {54_321, 54_322} <= set(kept.tolist())
    assert len(kept) <= 100
