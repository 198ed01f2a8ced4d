"""An equity curve for plots that never grows beyond a fixed number of points."""

from __future__ import annotations

from array import array
from typing import Any

__all__ = ["MAX_POINTS", "EquityCurve"]

MAX_POINTS = 2048


class EquityCurve:
    """Equity at every `stride`-th candle close; the stride doubles whenever the curve is full.

    Memory is at most `MAX_POINTS` x 16 bytes however long the run.

    Attributes:
        stride: Candles between two points.
        due: Number of the candle (from 1) the next point belongs to.
    """

    __slots__ = ("_equity", "_times", "due", "stride")

    def __init__(self) -> None:
        self.stride = 1
        self.due = 1
        self._times = array("q")
        self._equity = array("d")

    def add(self, time: int, equity: float) -> None:
        """Take the point that was `due`."""
        self._times.append(time)
        self._equity.append(equity)
        if len(self._times) == MAX_POINTS:
            self._times = self._times[1::2]
            self._equity = self._equity[1::2]
            self.stride *= 2
        self.due += self.stride

    def points(self) -> list[tuple[int, float]]:
        """Return (close time in ms UTC, equity) pairs, oldest first."""
        return list(zip(self._times, self._equity, strict=True))

    def state(self) -> list[Any]:
        """Return everything a restore needs (arrays in the machine's little-endian bytes)."""
        return [self.stride, self.due, self._times.tobytes(), self._equity.tobytes()]

    def load(self, state: list[Any]) -> None:
        """Take back what `state` returned."""
        self.stride, self.due = state[:2]
        self._times = array("q", state[2])
        self._equity = array("d", state[3])
