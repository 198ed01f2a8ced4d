"""Growth is the slope of what was sampled, whatever level it starts from."""

from __future__ import annotations

import pytest

from benchmarks.soak import Sample, config_of, growth_per_hour


def a_sample(at_s: float, files: int) -> Sample:
    return Sample(at_s, {"engine": 100.0}, files, threads={"engine": 7}, logs_mb=1.0, state_mb=2.0)


def test_growth_is_the_slope_per_hour() -> None:
    samples = [a_sample(600.0 + 10.0 * n, files=50 + n) for n in range(100)]
    assert growth_per_hour(samples, lambda each: each.files) == pytest.approx(360.0)
    assert growth_per_hour(samples, lambda each: sum(each.memory_mb.values())) == 0.0


def test_a_single_peak_is_no_growth() -> None:
    samples = [a_sample(10.0 * n, files=50 + (500 if n == 50 else 0)) for n in range(101)]
    assert growth_per_hour(samples, lambda each: each.files) == pytest.approx(0.0)


def test_the_run_is_a_candle_of_each_symbol_per_second_in_both_placements() -> None:
    config = config_of(minutes=2)
    assert config.market.speed == 60.0
    assert len(config.wanted_streams) == 100
    placed = [config.isolation_of(strategy) for strategy in config.strategies]
    assert (placed.count("pooled"), placed.count("dedicated")) == (500, 20)
