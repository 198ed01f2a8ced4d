"""The meaning of a rule, ready to be evaluated: numeric terms, series and conditions.

Lowering turns a syntax tree into this small language, in which

- negation is gone: it was pushed to the comparisons (``NOT a < b`` is ``a >= b``), so that an
  undefined (NaN) value makes a comparison and its negation both untrue;
- history is gone from expressions: ``(a - b)[2]`` is ``a[2] - b[2]``, only a `Ref` to a series
  looks back, and parameters are the same at every candle;
- crossings, rising and falling are comparisons over such references.

Both evaluators (`scalar`, `arrays`) work on it, which is what keeps them identical. Terms are
hashable and compare by content, so equal parts are computed and remembered once.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

__all__ = [
    "OPERATIONS",
    "Absolute",
    "AllOf",
    "AnyOf",
    "Arithmetic",
    "Compare",
    "Condition",
    "Const",
    "Cross",
    "Defined",
    "Extreme",
    "Field",
    "Flag",
    "Negated",
    "Output",
    "Param",
    "Ref",
    "Rolling",
    "Run",
    "Series",
    "Term",
    "Truth",
    "reach",
    "series_of",
]


@dataclass(frozen=True)
class Const:
    """A number known when the rule is compiled; NaN is undefined."""

    value: float


@dataclass(frozen=True)
class Param:
    """A numeric parameter: its present value, at every candle."""

    name: str


@dataclass(frozen=True)
class Ref:
    """The value of a series `back` candles ago; undefined before there was one."""

    series: Series
    back: int = 0


@dataclass(frozen=True)
class Negated:
    """``-x``."""

    x: Term


@dataclass(frozen=True)
class Absolute:
    """``abs(x)``."""

    x: Term


@dataclass(frozen=True)
class Arithmetic:
    """``a op b`` in IEEE double; dividing by zero is undefined."""

    op: str
    a: Term
    b: Term


@dataclass(frozen=True)
class Extreme:
    """The larger (``max``) or smaller (``min``) of two terms; undefined if one of them is."""

    kind: str
    a: Term
    b: Term


def _divide(a: float, b: float) -> float:
    return a / b if b != 0.0 else math.nan


OPERATIONS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
}
"""What the operators of `Arithmetic` compute."""

Term = Const | Param | Ref | Negated | Absolute | Arithmetic | Extreme


@dataclass(frozen=True)
class Field:
    """A field of the candle: open, high, low, close or volume."""

    name: str


@dataclass(frozen=True)
class Output:
    """One output of a declared indicator."""

    indicator: str
    output: str


@dataclass(frozen=True)
class Rolling:
    """Highest (``max``) or lowest (``min``) of the last `length` values of `x`, this one included.

    Undefined unless all of them are defined.
    """

    kind: str
    x: Term
    length: int


@dataclass(frozen=True)
class Run:
    """How many times in a row `x` moved strictly up (or down); 0 after any other step."""

    up: bool
    x: Term


@dataclass(frozen=True)
class Defined:
    """How many candles in a row `x` has been defined, this one included."""

    x: Term


Series = Field | Output | Rolling | Run | Defined


@dataclass(frozen=True)
class Truth:
    """A condition that never changes."""

    value: bool


@dataclass(frozen=True)
class Flag:
    """A boolean parameter equals `wanted`."""

    name: str
    wanted: bool


@dataclass(frozen=True)
class Compare:
    """``a op b`` with op one of ``< <= == !=``; false if either is undefined."""

    op: str
    a: Term
    b: Term


@dataclass(frozen=True)
class Cross:
    """``a`` was at or below ``b`` and is above it now: ``a1 <= b1`` and ``b0 < a0``."""

    a1: Term
    b1: Term
    a0: Term
    b0: Term


@dataclass(frozen=True)
class AllOf:
    """Every item holds."""

    items: tuple[Condition, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one item holds."""

    items: tuple[Condition, ...]


Condition = Truth | Flag | Compare | Cross | AllOf | AnyOf


def series_of(conditions: Iterable[Condition]) -> dict[Series, int]:
    """Return every series the conditions read and how far back, in order of dependency.

    A series comes after the series it is made of, so updating them in this order is right.
    """
    found: dict[Series, int] = {}
    for condition in conditions:
        for term in _terms_of(condition):
            _collect(term, found)
    return found


def reach(term: Term, head_start: int) -> int:
    """Return how many candles after the indicators' first values `term` becomes defined.

    Args:
        term: What is read at the present candle.
        head_start: Candles seen before the one at which all indicators have their first value;
            what reads only the candle itself remembers them already.

    Returns:
        Candles; negative if it is defined before the indicators are.
    """
    if isinstance(term, Ref):
        return term.back + _reach_of_series(term.series, head_start)
    return max((reach(part, head_start) for part in _parts(term)), default=-head_start)


def _reach_of_series(series: Series, head_start: int) -> int:
    if isinstance(series, Output):
        return 0
    if isinstance(series, Field):
        return -head_start
    # A run or a count of defined values is exact from its first candle on.
    own = series.length - 1 if isinstance(series, Rolling) else 0
    return own + reach(series.x, head_start)


def _parts(term: Term) -> tuple[Term, ...]:
    if isinstance(term, Negated | Absolute):
        return (term.x,)
    if isinstance(term, Arithmetic | Extreme):
        return (term.a, term.b)
    return ()


def _terms_of(condition: Condition) -> tuple[Term, ...]:
    if isinstance(condition, Compare):
        return (condition.a, condition.b)
    if isinstance(condition, Cross):
        return (condition.a1, condition.b1, condition.a0, condition.b0)
    if isinstance(condition, AllOf | AnyOf):
        return tuple(term for item in condition.items for term in _terms_of(item))
    return ()


def _collect(term: Term, found: dict[Series, int]) -> None:
    if not isinstance(term, Ref):
        for part in _parts(term):
            _collect(part, found)
        return
    if isinstance(term.series, Rolling | Run | Defined):
        _collect(term.series.x, found)
    found[term.series] = max(found.get(term.series, 0), term.back)
