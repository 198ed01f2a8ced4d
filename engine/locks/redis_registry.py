"""A lock kept by Redis (6.2 or later)."""

from __future__ import annotations

from typing import Any, Final

import redis

from engine.locks.errors import LockUnavailableError
from engine.locks.lease import Grant
from engine.locks.lock import Claim
from engine.redis_client import redis_client, said_of

__all__ = ["RedisRegistry"]

# KEYS: the lock, and what is remembered of it: its newest term, and which life of the server wrote
# that last. After a restart, a failover or the loss of data somebody may hold a lock that Redis
# does not know of any more, or has let expire too early.
_SERVER: Final = """
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
"""

_TAKE: Final = (
    _SERVER
    + """
local term = tonumber(redis.call('HGET', KEYS[2], 'term') or '0')
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] then return {term, 0} end
if held then return {0, 0} end
local floor = tonumber(ARGV[3])
local before = redis.call('HGET', KEYS[2], 'server')
local is_sure = (term == 0 and floor == 0) or (term >= floor and before == server)
term = math.max(term, floor) + 1
redis.call('HSET', KEYS[2], 'term', string.format('%.0f', term), 'server', server)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {term, is_sure and 1 or 0}
"""
)

# One that has vanished is had again only if nobody has taken it since: that would have raised the
# term. Where the term has vanished, too, nobody can know.
_RENEW: Final = (
    _SERVER
    + """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[2], 'term') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[2], 'server', server)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
)

_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


class RedisRegistry:
    """As `LeaseRegistry`. One database of Redis serves one store.

    Args:
        url: Address, ``redis://``, ``rediss://`` or ``unix://``. Its password is never told.
        timeout_s: How long a call may take.
        name: Of the lock.

    Raises:
        ConfigError: The address is not usable.
    """

    def __init__(self, url: str, *, timeout_s: float, name: str = "lock:leader") -> None:
        self._client = redis_client(
            url, subject="lock", connect_within_s=timeout_s, answer_within_s=timeout_s
        )
        # The braces keep both keys on one node of a Redis cluster.
        self._keys = [f"{{{name}}}", f"{{{name}}}:term"]
        self._take = self._client.register_script(_TAKE)
        self._renew = self._client.register_script(_RENEW)
        self._release = self._client.register_script(_RELEASE)

    def take(self, token: str, lease_s: float, last: Claim) -> Grant | None:
        """Give the lock to whoever has this token, if it is free."""
        term, is_sure = self._call(self._take, token, _ms(lease_s), last.term)
        return Grant(int(term), bool(is_sure)) if term else None

    def renew(self, token: str, term: int, lease_s: float) -> bool:
        """Let the lease begin again."""
        return bool(self._call(self._renew, token, _ms(lease_s), term))

    def release(self, token: str) -> None:
        """Free the lock if it is this holder's."""
        self._call(self._release, token)

    def _call(self, script: Any, *arguments: object) -> Any:
        try:
            return script(keys=self._keys, args=arguments)
        except redis.RedisError as error:
            raise LockUnavailableError(f"lock: {said_of(self._client, error)}") from None


def _ms(lease_s: float) -> int:
    return int(lease_s * 1000)
