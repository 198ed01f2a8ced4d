"""Stochastic RSI as charts draw it."""

from __future__ import annotations

from collections.abc import Sequence

from indicators.bars import Array
from indicators.info import IndicatorInfo, Input, Params
from indicators.kernels import NAN, Value
from indicators.own.parts import OwnMaker, period, talib_kernel

__all__ = ["SMOOTH_STOCHRSI"]

_BLANK = (NAN, NAN)


class _SmoothStochRsi:
    """r = RSI(price); raw = place of r in its range; k = SMA(raw); d = SMA(k)."""

    __slots__ = ("_rsi", "_stoch")

    def __init__(self, params: Params) -> None:
        self._rsi = talib_kernel("rsi", timeperiod=params["timeperiod"])
        self._stoch = talib_kernel(
            "stoch",
            fastk_period=params["fastk_period"],
            slowk_period=params["slowk_period"],
            slowd_period=params["slowd_period"],
        )

    @property
    def ready(self) -> bool:
        return self._stoch.ready

    def update(self, price: float) -> Value:
        rsi = self._rsi.update(price)
        if rsi != rsi:  # noqa: PLR0124 - NaN: the RSI is not ready
            return _BLANK
        value: Value = self._stoch.update(rsi, rsi, rsi)
        return value

    def peek(self, price: float) -> Value:
        rsi = self._rsi.peek(price)
        if rsi != rsi:  # noqa: PLR0124 - NaN, as above
            return _BLANK
        value: Value = self._stoch.peek(rsi, rsi, rsi)
        return value

    def skip(self) -> None:
        self._rsi.skip()
        self._stoch.skip()

    def fill(self, arrays: Sequence[Array]) -> list[Array]:
        (rsi,) = self._rsi.fill(arrays)
        return self._stoch.fill([rsi, rsi, rsi])


SMOOTH_STOCHRSI = IndicatorInfo(
    name="smooth_stochrsi",
    title="Smoothed Stochastic RSI",
    group="Momentum Indicators",
    description=(
        "Stochastic of Wilder's RSI with %K smoothed before %D, as charts draw it: 14, 14, 3, 3. "
        "TA-Lib's STOCHRSI also reads Wilder's RSI, but its k is the raw place in the range, its d "
        "what charts call %K, and its default range is 5. Range 0 to 100; 0 where the RSI is flat."
    ),
    origin="chorus",
    inputs=(Input("price", "close", free=True),),
    outputs=("k", "d"),
    parameters=(
        period("timeperiod", "Periods of the RSI", 14, minimum=2),
        period("fastk_period", "Periods of the range", 14),
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
