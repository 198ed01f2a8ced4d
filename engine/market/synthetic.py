"""The built-in market: seeded synthetic candles, for demos and tests without a network.

A regime-switching geometric random walk. It is made up: it looks like a market (trends, ranges,
changing volatility, volume that follows the moves, symbols that move together), but no result on
it says anything about profit.

Per candle *i* of length *dt* (in years), with regime *r* and sigma = volatility * sqrt(dt):

    shock[i] = 0.5 * common[i] + sqrt(0.75) * own[i]                both standard normal
    z[i]     = (shock[i] + memory[r] * shock[i-1]) / sqrt(1 + memory[r]^2)
    step[i]  = drift * dt + sigma * scale[r] * (z[i] + trend[r])
    close[i] = start_price * exp(reflect(step[0] + ... + step[i]))

A regime ends with probability 1/240 at each candle; the next is drawn evenly. `common` is shared
by all symbols of the same timeframe. `reflect` mirrors the path at 1/20 and 20 times the start
price, so that no length of run ends at zero or infinity. A candle opens at the last close; high
and low add wicks of half a sigma; all prices are multiples of the tick.

Every kind of draw has its own PCG64 generator, seeded by a hash of (seed, symbol, timeframe, kind).
So a longer run begins with exactly the shorter one, and another symbol changes nothing. Prices
are rounded to ticks and volumes to six decimals, which also hides the last-bit differences of
`exp` between processors.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engine.errors import ConfigError
from engine.market.columns import CandleColumns, Floats, Ints
from engine.market.plan import CandleSource
from engine.market.reports import FileReport
from engine.market.symbols import symbol_key
from engine.timeframes import floor_time, format_time, is_boundary, parse_time, timeframe_ms

if TYPE_CHECKING:
    from engine.config import SyntheticConfig, SyntheticSymbol

__all__ = ["synthetic_columns", "synthetic_sources"]

_YEAR_MS = 365 * 86_400_000
_SWITCH_PROBABILITY = 1 / 240
_COMMON_WEIGHT = 0.5
_OWN_WEIGHT = 0.75**0.5
_WICK = 0.5
_BAND = 20.0
_FEWEST_TICKS = 100
_EXACT_INTEGERS = 2.0**53
_LAST_TIME = 253_402_300_800_000  # 10000-01-01: past the calendar


class _Regime(NamedTuple):
    """Trend in sigmas per candle, factor on sigma, correlation with the last shock, volume."""

    trend: float
    scale: float
    memory: float
    volume: float


_REGIMES = (
    _Regime(trend=0.12, scale=1.0, memory=0.2, volume=1.2),  # rising
    _Regime(trend=-0.12, scale=1.0, memory=0.2, volume=1.2),  # falling
    _Regime(trend=0.0, scale=0.6, memory=-0.5, volume=0.6),  # quiet range
    _Regime(trend=0.0, scale=1.3, memory=0.0, volume=1.8),  # turbulent
)


def synthetic_sources(config: SyntheticConfig) -> tuple[list[CandleSource], list[FileReport]]:
    """Make the candles of every symbol of the configuration.

    Raises:
        ConfigError: A symbol is there twice, or a value does not fit another.
    """
    sources, reports = [], []
    seen: dict[str, str] = {}
    for symbol in config.symbols:
        key = symbol_key(symbol.symbol)
        if key in seen:
            raise ConfigError(
                f"market.synthetic: symbol {symbol.symbol!r} is there twice (as {seen[key]!r}); "
                "keep the finest timeframe, larger ones are aggregated from it"
            )
        seen[key] = symbol.symbol
        columns = synthetic_columns(
            symbol, candles=config.candles, start=config.start, seed=config.seed
        )
        origin = f"synthetic {symbol.symbol} {symbol.timeframe}"
        sources.append(CandleSource(symbol.symbol, symbol.timeframe, columns, origin))
        reports.append(
            FileReport(
                source="synthetic",
                symbol=symbol.symbol,
                timeframe=symbol.timeframe,
                rows=len(columns),
                accepted=len(columns),
                rejected={},
                examples=(),
                gaps=0,
                missing=0,
                first_open_time=int(columns.open_time[0]),
                last_open_time=int(columns.open_time[-1]),
            )
        )
    return sources, reports


def synthetic_columns(
    symbol: SyntheticSymbol, *, candles: int, start: str, seed: int
) -> CandleColumns:
    """Make the candles of one symbol; the same arguments give the same bits.

    Args:
        symbol: Instrument, timeframe and the parameters of the walk.
        candles: How many, 1 or more.
        start: ISO 8601 time of the first open, on a boundary of the timeframe.
        seed: Any integer.

    Raises:
        ConfigError: Timeframe, start, price and tick do not fit each other.
    """
    length = timeframe_ms(symbol.timeframe)
    open_time = _open_times(symbol, candles, start)
    numerator, denominator = _tick_fraction(symbol)
    draws = _Draws(symbol, seed, candles)
    regime = draws.regimes()
    sigma = symbol.annual_volatility * (length / _YEAR_MS) ** 0.5
    scale = sigma * _per_regime("scale")[regime]
    step = symbol.annual_drift * (length / _YEAR_MS) + scale * (
        draws.moves(regime) + _per_regime("trend")[regime]
    )
    tick = numerator / denominator
    path = symbol.start_price * np.exp(_reflect(np.cumsum(step)))
    close = np.maximum(np.rint(path / tick), 1.0)
    open_ = np.concatenate([[np.rint(symbol.start_price / tick)], close[:-1]])
    wick = _WICK * scale * close
    high = np.maximum(open_, close) + np.floor(wick * np.abs(draws.normal("high")))
    low = np.minimum(open_, close) - np.floor(wick * np.abs(draws.normal("low")))
    activity = _per_regime("volume")[regime] * (0.4 + 0.75 * np.abs(step) / sigma)
    volume = symbol.base_volume * activity * np.exp(0.3 * draws.normal("volume"))

    def price(ticks: Floats) -> Floats:
        # A quotient of two exact integers is the float nearest to the decimal price.
        result: Floats = np.maximum(ticks, 1.0) * numerator / denominator
        return result

    return CandleColumns(
        timeframe_ms=length,
        open_time=open_time,
        open=price(open_),
        high=price(high),
        low=price(low),
        close=price(close),
        volume=np.round(volume, 6),
        gap=np.zeros(candles, dtype=np.int64),
    )


class _Draws:
    """The random numbers of one symbol: one generator per kind, so that prefixes are stable."""

    def __init__(self, symbol: SyntheticSymbol, seed: int, candles: int) -> None:
        self._prefix = f"{seed}|{symbol.timeframe}|"
        self._symbol = symbol_key(symbol.symbol)
        self._candles = candles

    def _generator(self, kind: str, symbol: str) -> np.random.Generator:
        digest = blake2b(f"{self._prefix}{symbol}|{kind}".encode(), digest_size=16).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))

    def normal(self, kind: str) -> Floats:
        """Return standard normal numbers of the symbol, shape ``(candles,)``."""
        return self._generator(kind, self._symbol).standard_normal(self._candles)

    def regimes(self) -> Ints:
        """Return the number of the regime of each candle, shape ``(candles,)``."""
        switch = self._generator("switch", self._symbol).random(self._candles) < _SWITCH_PROBABILITY
        switch[0] = True
        choice = self._generator("regime", self._symbol).random(self._candles)
        drawn = (choice * len(_REGIMES)).astype(np.int64)
        begins = np.maximum.accumulate(np.where(switch, np.arange(self._candles), 0))
        regimes: Ints = drawn[begins]
        return regimes

    def moves(self, regime: Ints) -> Floats:
        """Return the moves in sigmas, correlated with the last one as the regime has it."""
        common = self._generator("common", "").standard_normal(self._candles)
        shock = _COMMON_WEIGHT * common + _OWN_WEIGHT * self.normal("own")
        memory = _per_regime("memory")[regime]
        before = np.concatenate([[0.0], shock[:-1]])
        moves: Floats = (shock + memory * before) / np.sqrt(1.0 + memory * memory)
        return moves


def _per_regime(name: str) -> Floats:
    return np.array([getattr(regime, name) for regime in _REGIMES], dtype=np.float64)


def _reflect(path: Floats) -> Floats:
    """Mirror a path at plus and minus log(`_BAND`)."""
    band = np.log(_BAND)
    folded: Floats = band - np.abs(np.mod(path + band, 4 * band) - 2 * band)
    return folded


def _open_times(symbol: SyntheticSymbol, candles: int, start: str) -> Ints:
    first = parse_time(start)
    if not is_boundary(first, symbol.timeframe):
        raise ConfigError(
            f"market.synthetic.start {start!r} must be on a boundary of {symbol.symbol}'s "
            f"timeframe {symbol.timeframe}; use {format_time(floor_time(first, symbol.timeframe))}"
        )
    length = timeframe_ms(symbol.timeframe)
    if not 0 <= first < _LAST_TIME - candles * length:
        raise ConfigError(
            f"market.synthetic: {candles} candles of {symbol.timeframe} from {start!r} leave the "
            "calendar (1970 to 9999); ask for fewer or another start"
        )
    return first + length * np.arange(candles, dtype=np.int64)


def _tick_fraction(symbol: SyntheticSymbol) -> tuple[float, float]:
    """Return the tick as a quotient of two integers, e.g. 25 / 100 for 0.25."""
    numerator, denominator = Decimal(repr(symbol.tick_size)).as_integer_ratio()
    ticks = symbol.start_price * denominator / numerator
    if ticks < _FEWEST_TICKS or ticks * numerator * 2 * _BAND > _EXACT_INTEGERS:
        raise ConfigError(
            f"market.synthetic: symbol {symbol.symbol!r}: start_price {symbol.start_price} must "
            f"be at least {_FEWEST_TICKS} ticks and few enough to count exactly, tick_size is "
            f"{symbol.tick_size}; set tick_size to about a ten-thousandth of the price"
        )
    return float(numerator), float(denominator)
