"""TA-Lib's own functions as catalogue entries, described by TA-Lib itself.

Names, groups, defaults and help come from TA-Lib's abstract interface. It does not expose the
ranges of parameters, so they are found by asking: the lookback of a function is -1 exactly if a
parameter is refused, and bisection finds the bound to the last bit (about 0.3 ms a parameter,
once per function and process, on first use).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from indicators.bars import Array
from indicators.errors import IndicatorError
from indicators.info import IndicatorInfo, Input, Params
from indicators.kernels import NAN, HandleKernel, Kernel, leading_gap
from indicators.library import core, stream
from indicators.parameters import Parameter, squeeze

__all__ = ["MOVING_AVERAGES", "TalibMaker", "function_names", "talib_info"]

_STREAMING = "Function has a streaming API"

MOVING_AVERAGES = (
    "sma ema wma dema tema trima kama mama t3 hma disabled default zlema rma".split()  # noqa: SIM905 - fourteen names in TA-Lib's order read better on one line
)
"""Names of TA-Lib's moving-average types; the position is TA-Lib's number."""

_INTEGER_RANGE, _INTEGER_LIST = 2, 3
_HIGHEST_INTEGER = 2**31 - 1
_HIGHEST_REAL = 1.0e300

_SECOND_SERIES = {"price0": "high", "price1": "low", "periods": "volume"}
"""Defaults of free inputs other than close. high/low as `talib.abstract` has them; MAVP's periods
have no natural default: volume (clipped to MAVP's range) is only there so that one exists."""

_SHORT_OUTPUTS = {
    "real": "value",
    "integer": "value",
    "upperband": "upper",
    "middleband": "middle",
    "lowerband": "lower",
    "macdsignal": "signal",
    "macdhist": "hist",
    "aroondown": "down",
    "aroonup": "up",
    "slowk": "k",
    "slowd": "d",
    "fastk": "k",
    "fastd": "d",
    "bullpower": "bull",
    "bearpower": "bear",
    "swinghigh": "high",
    "swinglow": "low",
    "haopen": "open",
    "hahigh": "high",
    "halow": "low",
    "haclose": "close",
    "leadsine": "lead",
    "minidx": "min",
    "maxidx": "max",
    "smisignal": "signal",
    "plusvi": "plus",
    "minusvi": "minus",
}

_PEOPLE_CALL_OUTPUTS = {"histogram": "hist", "mid": "middle", "direction": "trend"}

_NOTES = {
    "vwap": "Cumulative since the first candle consumed: it never restarts (see session_vwap).",
    "vwma": "Running sums: meaningless once volume stops after it was high (see rolling_vwap).",
    "kc": "Always around the EMA of the typical price (see keltner for any price).",
    "stochrsi": "k is not smoothed; d is what charts call %K (see smooth_stochrsi).",
    "supertrend": "trend is 1 up, -1 down.",
    "donchian": "Highest high and lowest low, this candle included.",
    "maxindex": "Counts candles from the first one consumed, as all index functions.",
    "mavp": "The second source gives each candle's period; its default, volume, is arbitrary.",
    "fractal": "100 on the candle that confirms a swing, `rightbars` after it.",
}

_ALIASES = {
    "bbands": ("bb", "bollinger", "bollinger_bands"),
    "stoch": ("stochastic",),
    "donchian": ("dc",),
    "rma": ("smma", "wilder"),
    "ao": ("awesome",),
    "roc": ("rate_of_change",),
    "mom": ("momentum",),
    "sar": ("psar", "parabolic_sar"),
    "ha": ("heikin_ashi",),
}


@cache
def function_names() -> dict[str, str]:
    """Return lower-case name -> TA-Lib name of every function with streaming."""
    table = {}
    for name in core.__TA_FUNCTION_NAMES__:
        flags = core._ta_getFuncInfo(name.encode())["function_flags"]  # noqa: SLF001 - TA-Lib's public info needs a full Function, 10 times the time
        if _STREAMING in flags:
            table[name.lower()] = name
    return table


class TalibMaker:
    """Makes calculations of one TA-Lib function."""

    __slots__ = ("_batch", "_function", "_name", "_parameters", "_stream", "_width")

    def __init__(
        self, name: str, function: Any, parameters: tuple[Parameter, ...], width: int
    ) -> None:
        """Bind a function.

        Args:
            name: TA-Lib's name.
            function: Its abstract `Function`, used for lookbacks alone.
            parameters: Its parameters, in order.
            width: Number of outputs.
        """
        self._name = name
        self._function = function
        self._parameters = parameters
        self._stream = getattr(stream, name)
        self._batch = getattr(core, name)
        self._width = width

    def _arguments(self, params: Params) -> tuple[float, ...]:
        return tuple(
            MOVING_AVERAGES.index(str(params[p.name]))
            if p.choices
            else float(params[p.name])
            if isinstance(p.default, float)
            else int(params[p.name])
            for p in self._parameters
        )

    def _lookback(self, params: Params) -> int:
        names = (p.name for p in self._parameters)
        self._function.set_parameters(dict(zip(names, self._arguments(params), strict=True)))
        lookback: int = self._function.lookback
        return lookback

    def check(self, params: Params) -> None:
        """Refuse parameters TA-Lib refuses together."""
        if self._lookback(params) < 0:
            raise IndicatorError(f"TA-Lib refuses these parameters together: {dict(params)}")

    def warmup(self, params: Params) -> int:
        """Return TA-Lib's lookback + 1."""
        return self._lookback(params) + 1

    def kernel(self, params: Params) -> Kernel:
        """Return a streaming handle that is still to open."""
        return HandleKernel(self._stream, self._arguments(params), self.warmup(params), self._width)

    def batch(self, params: Params, arrays: Sequence[Array]) -> list[Array]:
        """Call the Function API; integer outputs become floats, NaN before the first value."""
        size = arrays[0].size
        gap = leading_gap(arrays)
        begin = min(size, gap + self._lookback(params))
        if begin == size:
            return [np.full(size, NAN) for _ in range(self._width)]
        result = self._batch(*arrays, *self._arguments(params))
        series = result if isinstance(result, tuple) else (result,)
        outputs = [np.asarray(array, dtype=np.float64) for array in series]  # fresh ones
        for output in outputs:
            output[:begin] = NAN
        return outputs


@cache
def talib_info(name: str) -> IndicatorInfo:
    """Return the catalogue entry of a TA-Lib function.

    Args:
        name: Lower-case name, a key of `function_names`.
    """
    upper = function_names()[name]
    function = core.Function(upper, getattr(core, upper))
    info = function.info
    parameters = _parameters(upper, function)
    raw_outputs = info["output_names"]
    outputs = tuple(_SHORT_OUTPUTS.get(output, output) for output in raw_outputs)
    aliases = {squeeze(raw): short for raw, short in zip(raw_outputs, outputs, strict=True)}
    return IndicatorInfo(
        name=name,
        title=info["display_name"],
        group=info["group"],
        description=" ".join(
            [f"{info['display_name']} (TA-Lib {upper}).", _NOTES.get(name, "")]
        ).strip(),
        origin="talib",
        inputs=_inputs(info["input_names"]),
        outputs=outputs,
        parameters=parameters,
        maker=TalibMaker(upper, function, parameters, len(outputs)),
        output_aliases={**_PEOPLE_CALL_OUTPUTS, **aliases},
        aliases=_ALIASES.get(name, ()),
        flags=tuple(flag for flag in info["function_flags"] if flag != _STREAMING),
    )


def talib_aliases() -> dict[str, str]:
    """Return other name -> name for TA-Lib's functions."""
    return {alias: name for name, aliases in _ALIASES.items() for alias in aliases}


def _inputs(names: dict[str, Any]) -> tuple[Input, ...]:
    inputs: list[Input] = []
    for role, series in names.items():
        if isinstance(series, list):
            inputs += [Input(price, price, free=False) for price in series]
        else:
            inputs.append(Input(role, _SECOND_SERIES.get(role, "close"), free=True))
    return tuple(inputs)


def _parameters(upper: str, function: Any) -> tuple[Parameter, ...]:
    count = len(function.parameters)
    raws = [core._ta_getOptInputParameterInfo(upper.encode(), i) for i in range(count)]  # noqa: SLF001 - the only place TA-Lib tells types and help
    defaults = {raw["name"]: raw["default_value"] for raw in raws}
    first = [_parameter(raw, function, defaults) for raw in raws]
    # A bound may come from a neighbour (MAVP: minperiod <= maxperiod) and not from the parameter:
    # ask again with all the others as high as they go.
    highs = {p.name: p.maximum for p in first if p.maximum is not None}
    again = [_parameter(raw, function, {**defaults, **highs}) for raw in raws]
    return tuple(
        replace(
            one,
            minimum=None if one.minimum is None else min(one.minimum, other.minimum or 0),
            maximum=None if one.maximum is None else max(one.maximum, other.maximum or 0),
        )
        for one, other in zip(first, again, strict=True)
    )


def _parameter(raw: dict[str, Any], function: Any, others: dict[str, float]) -> Parameter:
    name, default = raw["name"], raw["default_value"]

    def accepted(value: float) -> bool:
        function.set_parameters({**others, name: value})
        valid: bool = function.lookback >= 0
        return valid

    if raw["type"] == _INTEGER_LIST:
        numbers = tuple(i for i in range(len(MOVING_AVERAGES)) if accepted(i))
        choices = tuple(MOVING_AVERAGES[i] for i in numbers)
        return Parameter(
            name,
            raw["display_name"],
            MOVING_AVERAGES[default],
            choices=choices,
            numbers=numbers,
            help=raw["help"],
        )
    low: float
    high: float
    if raw["type"] == _INTEGER_RANGE:
        low = _bound(default, -_HIGHEST_INTEGER, accepted)
        high = _bound(default, _HIGHEST_INTEGER, accepted)
    else:
        low = _real_bound(default, -_HIGHEST_REAL, accepted)
        high = _real_bound(default, _HIGHEST_REAL, accepted)
    return Parameter(
        name, raw["display_name"], default, minimum=low, maximum=high, help=raw["help"]
    )


def _bound(good: int, bad: int, accepted: Callable[[int], bool]) -> int:
    """Return the last accepted integer on the way from an accepted one to a refused one."""
    if accepted(bad):
        return bad
    while abs(bad - good) > 1:
        middle = (good + bad) // 2
        if accepted(middle):
            good = middle
        else:
            bad = middle
    return good


def _real_bound(good: float, bad: float, accepted: Callable[[float], bool]) -> float:
    """As `_bound`, over floats taken in their order, so that the bound is exact."""
    return _float(_bound(_rank(good), _rank(bad), lambda rank: accepted(_float(rank))))


def _rank(value: float) -> int:
    """Return the position of a float among all floats; 0 for zero."""
    bits: int = struct.unpack("<q", struct.pack("<d", abs(value)))[0]
    return bits if value >= 0 else -bits


def _float(rank: int) -> float:
    value: float = struct.unpack("<d", struct.pack("<q", abs(rank)))[0]
    return value if rank >= 0 else -value
