"""Ichimoku Kinko Hyo: two midpoints and a displaced cloud."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from indicators.bars import Array
from indicators.info import IndicatorInfo, Input, Params
from indicators.kernels import NAN, Value
from indicators.own.parts import OwnKernel, OwnMaker, period, talib_kernel

__all__ = ["ICHIMOKU"]

_OUTPUTS = ("tenkan", "kijun", "span_a", "span_b", "lead_a", "lead_b")
_BLANK = (NAN,) * len(_OUTPUTS)


class _Ichimoku(OwnKernel):
    """lead_a = (tenkan + kijun) / 2; lead_b = midpoint over senkou; spans are leads of before."""

    __slots__ = ("_displacement", "_kijun", "_leads", "_senkou", "_tenkan", "ready")

    def __init__(self, params: Params) -> None:
        self._tenkan = talib_kernel("midprice", timeperiod=params["tenkan"])
        self._kijun = talib_kernel("midprice", timeperiod=params["kijun"])
        self._senkou = talib_kernel("midprice", timeperiod=params["senkou"])
        self._displacement = int(params["displacement"])
        self._leads: deque[tuple[float, float]] = deque(maxlen=self._displacement + 1)
        self.ready = False

    def update(self, high: float, low: float) -> Value:
        tenkan = self._tenkan.update(high, low)
        kijun = self._kijun.update(high, low)
        lead_a, lead_b = (tenkan + kijun) / 2.0, self._senkou.update(high, low)
        if lead_a + lead_b != lead_a + lead_b:  # NaN: not all three have a value yet
            return _BLANK
        leads = self._leads
        leads.append((lead_a, lead_b))
        if len(leads) <= self._displacement:
            return _BLANK
        self.ready = True
        return (tenkan, kijun, *leads[0], lead_a, lead_b)

    def peek(self, high: float, low: float) -> Value:
        tenkan = self._tenkan.peek(high, low)
        kijun = self._kijun.peek(high, low)
        lead_a, lead_b = (tenkan + kijun) / 2.0, self._senkou.peek(high, low)
        if lead_a + lead_b != lead_a + lead_b:  # NaN, as above
            return _BLANK
        leads = [*self._leads, (lead_a, lead_b)]
        if len(leads) <= self._displacement:
            return _BLANK
        return (tenkan, kijun, *leads[-1 - self._displacement], lead_a, lead_b)

    def _consume(self, arrays: Sequence[Array]) -> list[Array]:
        (tenkan,), (kijun,) = self._tenkan.fill(arrays), self._kijun.fill(arrays)
        (lead_b,) = self._senkou.fill(arrays)
        lead_a = (tenkan + kijun) / 2.0
        size = lead_a.size
        begin = int(np.isnan(lead_a + lead_b).sum())  # NaN leads only: midpoints of prices
        keep = max(begin, size - self._leads.maxlen) if self._leads.maxlen else begin
        self._leads.extend(zip(lead_a[keep:].tolist(), lead_b[keep:].tolist(), strict=True))
        first = begin + self._displacement
        self.ready = first < size
        outputs = [np.full(size, NAN) for _ in _OUTPUTS]
        if self.ready:
            before = slice(begin, size - self._displacement)
            sources = (tenkan[first:], kijun[first:], lead_a[before], lead_b[before])
            for output, source in zip(
                outputs, (*sources, lead_a[first:], lead_b[first:]), strict=True
            ):
                output[first:] = source
        return outputs


ICHIMOKU = IndicatorInfo(
    name="ichimoku",
    title="Ichimoku Kinko Hyo",
    group="Overlap Studies",
    description=(
        "tenkan, kijun: midpoints of the high-low range. lead_a, lead_b: the cloud computed now, "
        "drawn `displacement` candles ahead. span_a, span_b: the cloud drawn over this candle, "
        "computed `displacement` candles ago (a chart that counts the present candle as the first "
        "draws 26 as displacement 25). The chikou span is the close itself, drawn back: compare "
        "close with close[26]."
    ),
    origin="chorus",
    inputs=(Input("high", "high", free=False), Input("low", "low", free=False)),
    outputs=_OUTPUTS,
    parameters=(
        period("tenkan", "Periods of the conversion line", 9, minimum=2),
        period("kijun", "Periods of the base line", 26, minimum=2),
        period("senkou", "Periods of the second leading span", 52, minimum=2),
        period("displacement", "Candles the cloud is drawn ahead", 26, minimum=0),
    ),
    maker=OwnMaker(
        _Ichimoku,
        lambda p: max(int(p["tenkan"]), int(p["kijun"]), int(p["senkou"])) + int(p["displacement"]),
    ),
    output_aliases={"senkoua": "lead_a", "senkoub": "lead_b", "conversion": "tenkan"},
    aliases=("ichimoku_cloud",),
)
