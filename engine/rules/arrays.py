"""Evaluation over whole arrays: the vectorised twin of `scalar`, with identical answers.

The same IEEE operations in the same order on the same values, so equality is exact. Series that
remember are computed without a loop over rows: shifts by slicing, rolling extremes by block
maxima, runs by distance to the last row that broke them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from engine.rules.terms import (
    Absolute,
    AllOf,
    AnyOf,
    Arithmetic,
    Compare,
    Condition,
    Const,
    Cross,
    Defined,
    Extreme,
    Field,
    Flag,
    Negated,
    Output,
    Param,
    Ref,
    Rolling,
    Run,
    Series,
    Term,
    Truth,
)

__all__ = ["ArrayEvaluator", "Bools", "Floats"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class ArrayEvaluator:
    """Evaluates conditions at every row at once.

    Args:
        columns: ``open high low close volume``, each of shape ``(rows,)``.
        output: Gives the array of an indicator's output, shape ``(rows,)``, NaN before ready.
        parameters: Values at every row.
        rows: Number of candles.
    """

    def __init__(
        self,
        columns: Mapping[str, Floats],
        output: Callable[[Output], Floats],
        parameters: Mapping[str, float | bool],
        rows: int,
    ) -> None:
        self._columns = columns
        self._output = output
        self._parameters = parameters
        self._rows = rows
        self._known: dict[Series, Floats] = {}  # terms are cheap to repeat and costly to keep

    def test(self, condition: Condition) -> Bools:
        """Return where `condition` holds, shape ``(rows,)``."""
        with np.errstate(all="ignore"):  # overflow is infinite and NaN is undefined, on purpose
            return np.broadcast_to(self._test(condition), (self._rows,)).copy()

    def _test(self, condition: Condition) -> Bools:
        match condition:
            case Truth(value=value):
                return np.full(self._rows, value)
            case Flag(name=name, wanted=wanted):
                return np.full(self._rows, self._parameters[name] is wanted)
            case Compare(op=op, a=a, b=b):
                return _COMPARE[op](self._term(a), self._term(b))
            case Cross():
                return self._cross(condition)
            case AllOf(items=items):
                return functools.reduce(np.logical_and, [self._test(item) for item in items])
            case AnyOf(items=items):
                return functools.reduce(np.logical_or, [self._test(item) for item in items])

    def _cross(self, cross: Cross) -> Bools:
        a, b = self._term(cross.a0), self._term(cross.b0)
        now = np.less(b, a)
        if (cross.a1, cross.b1) == (_earlier(cross.a0), _earlier(cross.b0)) and now.ndim:
            # The comparison a row earlier is the shifted comparison: bytes move, not floats.
            now[1:] &= np.less_equal(a, b)[:-1]
            now[:1] = False
            return now
        return now & np.less_equal(self._term(cross.a1), self._term(cross.b1))

    def _term(self, term: Term) -> Floats:  # noqa: PLR0911 - one return per kind of term
        """Return a term's values: shape ``(rows,)``, or ``()`` if the same at every row."""
        match term:
            case Const(value=value):
                return np.asarray(value, dtype=np.float64)
            case Param(name=name):
                return np.asarray(self._parameters[name], dtype=np.float64)
            case Ref(series=series, back=back):
                return _shifted(self._of(series), back)
            case Negated(x=x):
                return np.negative(self._term(x))
            case Absolute(x=x):
                return np.absolute(self._term(x))
            case Arithmetic(op=op, a=a, b=b):
                return _ARITHMETIC[op](self._term(a), self._term(b))
            case Extreme(kind=kind, a=a, b=b):
                choose = np.maximum if kind == "max" else np.minimum
                return choose(self._term(a), self._term(b))

    def _of(self, series: Series) -> Floats:
        known = self._known.get(series)
        if known is None:
            known = self._known[series] = self._series(series)
        return known

    def _series(self, series: Series) -> Floats:
        match series:
            case Field(name=name):
                return self._columns[name]
            case Output():
                return self._output(series)
            case Rolling(kind=kind, x=x, length=length):
                return _rolling(self._whole(x), length, np.maximum if kind == "max" else np.minimum)
            case Run(up=up, x=x):
                values = self._whole(x)
                moved = np.zeros(self._rows, dtype=np.bool_)
                later, earlier = values[1:], values[:-1]
                moved[1:] = later > earlier if up else later < earlier
                return _in_a_row(moved)
            case Defined(x=x):
                return _in_a_row(~np.isnan(self._whole(x)))

    def _whole(self, term: Term) -> Floats:
        return np.broadcast_to(self._term(term), (self._rows,))


def _earlier(term: Term) -> Term:
    """Return a term as it was a candle before; what is the same at every candle stays."""
    match term:
        case Ref(series=series, back=back):
            return Ref(series, back + 1)
        case Negated(x=x):
            return Negated(_earlier(x))
        case Absolute(x=x):
            return Absolute(_earlier(x))
        case Arithmetic(op=op, a=a, b=b):
            return Arithmetic(op, _earlier(a), _earlier(b))
        case Extreme(kind=kind, a=a, b=b):
            return Extreme(kind, _earlier(a), _earlier(b))
        case _:
            return term


def _divide(a: Floats, b: Floats) -> Floats:
    return np.where(b != 0.0, np.divide(a, b), np.nan)


def _unequal(a: Floats, b: Floats) -> Bools:
    return np.less(a, b) | np.greater(a, b)  # `!=` would hold for an undefined value


_ARITHMETIC: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": _divide,
}
_COMPARE: Mapping[str, Callable[[Floats, Floats], Bools]] = {
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
    "!=": _unequal,
}


def _shifted(values: Floats, back: int) -> Floats:
    """Return the values `back` rows earlier, NaN before the first."""
    if back == 0:
        return values
    result = np.full(values.shape, np.nan)
    result[back:] = values[:-back]
    return result


def _in_a_row(holds: Bools) -> Floats:
    """Return how many rows up to each one hold without a break."""
    rows = np.arange(len(holds))
    broken = np.maximum.accumulate(np.where(holds, -1, rows))
    return (rows - broken).astype(np.float64)


def _rolling(values: Floats, length: int, choose: np.ufunc) -> Floats:
    """Return the extreme of each row and the ``length - 1`` before it, NaN if one of them is NaN.

    Cut into blocks of `length`, every window is the end of one block and the start of the next:
    two running extremes and one comparison per row, whatever the length.

    Source: van Herk (1992), Gil and Werman (1993).
    """
    result = np.full(len(values), np.nan)
    if length > len(values):
        return result
    blocks = -(-len(values) // length)
    padded = np.full(blocks * length, np.nan)
    padded[: len(values)] = values
    grid = padded.reshape(blocks, length)
    starts = choose.accumulate(grid, axis=1).ravel()
    ends = choose.accumulate(grid[:, ::-1], axis=1)[:, ::-1].ravel()
    windows = len(values) - length + 1
    result[length - 1 :] = choose(ends[:windows], starts[length - 1 : len(values)])
    return result
