"""Timeframes: fixed lengths of candles, aligned to the UTC epoch.

Every function is pure arithmetic on integer milliseconds UTC; none reads a clock. An interval is
half open, ``[open, close)``: the instant of a boundary belongs to the interval it opens. Leap
seconds do not exist in this arithmetic, as they do not in exchange timestamps.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from engine.errors import ConfigError

__all__ = [
    "TIMEFRAMES",
    "Drift",
    "closed_interval",
    "cron_expression",
    "divides",
    "drift",
    "floor_time",
    "format_time",
    "interval_key",
    "is_boundary",
    "next_close",
    "parse_time",
    "timeframe_minutes",
    "timeframe_ms",
]

_MINUTE_MS = 60_000
_HOUR_MINUTES = 60
_DAY_MINUTES = 1440
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

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


class Drift(msgspec.Struct, frozen=True):
    """How far an instant is off the nearest boundary of a timeframe.

    Attributes:
        boundary: The nearest boundary, ms UTC; half way between two it is the later one.
        offset_ms: Instant minus boundary: positive when late, negative when early.
        tolerance_ms: What was allowed either way.
    """

    boundary: int
    offset_ms: int
    tolerance_ms: int

    @property
    def within(self) -> bool:
        """Tell whether the offset is no larger than the tolerance."""
        return abs(self.offset_ms) <= self.tolerance_ms


def timeframe_minutes(timeframe: str) -> int:
    """Return the length of a timeframe in minutes.

    Raises:
        ConfigError: The timeframe is not one of `TIMEFRAMES`.

    >>> timeframe_minutes("4h")
    240
    """
    try:
        return TIMEFRAMES[timeframe]
    except (KeyError, TypeError):
        raise ConfigError(
            f"timeframe {timeframe!r} is not known; use one of {', '.join(TIMEFRAMES)}"
        ) from None


def timeframe_ms(timeframe: str) -> int:
    """Return the length of a timeframe in milliseconds.

    Raises:
        ConfigError: The timeframe is not one of `TIMEFRAMES`.

    >>> timeframe_ms("15m")
    900000
    """
    return timeframe_minutes(timeframe) * _MINUTE_MS


def divides(small: str, large: str) -> bool:
    """Tell whether candles of `small` can be put together to candles of `large`.

    A timeframe divides itself.

    >>> divides("5m", "15m"), divides("3m", "10m"), divides("15m", "5m")
    (True, False, False)
    """
    return timeframe_minutes(large) % timeframe_minutes(small) == 0


def floor_time(time: int, timeframe: str) -> int:
    """Return the boundary at or before `time`: the open time of the interval that holds it.

    >>> format_time(floor_time(parse_time("2024-01-01T10:44:59Z"), "15m"))
    '2024-01-01T10:30:00Z'
    """
    return time - time % timeframe_ms(timeframe)


def is_boundary(time: int, timeframe: str) -> bool:
    """Tell whether `time` is exactly on a boundary of the timeframe."""
    return time % timeframe_ms(timeframe) == 0


def next_close(time: int, timeframe: str) -> int:
    """Return the first boundary after `time`: when the interval that holds it closes.

    >>> format_time(next_close(parse_time("2024-01-01T10:30:00Z"), "15m"))
    '2024-01-01T10:45:00Z'
    """
    return floor_time(time, timeframe) + timeframe_ms(timeframe)


def closed_interval(time: int, timeframe: str) -> tuple[int, int]:
    """Return open and close time of the last interval that is closed at `time`.

    An interval is closed from its close time on.

    >>> [format_time(t) for t in closed_interval(parse_time("2024-01-01T10:44:59Z"), "15m")]
    ['2024-01-01T10:15:00Z', '2024-01-01T10:30:00Z']
    """
    close = floor_time(time, timeframe)
    return close - timeframe_ms(timeframe), close


def interval_key(time: int, timeframe: str) -> str:
    """Return a stable text key of the interval that holds `time`, e.g. for execution locks.

    Two instants have the same key exactly when the same interval of the timeframe holds them.

    >>> interval_key(parse_time("2024-01-01T00:29:59Z"), "15m")
    '15m:2024-01-01T00:15Z'
    """
    # Every boundary is a whole minute, so the seconds carry nothing.
    return f"{timeframe}:{format_time(floor_time(time, timeframe)).removesuffix(':00Z')}Z"


def cron_expression(timeframe: str) -> str:
    """Return the five-field cron expression (in UTC) that fires at every close.

    >>> cron_expression("1m"), cron_expression("15m"), cron_expression("4h")
    ('* * * * *', '*/15 * * * *', '0 */4 * * *')
    """
    minutes = timeframe_minutes(timeframe)
    if minutes == _DAY_MINUTES:
        return "0 0 * * *"
    if minutes >= _HOUR_MINUTES:
        hours = minutes // _HOUR_MINUTES
        return "0 * * * *" if hours == 1 else f"0 */{hours} * * *"
    return "* * * * *" if minutes == 1 else f"*/{minutes} * * * *"


def drift(time: int, timeframe: str, *, tolerance_ms: int = 1000) -> Drift:
    """Measure how far a clock or a candle is off the nearest boundary.

    Args:
        time: Instant to check, ms UTC.
        timeframe: Whose boundaries count.
        tolerance_ms: Allowed distance, early or late.

    >>> d = drift(parse_time("2024-01-01T00:14:58Z"), "15m", tolerance_ms=500)
    >>> d.offset_ms, d.within
    (-2000, False)
    """
    if tolerance_ms < 0:
        raise ConfigError(f"drift tolerance must be 0 ms or more, got {tolerance_ms}")
    length = timeframe_ms(timeframe)
    boundary = floor_time(time + length // 2, timeframe)
    return Drift(boundary=boundary, offset_ms=time - boundary, tolerance_ms=tolerance_ms)


def parse_time(text: str) -> int:
    """Read an ISO 8601 date or time as milliseconds UTC; without a zone it is UTC.

    Fractions beyond the millisecond are cut off.

    Raises:
        ConfigError: The text is not an ISO 8601 time.

    >>> parse_time("2024-01-01T01:00:00+01:00") == parse_time("2024-01-01")
    True
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MILLISECOND
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise ConfigError(
            f"time {text!r} is not ISO 8601; write it like 2024-01-01T00:00:00Z"
        ) from None


def format_time(time: int) -> str:
    """Write milliseconds UTC as ISO 8601 with `Z`; milliseconds only where there are any.

    A number outside the calendar (years 1 to 9999) is written as ``<number> ms``, so that a
    message about a broken time can still show it.

    >>> format_time(0), format_time(1_500)
    ('1970-01-01T00:00:00Z', '1970-01-01T00:00:01.500Z')
    """
    try:
        moment = _EPOCH + timedelta(milliseconds=time)
    except OverflowError:
        return f"{time} ms"
    unit = "milliseconds" if time % 1000 else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=unit) + "Z"
