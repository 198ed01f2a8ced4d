"""Candles of one stream as columns: the form files, aggregation and replay work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["CandleColumns", "Floats", "Ints", "concatenate"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class CandleColumns:
    """Valid candles in ascending order; row number is `seq`. All arrays have shape ``(n,)``.

    Attributes:
        timeframe_ms: Length of each candle, milliseconds.
        open_time: Start, ms UTC, strictly ascending, on boundaries.
        open: First price.
        high: Highest price.
        low: Lowest price.
        close: Last price.
        volume: Traded amount, base currency.
        gap: See `engine.types.Candle.gap`.
    """

    timeframe_ms: int
    open_time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    gap: Ints

    def __len__(self) -> int:
        return len(self.open_time)

    @property
    def close_time(self) -> Ints:
        """Return the exclusive ends, ms UTC."""
        return self.open_time + self.timeframe_ms

    def select(self, rows: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Return the chosen rows, gaps as they stand."""
        return type(self)(
            timeframe_ms=self.timeframe_ms,
            open_time=self.open_time[rows],
            open=self.open[rows],
            high=self.high[rows],
            low=self.low[rows],
            close=self.close[rows],
            volume=self.volume[rows],
            gap=self.gap[rows],
        )


def concatenate(parts: Sequence[CandleColumns]) -> CandleColumns:
    """Put the candles of several streams one after another, in no common time order.

    `timeframe_ms` of the result is 0: it has no length of its own.
    """
    none, nothing = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
    return CandleColumns(
        timeframe_ms=0,
        open_time=np.concatenate([none, *(part.open_time for part in parts)]),
        open=np.concatenate([nothing, *(part.open for part in parts)]),
        high=np.concatenate([nothing, *(part.high for part in parts)]),
        low=np.concatenate([nothing, *(part.low for part in parts)]),
        close=np.concatenate([nothing, *(part.close for part in parts)]),
        volume=np.concatenate([nothing, *(part.volume for part in parts)]),
        gap=np.concatenate([none, *(part.gap for part in parts)]),
    )
