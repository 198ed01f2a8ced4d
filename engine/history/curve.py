"""Realised equity over time, in as many points as somebody wants to see."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.history.performance import earned
from engine.history.trades import Trade
from engine.history.visible import Trader
from engine.money import ZERO

__all__ = ["LEAST_POINTS", "Curve", "curve_of", "thinned"]

LEAST_POINTS: Final = 4
"""First, last, lowest, highest."""


class Curve(msgspec.Struct, frozen=True):
    """Realised equity: a step function that changes at each point and holds until the next.

    Attributes:
        strategy_id: Of a strategy or a subscription.
        currency: What it is in.
        start: Before the first point: capital and what was earned before; without the capital
            where that is not known.
        points: Moments in milliseconds UTC, oldest first, each with the equity from then on.
        changes: Number of points before some were left out.
    """

    strategy_id: str
    currency: str
    start: Decimal
    points: list[tuple[int, Decimal]]
    changes: int


def curve_of(
    trader: Trader, trades: Sequence[Trade], *, since_ms: int | None = None, points: int
) -> Curve:
    """Return the realised equity from a moment on.

    Args:
        trader: Whose.
        trades: All its fills so far, in their order.
        since_ms: Milliseconds UTC; None: from the first fill.
        points: How many at most. First, last, lowest and highest are always among them.

    Raises:
        ConfigError: `points` is below `LEAST_POINTS`.
    """
    if points < LEAST_POINTS:
        raise ConfigError(f"points: must be {LEAST_POINTS} or more, got {points}")
    gains = (earned(trade, trader.currency) for trade in trades)
    levels = accumulate(gains, initial=trader.capital or ZERO)
    start = next(levels)
    steps: dict[int, Decimal] = {}
    for trade, level in zip(trades, levels, strict=True):
        if since_ms is not None and trade.at_ms < since_ms:
            start = level
        else:
            steps[trade.at_ms] = level  # of several fills at a moment the last one counts
    moments, equity = list(steps), list(steps.values())
    kept = thinned(np.array(equity, dtype=np.float64), points).tolist()
    shown = [(moments[place], equity[place]) for place in kept]
    return Curve(trader.id, trader.currency, start, shown, len(steps))


def thinned(values: NDArray[np.float64], points: int) -> NDArray[np.intp]:
    """Return which of many values show what all of them look like.

    The inner values are divided into stretches of equal length; of each the lowest and the highest
    stay, so that no spike is lost.

    Args:
        values: Shape (n,).
        points: How many at most, 4 or more.

    Returns:
        Places in ascending order, shape (min(n, points),) or a little shorter.
    """
    count = len(values)
    if count <= points:
        return np.arange(count)
    edges = np.linspace(1, count - 1, (points - 2) // 2 + 1).astype(np.intp)
    lows = [first + np.argmin(values[first:last]) for first, last in pairwise(edges)]
    highs = [first + np.argmax(values[first:last]) for first, last in pairwise(edges)]
    return np.unique(np.array([0, *lows, *highs, count - 1], dtype=np.intp))
