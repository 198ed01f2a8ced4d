"""What bound rules remember between candles: past values, rolling extremes, runs.

Everything a rule reads is a cell, a container and an index into it: the manager's slots, a field
of the candle, a parameter, a computed series, or a past value in a ring. The closures of `scalar`
read cells directly; nothing is looked up by name per candle.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Protocol

from engine.types import Candle

__all__ = [
    "Cell",
    "Observe",
    "Push",
    "Reader",
    "Step",
    "Values",
    "defined_step",
    "observer",
    "push_step",
    "rolling_step",
    "run_step",
]


class Values(Protocol):
    """Anything a number is read from by its place."""

    def __getitem__(self, index: int, /) -> float: ...


Cell = tuple[Values, int]
Reader = Callable[[], float]
Step = Callable[[], None]
Observe = Callable[[Candle], None]
Push = tuple[Callable[[float], None], Values, int]
"""A ring's ``appendleft`` and the cell whose present value it takes."""


def rolling_step(read: Reader, length: int, values: list[float], at: int, *, highest: bool) -> Step:
    """Return the step that keeps ``values[at]`` the extreme of the last `length` readings.

    A monotonic queue: each reading enters and leaves once, so a step is O(1) amortised. NaN
    empties it: the extreme is defined again after `length` defined readings.
    """
    sign = 1.0 if highest else -1.0  # exact, so the lowest is the negated highest of negations
    candidates: deque[float] = deque()  # strictly falling
    entered: deque[int] = deque()
    count = 0

    def step() -> None:
        nonlocal count
        x = sign * read()
        if x != x:  # noqa: PLR0124 - the fastest test for NaN
            candidates.clear()
            entered.clear()
            count = 0
            values[at] = math.nan
            return
        while candidates and candidates[-1] <= x:
            candidates.pop()
            entered.pop()
        candidates.append(x)
        entered.append(count)
        count += 1
        if entered[0] < count - length:
            candidates.popleft()
            entered.popleft()
        values[at] = sign * candidates[0] if count >= length else math.nan

    return step


def run_step(read: Reader, values: list[float], at: int, *, up: bool) -> Step:
    """Return the step that counts in ``values[at]`` how often in a row the reading moved."""
    sign = 1.0 if up else -1.0
    previous = math.nan
    values[at] = 0.0

    def step() -> None:
        nonlocal previous
        x = sign * read()
        values[at] = values[at] + 1.0 if x > previous else 0.0
        previous = x

    return step


def defined_step(read: Reader, values: list[float], at: int) -> Step:
    """Return the step that counts in ``values[at]`` how long the reading has been defined."""
    values[at] = 0.0

    def step() -> None:
        x = read()
        values[at] = values[at] + 1.0 if x == x else 0.0  # noqa: PLR0124 - the fastest test for NaN

    return step


def push_step(pushes: Sequence[Push]) -> Step:
    """Return the step that puts present values into their rings."""

    def step() -> None:
        for push, source, index in pushes:
            push(source[index])

    return step


def observer(
    fields: Sequence[str], values: list[float], steps: Sequence[Step], pushes: Sequence[Push]
) -> Observe:
    """Return the function that takes one candle in.

    Args:
        fields: Names of the candle's fields that rules read.
        values: Where they go first, in the same order.
        steps: What then brings series and rings up to date, in order.
        pushes: What is put into rings at last.
    """
    if not fields and not steps and len(pushes) == 1:
        return _observer_of_one(pushes[0])  # what a rule over one crossing needs
    every = (*steps, push_step(pushes)) if pushes else tuple(steps)
    if not fields:

        def observe_outputs(_candle: Candle) -> None:
            for step in every:
                step()

        return observe_outputs
    if len(fields) == 1:
        get_one: Callable[[Candle], float] = attrgetter(fields[0])

        def observe_field(candle: Candle) -> None:
            values[0] = get_one(candle)
            for step in every:
                step()

        return observe_field
    get: Callable[[Candle], tuple[float, ...]] = attrgetter(*fields)

    def observe(candle: Candle) -> None:
        values[:] = get(candle)
        for step in every:
            step()

    return observe


def _observer_of_one(only: Push) -> Observe:
    push, source, index = only

    def observe(_candle: Candle) -> None:
        push(source[index])

    return observe
