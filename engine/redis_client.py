"""Clients of Redis whose calls end in time, and whose errors do not tell the password."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.errors import ConfigError

__all__ = ["redis_client", "said_of"]


def redis_client(url: str, *, subject: str, connect_within_s: float, answer_within_s: float) -> Any:
    """Return a client; it connects when it is first used, and tries everything once.

    Args:
        url: Address, ``redis://``, ``rediss://`` or ``unix://``. Its password is never told.
        subject: What it is for, for messages.
        connect_within_s: How long connecting may take.
        answer_within_s: How long an answer may take.

    Raises:
        ConfigError: The address is not usable.
    """
    try:
        return redis.Redis.from_url(
            url,
            socket_connect_timeout=connect_within_s,
            socket_timeout=answer_within_s,
            retry=Retry(NoBackoff(), 0),  # who calls knows better when to try again
        )
    except ValueError:
        # The cause may quote the address, and with it the password.
        raise ConfigError(
            f"{subject}: the address of Redis is not usable, redis://[user:password@]host[:port]/n"
        ) from None


def said_of(client: Any, error: Exception) -> str:
    """Return what to say of an error: which server, and why. Whoever raises that does not chain it.

    Args:
        client: Of `redis_client`.
        error: What it has raised. Old servers quote the password they did not understand.
    """
    target = client.connection_pool.connection_kwargs
    place = target.get("path") or f"{target.get('host', 'localhost')}:{target.get('port', 6379)}"
    cause = str(error) or type(error).__name__
    if password := target.get("password"):
        cause = cause.replace(password, "***")
    return f"Redis at {place} cannot be used: {cause}"
