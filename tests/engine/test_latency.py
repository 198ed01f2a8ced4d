from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.latency import LatencyHistogram


@given(st.lists(st.floats(0.001, 60_000), min_size=1, max_size=300))
def test_percentiles_are_within_one_percent_of_the_exact_ones(samples: list[float]) -> None:
    histogram = LatencyHistogram()
    for sample in samples:
        histogram.add(sample)
    found = histogram.percentiles()
    for percent in (50, 90, 99):
        exact = float(np.percentile(samples, percent, method="inverted_cdf"))
        assert found[f"p{percent}"] == pytest.approx(exact, rel=0.0101, abs=1e-4)
    assert found["max"] == pytest.approx(max(samples), abs=1e-4)


def test_no_samples_have_no_percentiles() -> None:
    assert LatencyHistogram().percentiles() == {}


@pytest.mark.parametrize("sample", [0.0, -1.0, 1e-9, 1e12])
def test_a_sample_out_of_range_is_counted_at_the_edge(sample: float) -> None:
    histogram = LatencyHistogram()
    histogram.add(sample)
    assert histogram.percentiles()["p50"] <= max(sample, 0.001)
