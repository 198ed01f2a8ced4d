from __future__ import annotations

import math
from typing import Any

import numpy as np

from indicators.kernels import HandleKernel, aligned, leading_gap
from indicators.library import InsufficientHistory, stream

NAN = math.nan


class SlowToOpen:
    """Stands for a handle whose seeding wants more than the lookback says."""

    opened: list[list[float]]

    def __init__(self, history: Any) -> None:
        if len(history) < 4:
            raise InsufficientHistory
        self.value = float(history[-1])

    def update(self, x: float) -> float:
        self.value = x
        return x


def test_opening_is_tried_again_until_the_history_is_enough() -> None:
    kernel = HandleKernel(SlowToOpen, (), 2, 1)
    values = [kernel.update(float(x)) for x in range(6)]
    assert repr(values) == repr([NAN, NAN, NAN, 3.0, 4.0, 5.0])


def test_the_history_is_dropped_once_the_handle_is_open() -> None:
    kernel = HandleKernel(stream.SMA, (3,), 3, 1)
    for x in (1.0, 2.0):
        kernel.update(x)
    assert kernel._history is not None
    assert [series.tolist() for series in kernel._history] == [[1.0, 2.0]]
    warm = kernel.update
    assert warm(3.0) == 2.0
    assert kernel.ready
    assert kernel._history is None
    assert warm(4.0) == 3.0  # a function taken before still serves
    assert kernel.update(5.0) == 4.0


def test_skipped_bars_lead_as_nan_when_the_handle_opens() -> None:
    kernel = HandleKernel(stream.MAXINDEX, (2,), 2, 1)
    kernel.skip()
    kernel.skip()
    kernel.update(5.0)
    assert kernel.peek(4.0) == 2.0
    assert kernel.update(6.0) == 3.0  # the row in the arrays, the two skipped ones counted


def test_a_leading_gap_ends_where_all_arrays_are_usable() -> None:
    one = np.array([NAN, 1.0, 2.0, 3.0])
    two = np.array([1.0, -np.inf, 1e101, 3.0])
    assert leading_gap([one]) == 1
    assert leading_gap([one, two]) == 3
    assert leading_gap([np.full(3, NAN)]) == 3
    assert leading_gap([np.empty(0)]) == 0
    assert repr([a.tolist() for a in aligned([one, two])]) == repr([[NAN, NAN, NAN, 3.0]] * 2)
