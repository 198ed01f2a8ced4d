"""Timeframes: fixed lengths of candles, aligned to the UTC epoch."""

from __future__ import annotations

from engine.errors import ConfigError

__all__ = ["TIMEFRAMES", "timeframe_ms"]

_MINUTE_MS = 60_000

TIMEFRAMES: dict[str, int] = {
    "1m": 1,
    "3m": 3,
    "5m": 5,
    "10m": 10,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "6h": 360,
    "8h": 480,
    "12h": 720,
    "1d": 1440,
}
"""Minutes per timeframe, shortest first."""


def timeframe_ms(timeframe: str) -> int:
    """Return the length of a timeframe in milliseconds.

    Raises:
        ConfigError: The timeframe is not one of `TIMEFRAMES`.

    >>> timeframe_ms("15m")
    900000
    """
    try:
        return TIMEFRAMES[timeframe] * _MINUTE_MS
    except (KeyError, TypeError):
        raise ConfigError(
            f"timeframe {timeframe!r} is not known; use one of {', '.join(TIMEFRAMES)}"
        ) from None
