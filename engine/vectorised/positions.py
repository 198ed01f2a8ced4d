"""From what the rules say at each candle to the position, by the table of the RULES type.

========  =====================================================
position  rules asked, in this order
========  =====================================================
flat      entry: long. Else short_entry: short.
long      short_entry: turned short by one order. Else exit: flat.
short     entry: turned long. Else short_exit: flat.
========  =====================================================

An order fills before the next candle is decided on, so the table alone drives the position.
"""

from __future__ import annotations

import operator
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.market.columns import Ints
from engine.rules.program import RULES

__all__ = ["BITS", "Changes", "changes_of"]

Codes = NDArray[np.uint8]
Sides = NDArray[np.int64]

BITS = {name: 1 << place for place, name in enumerate(RULES)}
"""Rule -> its bit in the code of a candle."""

_CODES = 1 << len(RULES)


class Changes(NamedTuple):
    """Each change of the position, in time order; all of shape ``(changes,)``.

    Attributes:
        row: Candle it is decided at.
        before: Side before it: +1 long, -1 short, 0 flat.
        after: Side after it, another one.
    """

    row: Ints
    before: Sides
    after: Sides


def _next(side: int, code: int) -> int:
    """Return the side after a candle: the table above."""
    if side <= 0 and code & BITS["entry"]:
        return 1
    if side >= 0 and code & BITS["short_entry"]:
        return -1
    leaves = {1: "exit", -1: "short_exit"}.get(side)
    return 0 if leaves and code & BITS[leaves] else side


def _states() -> dict[int, list[Any]]:
    """Return the table as lists: a state at index `code` is the next one, its last item its side.

    A walk over the codes is then `accumulate` with `getitem`, which never leaves C: 30 ns a step
    where a loop of Python takes 100.
    """
    states: dict[int, list[Any]] = {side: [] for side in (0, 1, -1)}
    for side, state in states.items():
        state += [states[_next(side, code)] for code in range(_CODES)]
        state.append(side)
    return states


_FLAT = _states()[0]
_SIDE = operator.itemgetter(_CODES)

_SETTLES = np.array(
    [
        all(_next(_next(side, code), code) == _next(side, code) for side in (0, 1, -1))
        for code in range(_CODES)
    ]
)
"""Codes that change nothing when they come a second time in a row."""


def changes_of(codes: Codes) -> Changes:
    """Return how the position changes, flat at first.

    Args:
        codes: Per candle the sum of the `BITS` of the rules that hold, shape ``(rows,)``.
    """
    rows = np.flatnonzero(codes)
    said = codes[rows]
    if said.size:
        new = np.empty(said.size, dtype=np.bool_)
        new[0] = True
        np.not_equal(said[1:], said[:-1], out=new[1:])
        new |= ~_SETTLES[said]
        rows, said = rows[new], said[new]
    states = accumulate(said.tobytes(), operator.getitem, initial=_FLAT)
    sides = np.fromiter(map(_SIDE, states), np.int64, said.size + 1)
    changed = np.flatnonzero(sides[1:] != sides[:-1])
    return Changes(rows[changed], sides[changed], sides[changed + 1])
