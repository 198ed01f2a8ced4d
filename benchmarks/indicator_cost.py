"""B-INDICATOR: time of one candle, beside bare TA-Lib handles and, if installed, talipp.

All sides take the same candles in a plain loop; the loop itself is part of every figure. Chorus
takes whole candles once for a whole set, refuses values that are not finite and keeps the outputs;
the others take naked numbers, one indicator after the other. The last values of Chorus must equal
those of the handles, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.harness import Measure, Scenario, Trial
from benchmarks.results import Metric, Mode
from benchmarks.workloads import equal_strategies
from engine.errors import ChorusError
from engine.market import open_market
from engine.types import Candle
from indicators import IndicatorManager, spec
from indicators.library import stream

__all__ = ["SCENARIO"]

HISTORY = 1000
UPDATES = 50_000

Columns = tuple[str, ...]
"""Names of the prices an indicator reads, in the order of the handle's arguments."""

INDICATORS: dict[str, tuple[str, dict[str, int], Columns]] = {
    "sma": ("SMA", {"period": 20}, ("close",)),
    "ema": ("EMA", {"period": 20}, ("close",)),
    "rsi": ("RSI", {"period": 14}, ("close",)),
    "macd": ("MACD", {"fastPeriod": 12, "slowPeriod": 26, "signalPeriod": 9}, ("close",)),
    "atr": ("ATR", {"period": 14}, ("high", "low", "close")),
}
"""Own name -> TA-Lib's name, parameters in TA-Lib's order, prices."""


def _candles() -> list[Candle]:
    config = equal_strategies(1, candles=HISTORY + UPDATES)
    market = open_market(config.market, config.wanted_streams)
    return [market_slice.candles[0] for market_slice in market.slices()]


def _ns_per_update(update: Callable[..., Any], inputs: Sequence[Any]) -> float:
    began = time.perf_counter_ns()
    for value in inputs:
        update(value)
    return (time.perf_counter_ns() - began) / len(inputs)


def _ns_per_update_of(update: Callable[..., Any], inputs: Sequence[tuple[float, ...]]) -> float:
    began = time.perf_counter_ns()
    for first, second, third in inputs:
        update(first, second, third)
    return (time.perf_counter_ns() - began) / len(inputs)


def _rows(candles: Iterable[Candle], columns: Columns) -> list[tuple[float, ...]]:
    return [tuple(getattr(candle, name) for name in columns) for candle in candles]


def _prepare(names: Sequence[str]) -> Measure:
    candles = _candles()
    past, present = candles[:HISTORY], candles[HISTORY:]

    def chorus() -> tuple[float, tuple[float, ...]]:
        manager = IndicatorManager({name: spec(name, INDICATORS[name][1]) for name in names})
        manager.reopen(past)
        elapsed = _ns_per_update(manager.update, present)
        return elapsed, tuple(manager.slots)

    def measure() -> Mapping[str, float]:
        chorus_ns, ours = chorus()
        bare = [_bare(name, past, present) for name in names]
        theirs = tuple(value for _, values in bare for value in values)
        if ours != theirs:
            raise ChorusError(f"{names}: must equal TA-Lib's handles {theirs}, are {ours}")
        figures = {"Chorus": chorus_ns, "TA-Lib handles": sum(elapsed for elapsed, _ in bare)}
        if find_spec("talipp") is not None:
            figures["talipp"] = sum(_talipp_ns(name, past, present) for name in names)
        return figures

    return measure


def _bare(name: str, past: list[Candle], present: list[Candle]) -> tuple[float, tuple[float, ...]]:
    """Return the time of TA-Lib's handle, and its last outputs."""
    handle_name, parameters, columns = INDICATORS[name]
    arrays = [np.array(column) for column in zip(*_rows(past, columns), strict=True)]
    handle = getattr(stream, handle_name)(*arrays, *parameters.values())
    rows = _rows(present, columns)
    if len(columns) == 1:
        elapsed = _ns_per_update(handle.update, [row[0] for row in rows])
    else:
        elapsed = _ns_per_update_of(handle.update, rows)
    value = handle.value
    return elapsed, value if isinstance(value, tuple) else (value,)


def _talipp_ns(name: str, past: list[Candle], present: list[Candle]) -> float:
    """Return the time of talipp's indicator of the same name."""
    from talipp import indicators, ohlcv  # noqa: PLC0415 - optional

    def inputs(candles: list[Candle]) -> list[Any]:
        if name == "atr":
            return [ohlcv.OHLCV(c.open, c.high, c.low, c.close, c.volume) for c in candles]
        return [candle.close for candle in candles]

    type_name, parameters, _ = INDICATORS[name]
    indicator = getattr(indicators, type_name)(*parameters.values(), input_values=inputs(past))
    return _ns_per_update(indicator.add, inputs(present))


def _trials(mode: Mode) -> list[Trial]:
    runs = 3 if mode == "short" else 7
    sets = [*([name] for name in INDICATORS), list(INDICATORS)]
    return [
        Trial({"indicators": "+".join(names)}, partial(_prepare, names), runs) for names in sets
    ]


SCENARIO = Scenario(
    "B-INDICATOR",
    "one candle through an indicator, and through a set of them",
    dict.fromkeys(("Chorus", "TA-Lib handles", "talipp"), Metric("ns", "lower")),
    _trials,
)
