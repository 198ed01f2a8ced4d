"""A histogram of latencies: constant memory, constant time per sample, percentiles at once."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["LatencyHistogram"]

_GROWTH = 1.01
_SMALLEST_MS = 0.001
_LARGEST_MS = 600_000.0
_PER_DOUBLING = 1 / math.log(_GROWTH)
_BUCKETS = int(math.log(_LARGEST_MS / _SMALLEST_MS) * _PER_DOUBLING) + 2


class LatencyHistogram:
    """Counts samples in buckets that grow by 1 %, so every percentile is right within 1 %.

    Shorter than a microsecond counts as one, longer than ten minutes as ten minutes; the largest
    sample is kept exactly.

    >>> histogram = LatencyHistogram()
    >>> for ms in (1.0, 2.0, 3.0):
    ...     histogram.add(ms)
    >>> [round(value, 1) for value in histogram.percentiles().values()]
    [2.0, 3.0, 3.0, 3.0]
    """

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._samples = 0
        self._largest = 0.0

    def add(self, ms: float) -> None:
        """Count a sample, milliseconds."""
        self._largest = max(self._largest, ms)
        inside = min(max(ms, _SMALLEST_MS), _LARGEST_MS)
        self._counts[int(math.log(inside / _SMALLEST_MS) * _PER_DOUBLING + 0.5)] += 1
        self._samples += 1

    def percentiles(self) -> dict[str, float]:
        """Return p50, p90, p99 and max in milliseconds, empty without samples (nearest rank)."""
        if not self._samples:
            return {}
        ranks = np.cumsum(self._counts)
        found = {
            f"p{percent}": self._value(int(np.searchsorted(ranks, self._samples * percent / 100)))
            for percent in (50, 90, 99)
        }
        return {**found, "max": round(self._largest, 4)}

    def _value(self, bucket: int) -> float:
        return round(min(_SMALLEST_MS * _GROWTH**bucket, self._largest), 4)
