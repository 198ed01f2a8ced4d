"""Evaluation candle by candle: rules as closures over cells.

A closure per node of the rule, with the shapes that rules mostly have (an indicator against a
number, against another indicator) reading their cells directly instead of through further calls.
NaN makes every comparison here false, which is what undefined means.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping

from engine.rules.memory import (
    Cell,
    Observe,
    Push,
    Reader,
    Step,
    defined_step,
    observer,
    push_step,
    rolling_step,
    run_step,
)
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

__all__ = ["Closures", "Test"]

Test = Callable[[], bool]
Operand = float | Cell | Reader
"""A term in its cheapest form: a number, a cell, or a closure."""


class Closures:
    """Builds the closures of one strategy's rules over its cells.

    Args:
        series: Every series the rules read and how far back, in order of dependency.
        outputs: Gives the cell of an indicator's output.
        parameters: Present values; the list is read at every evaluation, so it may be changed.
        places: Where in `parameters` each parameter is.
    """

    def __init__(
        self,
        series: Mapping[Series, int],
        outputs: Callable[[Output], Cell],
        parameters: list[float | bool],
        places: Mapping[str, int],
    ) -> None:
        self._parameters = parameters
        self._places = places
        self._present: dict[Series, Cell] = {}
        self._rings: dict[Series, deque[float]] = {}
        fields = [item.name for item in series if isinstance(item, Field)]
        values = [math.nan] * len(fields)
        steps: list[Step] = []
        pushes: list[Push] = []
        for item, back in series.items():
            if isinstance(item, Field):
                self._present[item] = (values, fields.index(item.name))
            elif isinstance(item, Output):
                self._present[item] = outputs(item)
            else:
                if pushes:  # the step may read the rings filled so far
                    steps.append(push_step(tuple(pushes)))
                    pushes.clear()
                steps.append(self._computed(item))
            if back:
                ring = self._rings[item] = deque([math.nan] * (back + 1), maxlen=back + 1)
                pushes.append((ring.appendleft, *self._present[item]))
        self.observe: Observe = observer(fields, values, tuple(steps), tuple(pushes))

    def _computed(self, series: Rolling | Run | Defined) -> Step:
        """Give a computed series its cell and return the step that updates it."""
        values = [math.nan]
        self._present[series] = (values, 0)
        if isinstance(series, Rolling):
            read = self.reader(series.x)
            return rolling_step(read, series.length, values, 0, highest=series.kind == "max")
        if isinstance(series, Run):
            return run_step(self.reader(series.x), values, 0, up=series.up)
        return defined_step(self.reader(series.x), values, 0)

    def test(self, condition: Condition) -> Test:
        """Return the closure that says whether `condition` holds at the observed candle."""
        match condition:
            case Truth(value=value):
                return lambda: value
            case Flag(name=name, wanted=wanted):
                return _flag(self._parameters, self._places[name], wanted=wanted)
            case Compare(op=op, a=a, b=b):
                return _COMPARE[op](self._operand(a), self._operand(b))
            case Cross():
                return self._cross(condition)
            case AllOf(items=items):
                return _all([self.test(item) for item in items])
            case AnyOf(items=items):
                return _any([self.test(item) for item in items])

    def reader(self, term: Term) -> Reader:
        """Return the closure that computes `term` at the observed candle."""
        return _reader(self._operand(term))

    def _operand(self, term: Term) -> Operand:  # noqa: PLR0911 - one return per kind of term
        """Return the cheapest form of a term: a number, a cell, or a closure."""
        match term:
            case Const(value=value):
                return value
            case Param(name=name):
                return self._parameters, self._places[name]
            case Ref(series=series, back=back):
                return (self._rings[series], back) if back else self._present[series]
            case Negated(x=x):
                read = self.reader(x)
                return lambda: -read()
            case Absolute(x=x):
                read = self.reader(x)
                return lambda: abs(read())
            case Arithmetic(op=op, a=a, b=b):
                return _ARITHMETIC[op](self.reader(a), self.reader(b))
            case Extreme(kind=kind, a=a, b=b):
                return _larger(self.reader(a), self.reader(b), 1.0 if kind == "max" else -1.0)

    def _cross(self, cross: Cross) -> Test:
        a1, b1 = self._operand(cross.a1), self._operand(cross.b1)
        a0, b0 = self._operand(cross.a0), self._operand(cross.b0)
        if isinstance(a0, tuple) and isinstance(a1, tuple) and isinstance(b0, float):
            return _cell_rises_through(a1, a0, b0)
        if isinstance(b0, tuple) and isinstance(b1, tuple) and isinstance(a0, float):
            return _cell_falls_through(b1, b0, a0)
        return _all([_less_equal(a1, b1), _less(b0, a0)])


def _flag(parameters: list[float | bool], place: int, *, wanted: bool) -> Test:
    return lambda: parameters[place] is wanted


def _cell_rises_through(before: Cell, now: Cell, level: float) -> Test:
    (v1, i1), (v0, i0) = before, now
    return lambda: v0[i0] > level and v1[i1] <= level


def _cell_falls_through(before: Cell, now: Cell, level: float) -> Test:
    (v1, i1), (v0, i0) = before, now
    return lambda: v0[i0] < level and v1[i1] >= level


def _less(a: Operand, b: Operand) -> Test:
    if isinstance(a, tuple):
        va, ia = a
        if isinstance(b, float):
            return lambda: va[ia] < b
        if isinstance(b, tuple):
            vb, ib = b
            return lambda: va[ia] < vb[ib]
    elif isinstance(a, float) and isinstance(b, tuple):
        vb, ib = b
        return lambda: vb[ib] > a
    ra, rb = _reader(a), _reader(b)
    return lambda: ra() < rb()


def _less_equal(a: Operand, b: Operand) -> Test:
    if isinstance(a, tuple):
        va, ia = a
        if isinstance(b, float):
            return lambda: va[ia] <= b
        if isinstance(b, tuple):
            vb, ib = b
            return lambda: va[ia] <= vb[ib]
    elif isinstance(a, float) and isinstance(b, tuple):
        vb, ib = b
        return lambda: vb[ib] >= a
    ra, rb = _reader(a), _reader(b)
    return lambda: ra() <= rb()


def _equal(a: Operand, b: Operand) -> Test:
    ra, rb = _reader(a), _reader(b)
    return lambda: ra() == rb()


def _unequal(a: Operand, b: Operand) -> Test:
    ra, rb = _reader(a), _reader(b)

    def test() -> bool:
        x, y = ra(), rb()
        return x < y or x > y  # `!=` would hold for an undefined value

    return test


_COMPARE: Mapping[str, Callable[[Operand, Operand], Test]] = {
    "<": _less,
    "<=": _less_equal,
    "==": _equal,
    "!=": _unequal,
}


def _reader(operand: Operand) -> Reader:
    """Return the closure that reads an operand."""
    if isinstance(operand, float):
        return lambda: operand
    if isinstance(operand, tuple):
        values, index = operand
        return lambda: values[index]
    return operand


def _add(a: Reader, b: Reader) -> Reader:
    return lambda: a() + b()


def _subtract(a: Reader, b: Reader) -> Reader:
    return lambda: a() - b()


def _multiply(a: Reader, b: Reader) -> Reader:
    return lambda: a() * b()


def _divide(a: Reader, b: Reader) -> Reader:
    def read() -> float:
        divisor = b()
        return a() / divisor if divisor != 0.0 else math.nan

    return read


_ARITHMETIC: Mapping[str, Callable[[Reader, Reader], Reader]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
}


def _larger(a: Reader, b: Reader, sign: float) -> Reader:
    """Return the reader of the larger value (sign 1) or the smaller one (sign -1)."""

    def read() -> float:
        x, y = a(), b()
        if x * sign > y * sign:
            return x
        return y if x == x else x  # noqa: PLR0124 - NaN: undefined if either is

    return read


def _all(tests: list[Test]) -> Test:
    if len(tests) == 2:  # noqa: PLR2004 - the usual case, without a loop
        first, second = tests
        return lambda: first() and second()

    def test() -> bool:
        for item in tests:  # noqa: SIM110 - a generator inside all() costs more than the tests
            if not item():
                return False
        return True

    return test


def _any(tests: list[Test]) -> Test:
    if len(tests) == 2:  # noqa: PLR2004 - the usual case, without a loop
        first, second = tests
        return lambda: first() or second()

    def test() -> bool:
        for item in tests:  # noqa: SIM110 - a generator inside any() costs more than the tests
            if item():
                return True
        return False

    return test
