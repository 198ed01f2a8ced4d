"""Replay speed: how long to wait before a candle may be shown. The caller does the waiting."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Literal

from engine.errors import ConfigError

__all__ = ["Pacer"]


class Pacer:
    """Maps market time to waiting time.

    The first slice asked about is shown at once and ties market time to the clock; from there
    on market time runs `speed` times as fast as the clock. A caller that is late is told to wait
    0 s and so catches up; nothing is skipped.

    Args:
        speed: ``max``, or how many times real time (60 plays an hour in a minute).
        clock: Monotonic clock in seconds, e.g. `time.monotonic`; injected for tests.
        longest_wait_s: A longer wait (a hole in the data, a weekend) is cut to this, and pacing
            goes on from there; None waits however long it takes.

    Raises:
        ConfigError: The speed is not ``max`` or a positive finite number.
    """

    def __init__(
        self,
        speed: Literal["max"] | float,
        clock: Callable[[], float],
        *,
        longest_wait_s: float | None = None,
    ) -> None:
        if speed != "max" and not (
            isinstance(speed, int | float) and isfinite(speed) and speed > 0
        ):
            raise ConfigError(
                f"market.speed must be 'max' or a positive number (times real time), got {speed!r}"
            )
        self._seconds_per_ms = 0.0 if speed == "max" else 1 / (1000 * speed)
        self._clock = clock
        self._longest = longest_wait_s
        self._origin: tuple[int, float] | None = None

    def wait_s(self, time: int) -> float:
        """Return how many seconds to wait before the slice of that time is shown; 0 or more.

        Args:
            time: `MarketSlice.time`, ms UTC.
        """
        if not self._seconds_per_ms:
            return 0.0
        now = self._clock()
        if self._origin is None:
            self._origin = (time, now)
        first, begun = self._origin
        # From the origin, not from the epoch: epoch milliseconds would cost the float's precision.
        wait = (time - first) * self._seconds_per_ms - (now - begun)
        if self._longest is not None and wait > self._longest:
            self._origin = (time, now + self._longest)
            wait = self._longest
        return max(0.0, wait)

    def restart(self) -> None:
        """Tie market time to the clock anew at the next slice, e.g. after a pause."""
        self._origin = None
