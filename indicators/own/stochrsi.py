"""Stochastic RSI as charts draw it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from indicators.bars import Array
from indicators.info import IndicatorInfo, Input, Params
from indicators.kernels import NAN, Value
from indicators.own.parts import OwnKernel, OwnMaker, period, talib_kernel

__all__ = ["SMOOTH_STOCHRSI"]

_BLANK = (NAN, NAN)

_FLAT = 1e-9
"""A range of the RSI below this is rounding: on flat prices the RSI stands still but for its last
bits, and its place among them is noise."""


class _SmoothStochRsi(OwnKernel):
    """r = RSI(price); raw = place of r in its range; k = SMA(raw); d = SMA(k)."""

    __slots__ = ("_d", "_k", "_range", "_rsi")

    def __init__(self, params: Params) -> None:
        self._rsi = talib_kernel("rsi", timeperiod=params["timeperiod"])
        self._range = talib_kernel("minmax", timeperiod=params["fastk_period"])
        self._k = talib_kernel("sma", timeperiod=params["slowk_period"])
        self._d = talib_kernel("sma", timeperiod=params["slowd_period"])

    @property
    def ready(self) -> bool:
        return self._d.ready

    def update(self, price: float) -> Value:
        rsi = self._rsi.update(price)
        if math.isnan(rsi):
            return _BLANK
        low, high = self._range.update(rsi)
        if math.isnan(low):
            return _BLANK
        k = self._k.update(_place(rsi, low, high))
        if math.isnan(k):
            return _BLANK
        d = self._d.update(k)
        return _BLANK if math.isnan(d) else (k, d)

    def peek(self, price: float) -> Value:
        rsi = self._rsi.peek(price)
        if math.isnan(rsi):
            return _BLANK
        low, high = self._range.peek(rsi)
        if math.isnan(low):
            return _BLANK
        k = self._k.peek(_place(rsi, low, high))
        if math.isnan(k):
            return _BLANK
        d = self._d.peek(k)
        return _BLANK if math.isnan(d) else (k, d)

    def _consume(self, arrays: Sequence[Array]) -> list[Array]:
        # Each part reads what the one before it gives, from its first value on.
        rsi = _defined(self._rsi.fill(arrays)[0])
        low, high = (_defined(bound) for bound in self._range.fill([rsi]))
        span = high - low
        place = np.zeros(span.size)
        np.divide(rsi[rsi.size - span.size :] - low, span, out=place, where=span > _FLAT)
        k = _defined(self._k.fill([100.0 * place])[0])
        d = _defined(self._d.fill([k])[0])
        blank = np.full(arrays[0].size - d.size, NAN)
        return [np.concatenate((blank, values)) for values in (k[k.size - d.size :], d)]


def _defined(array: Array) -> Array:
    """Return an array without the NaN that lead it."""
    return array[int(np.isnan(array).sum()) :]


def _place(value: float, low: float, high: float) -> float:
    span = high - low
    return 100.0 * ((value - low) / span) if span > _FLAT else 0.0


SMOOTH_STOCHRSI = IndicatorInfo(
    name="smooth_stochrsi",
    title="Smoothed Stochastic RSI",
    group="Momentum Indicators",
    description=(
        "Stochastic of Wilder's RSI with %K smoothed before %D, as charts draw it: 14, 14, 3, 3. "
        "TA-Lib's STOCHRSI also reads Wilder's RSI, but its k is the raw place in the range, its d "
        "what charts call %K, and its default range is 5. From 0 to 100; 0 where the RSI rests."
    ),
    origin="chorus",
    inputs=(Input("price", "close", free=True),),
    outputs=("k", "d"),
    parameters=(
        period("timeperiod", "Periods of the RSI", 14, minimum=2),
        period("fastk_period", "Periods of the range", 14, minimum=2),
        period("slowk_period", "Periods that smooth %K", 3),
        period("slowd_period", "Periods of %D", 3),
    ),
    maker=OwnMaker(
        _SmoothStochRsi,
        lambda p: sum(int(value) for value in p.values()) - 2,
    ),
    output_aliases={"slowk": "k", "slowd": "d"},
    aliases=("stochrsi_smooth", "wilder_stochrsi"),
)
