"""How unusual a price or a volume is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indicators.bars import Array
from indicators.info import IndicatorInfo, Input, Params
from indicators.kernels import NAN, Value
from indicators.own.parts import OwnKernel, OwnMaker, period, talib_kernel

__all__ = ["VOLUME_ZSCORE", "ZSCORE"]


class _Zscore(OwnKernel):
    """(x - mean) / deviation over a window that includes x; population deviation."""

    __slots__ = ("_deviation", "_mean")

    def __init__(self, params: Params) -> None:
        self._mean = talib_kernel("sma", timeperiod=params["timeperiod"])
        self._deviation = talib_kernel("stddev", timeperiod=params["timeperiod"])

    @property
    def ready(self) -> bool:
        return self._deviation.ready

    def update(self, x: float) -> Value:
        mean = self._mean.update(x)
        deviation = self._deviation.update(x)
        return (x - mean) / deviation if deviation > 0.0 else NAN

    def peek(self, x: float) -> Value:
        mean = self._mean.peek(x)
        deviation = self._deviation.peek(x)
        return (x - mean) / deviation if deviation > 0.0 else NAN

    def _consume(self, arrays: Sequence[Array]) -> list[Array]:
        (mean,) = self._mean.fill(arrays)
        (deviation,) = self._deviation.fill(arrays)
        out = np.full(mean.size, NAN)
        np.divide(arrays[0] - mean, deviation, out=out, where=deviation > 0.0)
        return [out]


_MAKER = OwnMaker(_Zscore, lambda p: int(p["timeperiod"]))
_PARAMETERS = (period("timeperiod", "Candles of the window", 20, minimum=2),)
_DEFINITION = (
    "Distance from the mean of the last candles (this one included) in population standard "
    "deviations. Undefined (NaN) where they are all equal."
)

ZSCORE = IndicatorInfo(
    name="zscore",
    title="Z-Score",
    group="Statistic Functions",
    description=_DEFINITION,
    origin="chorus",
    inputs=(Input("price", "close", free=True),),
    outputs=("value",),
    parameters=_PARAMETERS,
    maker=_MAKER,
    output_aliases={},
    aliases=("price_zscore",),
)

VOLUME_ZSCORE = IndicatorInfo(
    name="volume_zscore",
    title="Volume Z-Score",
    group="Volume Indicators",
    description=_DEFINITION,
    origin="chorus",
    inputs=(Input("volume", "volume", free=False),),
    outputs=("value",),
    parameters=_PARAMETERS,
    maker=_MAKER,
    output_aliases={},
    aliases=("vol_zscore",),
)
