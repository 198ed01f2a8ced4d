"""The bar an indicator reads, and the prices that can be taken from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indicators.errors import IndicatorError

__all__ = [
    "LIMIT",
    "LIMIT_SQUARED",
    "PRICES",
    "Array",
    "Bar",
    "Frame",
    "column",
    "columns_of",
    "frame",
    "refuse_non_finite",
    "usable",
]

Array = npt.NDArray[np.float64]

Frame = tuple[float, float, float, float, float, float, float, float, float]
"""The prices of one bar in the order of `PRICES`."""

PRICES = ("open", "high", "low", "close", "volume", "hl2", "hlc3", "ohlc4", "open_time")
"""Everything an indicator can read from a bar. `open_time` serves sessions only."""

LIMIT = 1e100
"""Magnitude above which a number is refused like an infinity.

Sums, squares and ratios inside TA-Lib must not overflow: some of its composed functions raise in
the middle of an update when they do. Nothing that is traded comes near it.
"""

LIMIT_SQUARED = LIMIT * LIMIT

_FIELDS = ("open", "high", "low", "close", "volume")


class Bar(Protocol):
    """A closed (or still forming) candle; `engine.types.Candle` is one.

    Attributes:
        open_time: Start of the bar, ms UTC.
        seq: Gap-free number within its stream.
        open: First price.
        high: Highest price.
        low: Lowest price.
        close: Last price.
        volume: Traded amount.
    """

    @property
    def open_time(self) -> int: ...  # noqa: D102 - documented as attributes above
    @property
    def seq(self) -> int: ...  # noqa: D102 - documented as attributes above
    @property
    def open(self) -> float: ...  # noqa: D102 - documented as attributes above
    @property
    def high(self) -> float: ...  # noqa: D102 - documented as attributes above
    @property
    def low(self) -> float: ...  # noqa: D102 - documented as attributes above
    @property
    def close(self) -> float: ...  # noqa: D102 - documented as attributes above
    @property
    def volume(self) -> float: ...  # noqa: D102 - documented as attributes above


def refuse_non_finite(bar: Bar) -> None:
    """Raise if a field of the bar is NaN, infinite or beyond `LIMIT`.

    Callers first test the sum of the squares of the fields: it exceeds ``LIMIT**2``, or is NaN,
    whenever a field is at fault, since squares cannot cancel. Only then this slower check tells
    which one, or that all five together are just large.

    Raises:
        IndicatorError: A field is at fault; names it.
    """
    for name in _FIELDS:
        value = getattr(bar, name)
        if not -LIMIT <= value <= LIMIT:
            raise IndicatorError(
                f"bar {bar.seq} (open_time {bar.open_time}): {name} must be finite, at most "
                f"{LIMIT:g}, is {value}; drop or repair the candle, indicators have not moved"
            )


def frame(bar: Bar) -> Frame:
    """Return all prices of a bar, in the order of `PRICES`.

    Raises:
        IndicatorError: A field is NaN or infinite.
    """
    first, high, low, close, volume = bar.open, bar.high, bar.low, bar.close, bar.volume
    squares = first * first + high * high + low * low + close * close + volume * volume
    if not squares <= LIMIT_SQUARED:
        refuse_non_finite(bar)
    hl2 = (high + low) / 2.0
    hlc3 = (high + low + close) / 3.0
    ohlc4 = (first + high + low + close) / 4.0
    return (first, high, low, close, volume, hl2, hlc3, ohlc4, bar.open_time)


def column(columns: Mapping[str, Array], price: str) -> Array:
    """Return one price of `PRICES` as an array, computed bit for bit as `frame` does.

    Args:
        columns: ``open``, ``high``, ... as float arrays of one length; only those read are needed.
        price: One of `PRICES`.

    Raises:
        IndicatorError: A column is missing, not one-dimensional or not finite.
    """
    if price == "hl2":
        return (column(columns, "high") + column(columns, "low")) / 2.0
    if price == "hlc3":
        hl = column(columns, "high") + column(columns, "low")
        return (hl + column(columns, "close")) / 3.0
    if price == "ohlc4":
        oh = column(columns, "open") + column(columns, "high")
        return (oh + column(columns, "low") + column(columns, "close")) / 4.0
    if price not in columns:
        raise IndicatorError(f"columns: {price!r} is needed, have {', '.join(columns) or 'none'}")
    array = np.ascontiguousarray(columns[price], dtype=np.float64)
    if array.ndim != 1:
        raise IndicatorError(f"column {price!r}: must have one dimension, has {array.ndim}")
    fits = usable(array)
    if not fits.all():
        at = int(fits.argmin())
        raise IndicatorError(
            f"column {price!r}: must be finite, at most {LIMIT:g}, row {at} is {array[at]}"
        )
    return array


def usable(array: Array) -> npt.NDArray[np.bool_]:
    """Tell for each element whether it is finite and within `LIMIT`."""
    return np.abs(array) <= LIMIT


def columns_of(bars: Sequence[Bar]) -> dict[str, Array]:
    """Return the bars' fields as arrays, ready for `column`."""
    fields = (*_FIELDS, "open_time")
    return {
        name: np.fromiter((getattr(bar, name) for bar in bars), np.float64, len(bars))
        for name in fields
    }
