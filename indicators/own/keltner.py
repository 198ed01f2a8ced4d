"""Keltner channel: a moving average of any price and bands by the average true range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indicators.bars import Array
from indicators.info import IndicatorInfo, Input, Params
from indicators.kernels import NAN, Value
from indicators.own.parts import OwnKernel, OwnMaker, period, talib_kernel
from indicators.parameters import Parameter

__all__ = ["KELTNER"]

_BLANK = (NAN, NAN, NAN)


class _Keltner(OwnKernel):
    """middle = EMA(price); upper and lower = middle plus and minus multiplier * ATR."""

    __slots__ = ("_atr", "_ema", "_multiplier")

    def __init__(self, params: Params) -> None:
        self._ema = talib_kernel("ema", timeperiod=params["timeperiod"])
        self._atr = talib_kernel("atr", timeperiod=params["atrperiod"])
        self._multiplier = float(params["multiplier"])

    @property
    def ready(self) -> bool:
        return self._ema.ready and self._atr.ready

    def update(self, price: float, high: float, low: float, close: float) -> Value:
        return self._bands(self._ema.update(price), self._atr.update(high, low, close))

    def peek(self, price: float, high: float, low: float, close: float) -> Value:
        return self._bands(self._ema.peek(price), self._atr.peek(high, low, close))

    def _bands(self, middle: float, atr: float) -> Value:
        half = self._multiplier * atr
        upper = middle + half
        if upper != upper:  # noqa: PLR0124 - NaN: one of the parts is not ready
            return _BLANK
        return (upper, middle, middle - half)

    def _consume(self, arrays: Sequence[Array]) -> list[Array]:
        price, *candle = arrays
        (middle,) = self._ema.fill([price])
        (atr,) = self._atr.fill(candle)
        half = self._multiplier * atr
        upper = middle + half
        middle[np.isnan(upper)] = NAN
        return [upper, middle, middle - half]


KELTNER = IndicatorInfo(
    name="keltner",
    title="Keltner Channel",
    group="Overlap Studies",
    description=(
        "EMA of the source, plus and minus a multiple of Wilder's ATR (the form Linda Raschke made "
        "common). TA-Lib's own KC is close to it, but always reads the typical price and seeds its "
        "ATR later."
    ),
    origin="chorus",
    inputs=(
        Input("price", "close", free=True),
        Input("high", "high", free=False),
        Input("low", "low", free=False),
        Input("close", "close", free=False),
    ),
    outputs=("upper", "middle", "lower"),
    parameters=(
        period("timeperiod", "Periods of the EMA", 20),
        period("atrperiod", "Periods of the ATR", 10),
        Parameter("multiplier", "Width in ATR", 2.0, minimum=0.0, maximum=1000.0),
    ),
    maker=OwnMaker(_Keltner, lambda p: max(int(p["timeperiod"]), int(p["atrperiod"]) + 1)),
    output_aliases={"mid": "middle", "upperband": "upper", "lowerband": "lower"},
    aliases=("keltner_channel", "keltner_channels"),
)
