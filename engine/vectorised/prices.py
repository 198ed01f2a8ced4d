"""At which price a market order fills that was decided at the candle before."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from engine.config import ExecutionConfig
from engine.errors import ConfigError
from engine.market.columns import CandleColumns, Floats
from engine.money import Instrument, plain
from engine.vectorised.units import (
    SAFE,
    Units,
    decimals_of,
    fitting,
    require_digits,
    units_of,
)

__all__ = ["FillPrices", "fill_prices"]

_BPS = Decimal(10_000)
_SURE = 1e13
_TIE = 0.49


@dataclass(frozen=True, eq=False)
class FillPrices:
    """Prices in units of 10^-decimals, quote currency, one per candle, shape ``(rows,)``.

    Attributes:
        decimals: See `engine.vectorised.units`.
        buy: What a buyer pays at each candle for a signal of the one before, slippage included.
        sell: What a seller gets.
    """

    decimals: int
    buy: Units
    sell: Units


def fill_prices(
    candles: CandleColumns, instrument: Instrument, execution: ExecutionConfig
) -> FillPrices:
    """Return the prices the paper gateway fills at, see `engine.trading.paper`.

    An order that becomes active inside a candle fills at its close, any other at the open.

    Raises:
        ConfigError: A price is not above zero once rounded, or has too many digits.
        MoneyError: A price cannot be expressed in ticks.
    """
    decimals = decimals_of(instrument.tick_size)
    tick = units_of(instrument.tick_size, decimals)
    units = _in_ticks(_unrounded(candles, execution.latency_ms), instrument, decimals, tick)
    buy = sell = units
    if execution.slippage_bps and units.size:
        slip = execution.slippage_bps / _BPS
        buy = -_floor(-units, 1 + slip, tick)  # a ceiling
        sell = _floor(units, 1 - slip, tick)
    if units.size and int(sell.min()) <= 0:
        raise ConfigError(
            f"instrument {instrument.symbol!r}: candle {int(sell.argmin())} has a price that is "
            f"not above 0 in steps of {plain(instrument.tick_size)}; set a finer tick_size"
        )
    return FillPrices(decimals, buy, sell)


def _unrounded(candles: CandleColumns, latency_ms: int) -> Floats:
    if not latency_ms:
        return candles.open
    inside = candles.open_time[1:] < candles.close_time[:-1] + latency_ms
    prices = candles.open.copy()
    prices[1:][inside] = candles.close[1:][inside]
    return prices


def _in_ticks(prices: Floats, instrument: Instrument, decimals: int, tick: int) -> Units:
    """Return prices in units, each rounded to the nearest tick as `Instrument.price` does.

    The product below is off by less than a hundredth of a tick as long as it is below 1e13, so
    its rounding is right unless it is that near to a tie; the few others go one by one.
    """
    ticks = prices * 10.0**decimals
    if tick != 1:
        ticks /= tick
    nearest = np.rint(ticks)
    # In place: fresh memory costs more than the arithmetic on it.
    off = np.abs(np.subtract(ticks, nearest, out=ticks), out=ticks)
    largest = float(nearest.max(initial=0.0))
    if largest < _SURE and float(off.max(initial=0.0)) < _TIE:
        return _times(nearest.astype(np.int64), tick)
    sure = (nearest < _SURE) & (off < _TIE)
    units = _times(np.where(sure, nearest, 0.0).astype(np.int64), tick)
    unsure = np.flatnonzero(~sure)
    others = [units_of(instrument.price(price), decimals) for price in prices[unsure].tolist()]
    units = fitting(units, max(others))
    units[unsure] = others
    return units


def _times(ticks: Units, tick: int) -> Units:
    if tick == 1:
        return ticks
    return fitting(ticks, int(ticks.max(initial=0)) * tick) * tick


def _floor(units: Units, factor: Decimal, tick: int) -> Units:
    """Return units x factor, rounded down to a tick."""
    largest = int(np.abs(units).max())
    require_digits("execution.slippage_bps", largest * int(factor.scaleb(decimals_of(factor))))
    numerator, denominator = factor.as_integer_ratio()
    exact = fitting(units, largest * numerator)
    floored = exact * numerator // (denominator * tick) * tick
    fits = floored.dtype == object and int(np.abs(floored).max()) < SAFE
    return floored.astype(np.int64) if fits else floored
