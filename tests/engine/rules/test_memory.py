from __future__ import annotations

from collections import deque
from random import Random

import pytest

from engine.rules.memory import rolling_step


@pytest.mark.parametrize("highest", [True, False])
def test_a_window_keeps_at_most_its_length(highest: bool) -> None:
    values = [0.0]
    reading = 0.0
    step = rolling_step(lambda: reading, 5, values, 0, highest=highest)
    queues = [
        cell.cell_contents
        for cell in step.__closure__ or ()
        if isinstance(cell.cell_contents, deque)
    ]
    assert len(queues) == 2
    for _ in range(500):
        reading += -1.0 if highest else 1.0  # every reading stays a candidate
        step()
        assert {len(queue) for queue in queues} <= {1, 2, 3, 4, 5}
    assert values == [reading + (4.0 if highest else -4.0)]


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_window_is_right_again_after_undefined_readings(length: int) -> None:
    random = Random(3)
    series = [random.choice([1.0, 2.0, 3.0, float("nan"), 4.0, 5.0, 6.0]) for _ in range(400)]
    values = [0.0]
    row = 0
    step = rolling_step(lambda: series[row], length, values, 0, highest=True)
    hits = 0
    for row in range(len(series)):
        step()
        window = series[max(0, row - length + 1) : row + 1]
        if len(window) == length and all(x == x for x in window):  # noqa: PLR0124 - not NaN
            hits += 1
            assert values[0] == max(window)
        else:
            assert values[0] != values[0]
    assert hits > 50
