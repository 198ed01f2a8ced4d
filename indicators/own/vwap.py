"""Volume-weighted average prices that TA-Lib's cumulative VWAP does not give."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np

from indicators.bars import Array
from indicators.info import IndicatorInfo, Input, Params
from indicators.kernels import NAN, Value, leading_gap, replay
from indicators.own.parts import OwnKernel, OwnMaker, period

__all__ = ["ROLLING_VWAP", "SESSION_VWAP"]

_DAY_MS = 86_400_000


class _SessionVwap(OwnKernel):
    """sum(price * volume) / sum(volume) since the UTC day of the candle began."""

    __slots__ = ("_day", "_traded", "_volume", "ready")

    def __init__(self, _params: Params) -> None:
        self._day = NAN
        self._traded = 0.0
        self._volume = 0.0
        self.ready = False

    def update(self, price: float, volume: float, open_time: float) -> Value:
        day = open_time // _DAY_MS
        if day == self._day:
            self._traded += price * volume
            self._volume += volume
        else:
            self._day = day
            self._traded = price * volume
            self._volume = volume
        self.ready = True
        return self._traded / self._volume if self._volume > 0.0 else NAN

    def peek(self, price: float, volume: float, open_time: float) -> Value:
        same = open_time // _DAY_MS == self._day
        traded = self._traded + price * volume if same else price * volume
        volume = self._volume + volume if same else volume
        return traded / volume if volume > 0.0 else NAN

    def _consume(self, arrays: Sequence[Array]) -> list[Array]:
        price, volume, open_time = arrays
        size = price.size
        out = np.full(size, NAN)
        if not size:
            return [out]
        day = open_time // _DAY_MS
        edges = [0, *(np.flatnonzero(day[1:] != day[:-1]) + 1).tolist(), size]
        traded, volumes = price * volume, np.empty(size)
        for start, stop in pairwise(edges):
            # cumsum adds one after the other, as updates do.
            np.cumsum(volume[start:stop], out=volumes[start:stop])
            np.cumsum(traded[start:stop], out=traded[start:stop])
        np.divide(traded, volumes, out=out, where=volumes > 0.0)
        self._day, self._traded, self._volume = (
            float(array[-1]) for array in (day, traded, volumes)
        )
        self.ready = True
        return [out]


SESSION_VWAP = IndicatorInfo(
    name="session_vwap",
    title="Session VWAP",
    group="Volume Indicators",
    description=(
        "Volume-weighted average price since 00:00 UTC of the day the candle opened in. Undefined "
        "(NaN) until the session has seen volume. TA-Lib's VWAP never restarts, and is 0 without "
        "volume."
    ),
    origin="chorus",
    inputs=(
        Input("price", "hlc3", free=True),
        Input("volume", "volume", free=False),
        Input("open_time", "open_time", free=False),
    ),
    outputs=("value",),
    parameters=(),
    maker=OwnMaker(_SessionVwap, lambda _: 1),
    output_aliases={},
    aliases=("daily_vwap",),
)


class _RollingVwap(OwnKernel):
    """sum(price * volume) / sum(volume) over the last candles, summed anew for each.

    Running sums (TA-Lib's VWMA) keep a rounding residue of volumes that have left the window;
    when trading then stops, that residue is all that is left to divide by.
    """

    __slots__ = ("_period", "_traded", "_volumes")

    def __init__(self, params: Params) -> None:
        self._period = int(params["timeperiod"])
        self._traded: deque[float] = deque(maxlen=self._period)
        self._volumes: deque[float] = deque(maxlen=self._period)

    @property
    def ready(self) -> bool:
        return len(self._volumes) == self._period

    def update(self, price: float, volume: float) -> Value:
        self._traded.append(price * volume)
        self._volumes.append(volume)
        return self._average(self._traded, self._volumes)

    def peek(self, price: float, volume: float) -> Value:
        keep = slice(1, None) if self.ready else slice(None)
        traded = [*list(self._traded)[keep], price * volume]
        return self._average(traded, [*list(self._volumes)[keep], volume])

    def _average(self, traded: Collection[float], volumes: Collection[float]) -> Value:
        if len(volumes) < self._period:
            return NAN
        # fsum is exact, so the value depends neither on the order nor on the version of Python.
        volume = math.fsum(volumes)
        return math.fsum(traded) / volume if volume > 0.0 else NAN

    def _consume(self, arrays: Sequence[Array]) -> list[Array]:
        return replay(self, arrays, 1)[0]

    def open(self, arrays: Sequence[Array]) -> Value:
        """Take the last window only: what is before it has left no trace."""
        gap = leading_gap(arrays)
        price, volume = (array[gap:][-self._period :] for array in arrays)
        self._traded.extend((price * volume).tolist())
        self._volumes.extend(volume.tolist())
        return self._average(self._traded, self._volumes)


ROLLING_VWAP = IndicatorInfo(
    name="rolling_vwap",
    title="Rolling VWAP",
    group="Volume Indicators",
    description=(
        "Volume-weighted average price over the last candles. Undefined (NaN) while the window "
        "has no volume."
    ),
    origin="chorus",
    inputs=(Input("price", "hlc3", free=True), Input("volume", "volume", free=False)),
    outputs=("value",),
    parameters=(period("timeperiod", "Candles of the window", 20),),
    maker=OwnMaker(_RollingVwap, lambda p: int(p["timeperiod"])),
    output_aliases={},
    aliases=("moving_vwap",),
)
