"""How often something was done lately: in memory, or in Redis for all processes together."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Final, Self

import msgspec
from limits import RateLimitItem
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import RateLimiter, SlidingWindowCounterRateLimiter

from api.server.guards.configuration import rate_of
from engine.errors import ConfigError

__all__ = ["Bucket", "Rates", "Standing"]

_log = logging.getLogger(__name__)

_AWAY_S: Final = 5.0
_TIMEOUT_S: Final = 0.5


class Bucket(msgspec.Struct, frozen=True):
    """What is counted together.

    Attributes:
        rate: How often it may be.
        what: Of what, and whose.
    """

    rate: RateLimitItem
    what: tuple[str, ...]

    @classmethod
    def of(cls, rate: str, *what: str) -> Self:
        """Return a bucket of a rate like ``100/minute``."""
        return cls(rate_of(rate, what[0]), what)


class Standing(msgspec.Struct, frozen=True):
    """How somebody stands with a rate.

    Attributes:
        is_allowed: It was not too often yet.
        limit: How often it may be within the period.
        remaining: How often it may still be now.
        reset_s: Seconds until it may be more often again.
    """

    is_allowed: bool
    limit: int
    remaining: int
    reset_s: int


class Rates:
    """Counts over a sliding window. May be shared by threads; asks Redis, if there is one.

    While Redis is away each process counts for itself: the API is there for whoever comes to stop
    trading.

    Args:
        redis_url: Where it is counted; empty: in memory.
        now: Seconds, for how long Redis has been away.

    Raises:
        ConfigError: The address is none.
    """

    def __init__(self, redis_url: str = "", *, now: Callable[[], float] = time.monotonic) -> None:
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = _shared(redis_url) if redis_url else None
        self._now = now
        self._away_until = -math.inf

    def hit(self, bucket: Bucket) -> Standing:
        """Count once more, if that is not too often."""
        return self._ask(lambda limiter: limiter.hit(bucket.rate, *bucket.what), bucket)

    def test(self, bucket: Bucket) -> Standing:
        """Tell whether once more would be too often."""
        return self._ask(lambda limiter: limiter.test(bucket.rate, *bucket.what), bucket)

    def _ask(self, question: Callable[[RateLimiter], bool], bucket: Bucket) -> Standing:
        if self._shared is not None and self._now() >= self._away_until:
            try:
                return _standing(question(self._shared), self._shared, bucket)
            except StorageError as error:
                self._away_until = self._now() + _AWAY_S
                # Only its kind: the message may hold the address, and that a password.
                kind = type(error.storage_error).__name__
                _log.warning("rates are counted by each process, Redis is away: %s", kind)
        return _standing(question(self._own), self._own, bucket)


def _standing(is_allowed: bool, limiter: RateLimiter, bucket: Bucket) -> Standing:  # noqa: FBT001 - within
    stats = limiter.get_window_stats(bucket.rate, *bucket.what)
    reset_s = max(0, math.ceil(stats.reset_time - time.time()))
    return Standing(is_allowed, bucket.rate.amount, stats.remaining, reset_s)


def _shared(redis_url: str) -> RateLimiter:
    try:
        storage = storage_from_string(
            redis_url,
            wrap_exceptions=True,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )
    except (ConfigurationError, ValueError):
        raise ConfigError(
            "redis_url: needs redis://HOST:PORT, rediss://HOST:PORT or unix://FILE"
        ) from None
    return SlidingWindowCounterRateLimiter(storage)
