"""Volume-weighted average prices that TA-Lib's cumulative VWAP does not give."""

from __future__ import annotations

from collections.abc import Sequence

from indicators.bars import Array
from indicators.info import IndicatorInfo, Input, Params
from indicators.kernels import NAN, Value, replay
from indicators.own.parts import OwnMaker
from indicators.talib_functions import talib_info

__all__ = ["SESSION_VWAP", "rolling_vwap"]

_DAY_MS = 86_400_000


class _SessionVwap:
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

    def skip(self) -> None:
        """Leave the sums as they are."""

    def fill(self, arrays: Sequence[Array]) -> list[Array]:
        return replay(self, arrays, 1)


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


def rolling_vwap() -> IndicatorInfo:
    """Return the VWAP over the last candles: TA-Lib's VWMA, reading the typical price."""
    vwma = talib_info("vwma")
    return IndicatorInfo(
        name="rolling_vwap",
        title="Rolling VWAP",
        group="Volume Indicators",
        description=(
            "Volume-weighted average price over the last candles: TA-Lib's VWMA reading hlc3. "
            "Undefined (NaN) while the window has no volume."
        ),
        origin="chorus",
        inputs=(Input("price", "hlc3", free=True), Input("volume", "volume", free=False)),
        outputs=("value",),
        parameters=vwma.parameters,
        maker=vwma.maker,
        output_aliases={},
        aliases=("moving_vwap",),
        flags=vwma.flags,
    )
