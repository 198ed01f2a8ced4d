"""The prices of a stretch of bars as arrays: checked once, cut and shared without copying."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from indicators.bars import Array, column
from indicators.errors import IndicatorError

__all__ = ["Prices"]

_FIELDS = ("open", "high", "low", "close", "volume", "open_time")


class Prices:
    """Every price of `PRICES` over consecutive bars; any number of managers may open on it.

    Args:
        columns: ``open high low close volume open_time`` as float arrays of one length, shape
            ``(bars,)``; they must not change afterwards.

    Raises:
        IndicatorError: A column is missing, not finite, or of another length.

    >>> import numpy as np
    >>> prices = Prices({name: np.array([1.0, 2.0, 3.0]) for name in _FIELDS})
    >>> prices.cut(1, 3).of("hl2")
    array([2., 3.])
    """

    __slots__ = ("_columns", "_rows", "size")

    def __init__(self, columns: Mapping[str, Array]) -> None:
        """Check the columns."""
        self._columns = {name: column(columns, name) for name in _FIELDS}
        sizes = {array.size for array in self._columns.values()}
        if len(sizes) > 1:
            raise IndicatorError(f"columns: must have one length, have {sorted(sizes)}")
        self.size: int = sizes.pop()
        self._rows = slice(0, self.size)

    def cut(self, start: int, stop: int) -> Self:
        """Return the bars from row `start` to before row `stop`; shares all arrays."""
        part = object.__new__(type(self))
        part._columns = self._columns
        first = self._rows.start
        part._rows = slice(first + start, first + stop)
        part.size = stop - start
        return part

    def of(self, price: str) -> Array:
        """Return one of `PRICES`, shape ``(size,)``; all cuts share what is derived."""
        array = self._columns.get(price)
        if array is None:
            array = self._columns[price] = column(self._columns, price)
        return array[self._rows]
