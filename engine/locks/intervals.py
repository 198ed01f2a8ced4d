"""Locks on single executions: who has taken one first does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import redis

from engine.locks.errors import LockUnavailableError
from engine.redis_client import redis_client, said_of

__all__ = ["IntervalLocks"]

_HOUR_MS: Final = 3_600_000


class IntervalLocks:
    """Locks ``lock:strategy:{id}:run:{interval}`` in Redis; they go by themselves.

    They are a guard beside the lock of the leader and the primary key of what is recorded, and
    never given back: who comes later, with another owner's name, shall not get them.

    Args:
        url: Address of Redis; its password is never told.
        owner: Who takes them. One run has one owner, whichever process it is in: what was taken
            before a crash is its own after it.
        timeout_s: How long a call may take.

    Raises:
        ConfigError: The address is not usable.
    """

    def __init__(self, url: str, *, owner: str, timeout_s: float = 5.0) -> None:
        self._client = redis_client(
            url, subject="locks", connect_within_s=timeout_s, answer_within_s=timeout_s
        )
        self._owner = owner

    def take(self, wanted: Sequence[tuple[str, int]]) -> list[bool]:
        """Take locks, all in one call.

        Args:
            wanted: Strategies, and closes of their candles in milliseconds UTC.

        Returns:
            For each whether it is this owner's now.

        Raises:
            LockUnavailableError: Redis cannot be reached; those taken are this owner's next time.
        """
        pipe = self._client.pipeline(transaction=False)
        for strategy, interval_ms in wanted:
            key = f"lock:strategy:{strategy}:run:{interval_ms}"
            pipe.set(key, self._owner, nx=True, px=_HOUR_MS)
            pipe.get(key)
        try:
            answers = pipe.execute() if wanted else []
        except redis.RedisError as error:
            raise LockUnavailableError(f"locks: {said_of(self._client, error)}") from None
        mine = self._owner.encode()
        return [holder in {mine, self._owner} for holder in answers[1::2]]
