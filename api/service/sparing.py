"""Keeps whoever repeats itself from filling a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

import msgspec

__all__ = ["Sparing"]


class _Budget(msgspec.Struct):
    left: float
    at_s: float
    left_out: int = 0


class Sparing:
    """Lets some through at once, then one per period, by whoever it is.

    Args:
        at_once: How many.
        every_s: Seconds after which there is room for one more.
        monotonic: Seconds, from anywhere.
    """

    def __init__(
        self,
        at_once: int,
        every_s: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_once = at_once
        self._every_s = every_s
        self._monotonic = monotonic
        self._budgets: dict[Hashable, _Budget] = {}

    def admit(self, whose: Hashable) -> int | None:
        """Return how many were left out since the last one; None: this one has to be, too."""
        now_s = self._monotonic()
        budget = self._budgets.setdefault(whose, _Budget(float(self._at_once), now_s))
        grown = budget.left + (now_s - budget.at_s) / self._every_s
        budget.left, budget.at_s = min(float(self._at_once), grown), now_s
        if budget.left < 1:
            budget.left_out += 1
            return None
        budget.left -= 1
        left_out, budget.left_out = budget.left_out, 0
        return left_out
