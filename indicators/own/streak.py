"""How long a price has been rising or falling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from indicators.bars import Array
from indicators.info import IndicatorInfo, Input, Params
from indicators.kernels import NAN, Value
from indicators.own.parts import OwnKernel, OwnMaker

__all__ = ["STREAK"]


class _Streak(OwnKernel):
    """+n after n rises in a row, -n after n falls, 0 after no change."""

    __slots__ = ("_count", "_last")

    def __init__(self, _params: Params) -> None:
        self._last = NAN
        self._count = NAN

    @property
    def ready(self) -> bool:
        return not math.isnan(self._count)

    def update(self, x: float) -> Value:
        self._count = count = self.peek(x)
        self._last = x
        return count

    def peek(self, x: float) -> float:
        last, count = self._last, self._count
        if x > last:
            return count + 1.0 if count > 0.0 else 1.0
        if x < last:
            return count - 1.0 if count < 0.0 else -1.0
        return 0.0 if x == last else NAN

    def _consume(self, arrays: Sequence[Array]) -> list[Array]:
        (x,) = arrays
        count = np.full(x.size, NAN)
        if x.size:
            sign = np.sign(np.diff(x))
            rows = np.arange(sign.size)
            turns = np.concatenate(([True], sign[1:] != sign[:-1]))[: sign.size]
            began = np.maximum.accumulate(np.where(turns, rows, 0))
            count[1:] = sign * (rows - began + 1)
            self._last, self._count = float(x[-1]), float(count[-1])
        return [count]


STREAK = IndicatorInfo(
    name="streak",
    title="Rising or Falling Streak",
    group="Momentum Indicators",
    description="+n after n rises in a row, -n after n falls in a row, 0 where nothing changed.",
    origin="chorus",
    inputs=(Input("price", "close", free=True),),
    outputs=("value",),
    parameters=(),
    maker=OwnMaker(_Streak, lambda _: 2),
    output_aliases={},
    aliases=("rising_falling",),
)
