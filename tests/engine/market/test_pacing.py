"""Pacing: waits follow from the clock and nothing else."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.market.pacing import Pacer

MINUTE = 60_000


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_full_speed_never_waits_nor_looks_at_the_clock() -> None:
    def clock() -> float:
        raise AssertionError

    pacer = Pacer("max", clock)
    assert [pacer.wait_s(time) for time in (0, MINUTE, 10 * MINUTE)] == [0.0, 0.0, 0.0]


def test_sixty_times_real_time_shows_a_minute_candle_every_second() -> None:
    clock = FakeClock()
    pacer = Pacer(60, clock)
    waits = []
    for number in range(4):
        waits.append(pacer.wait_s(number * MINUTE))
        clock.now += waits[-1]
    assert waits == pytest.approx([0.0, 1.0, 1.0, 1.0])


def test_time_spent_working_is_not_waited_again() -> None:
    clock = FakeClock()
    pacer = Pacer(60, clock)
    pacer.wait_s(0)
    clock.now += 0.75
    assert pacer.wait_s(MINUTE) == pytest.approx(0.25)


def test_who_is_late_catches_up_without_waiting() -> None:
    clock = FakeClock()
    pacer = Pacer(60, clock)
    pacer.wait_s(0)
    clock.now += 2.5
    assert pacer.wait_s(MINUTE) == 0.0
    assert pacer.wait_s(2 * MINUTE) == 0.0
    assert pacer.wait_s(3 * MINUTE) == pytest.approx(0.5)


def test_a_hole_in_the_data_is_cut_to_the_longest_wait() -> None:
    clock = FakeClock()
    pacer = Pacer(1, clock, longest_wait_s=90.0)
    pacer.wait_s(0)
    assert pacer.wait_s(MINUTE) == pytest.approx(60.0)
    clock.now += 60.0
    year = 365 * 24 * 60 * MINUTE
    assert pacer.wait_s(year) == pytest.approx(90.0)
    clock.now += 30.0
    assert pacer.wait_s(year) == pytest.approx(60.0)
    clock.now += 60.0
    assert pacer.wait_s(year + MINUTE) == pytest.approx(60.0)


def test_a_pause_is_not_caught_up_after_a_restart() -> None:
    clock = FakeClock()
    pacer = Pacer(60, clock)
    pacer.wait_s(0)
    clock.now += 3600.0
    pacer.restart()
    assert pacer.wait_s(MINUTE) == 0.0
    assert pacer.wait_s(2 * MINUTE) == pytest.approx(1.0)


@pytest.mark.parametrize("speed", [0, -1, math.inf, math.nan, "fast", None])
def test_a_speed_that_is_none_is_refused(speed: Any) -> None:
    with pytest.raises(ConfigError, match="'max' or a positive number"):
        Pacer(speed, FakeClock())


@settings(deadline=None)
@given(
    st.floats(0.01, 1e6),
    st.lists(st.tuples(st.integers(0, 3_600_000), st.floats(0, 5)), max_size=30),
)
def test_no_slice_is_shown_before_its_time(speed: float, steps: list[tuple[int, float]]) -> None:
    clock = FakeClock()
    pacer = Pacer(speed, clock)
    time = start = 1_700_000_000_000
    pacer.wait_s(time)
    for step_ms, work_s in steps:
        time += step_ms
        clock.now += work_s
        wait = pacer.wait_s(time)
        assert wait >= 0.0
        clock.now += wait
        elapsed, due = clock.now - 1000.0, (time - start) / 1000 / speed
        assert elapsed >= due - 1e-6 - 1e-9 * due
        if wait:
            assert elapsed == pytest.approx(due, rel=1e-9, abs=1e-6)
