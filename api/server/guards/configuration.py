"""What the guards let through."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import limits
import msgspec
from limits import RateLimitItem
from pydantic import SecretStr

from engine.errors import ConfigError

__all__ = ["LOCAL_HOSTS", "Guards", "Limits", "rate_of"]

_HOST: Final = re.compile(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")
LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def rate_of(text: str, name: str) -> RateLimitItem:
    """Return a rate, written like ``100/minute``.

    Raises:
        ConfigError: It is none.
    """
    try:
        return limits.parse(text)
    except ValueError:
        raise ConfigError(f"{name}: must be a rate like 100/minute, got {text!r}") from None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how much; the defaults are far above what people and bots do.

    Attributes:
        per_key: Requests with one key.
        per_user: Requests of one user, with whatever keys and tokens.
        per_address: Requests of nobody, from one address.
        failures_per_address: Wrong passwords from one address.
        failures_per_name: Wrong passwords for one user, from wherever; and wrong secrets for one
            key from one address.
        passwords_at_once: Passwords and keys that are hashed or checked at the same time.
        passwords_waiting: How many more may wait for that.
        body_bytes: Of one request.

    Raises:
        ConfigError: One of them is not usable.
    """

    per_key: str = "6000/minute"
    per_user: str = "12000/minute"
    per_address: str = "600/minute"
    failures_per_address: str = "20/minute"
    failures_per_name: str = "10/minute"
    passwords_at_once: int = 4
    passwords_waiting: int = 32
    body_bytes: int = 1_048_576

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, str):
                rate_of(value, name)
            elif value < 1:
                raise ConfigError(f"{name}: must be 1 or more, got {value}")


class Guards(msgspec.Struct, frozen=True, kw_only=True):
    """What the guards let through; by default only programs and pages of this machine.

    Attributes:
        hosts: Further names the server is asked for by, without a port: ``chorus.example.org``.
            Others are refused, so that no page can reach a local server by a name of its own.
        origins: Pages of other origins that may use the API: ``https://app.example.org``.
        limits: How often and how much.
        redis_url: Where requests are counted, for all processes together; empty: each counts its
            own.

    Raises:
        ConfigError: One of them is not usable.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    limits: Limits = Limits()
    redis_url: SecretStr = SecretStr("")

    def __post_init__(self) -> None:
        for host in self.hosts:
            if _HOST.fullmatch(host) is None:
                raise ConfigError(
                    f"hosts: must be names or addresses without a port, e.g. chorus.example.org "
                    f"or [fe80::1], got {host!r}"
                )
        for origin in self.origins:
            parts = urlsplit(origin)
            is_origin = parts.scheme in {"http", "https"} and parts.netloc and "*" not in origin
            if not is_origin or origin != f"{parts.scheme}://{parts.netloc}".lower():
                raise ConfigError(
                    "origins: must be what browsers send, in lower case and without a path, e.g. "
                    f"https://app.example.org, got {origin!r}"
                )
