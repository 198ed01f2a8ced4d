"""Where a service is."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

from engine.errors import ConfigError

__all__ = ["DEFAULT_URL", "Address", "path_of"]

DEFAULT_URL: Final = "http://127.0.0.1:8642"
_API: Final = "/api/v1"
_PORTS: Final = {"http": 80, "https": 443}


class Address(msgspec.Struct, frozen=True):
    """Where a service is.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name or an address, without brackets.
        port: TCP.
        path: What the service's own paths come after; empty, or begins with a slash.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def of(cls, url: str) -> Address:
        """Read an address.

        Raises:
            ConfigError: It is none, or holds what belongs elsewhere.

        >>> Address.of("http://LOCALHOST:8642/").url
        'http://localhost:8642'
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _unusable("needs http://HOST:PORT") from None
        if parts.username is not None or parts.password is not None:
            raise _unusable("must not hold a name or a password; a key is given otherwise")
        if parts.scheme not in _PORTS or not parts.hostname:
            raise _unusable("needs http://HOST:PORT or https://HOST")
        if parts.query or parts.fragment:
            raise _unusable("must end with the host, the port or a path")
        path = parts.path.rstrip("/").removesuffix(_API)
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path)

    @property
    def url(self) -> str:
        """Return it as people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def api(self) -> str:
        """Return what all paths of the API come after."""
        return self.url + _API

    @property
    def stream(self) -> str:
        """Return where the event stream is."""
        return f"ws{self.api.removeprefix('http')}/stream"

    @property
    def is_loopback(self) -> bool:
        """Tell whether it is this machine."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_private(self) -> bool:
        """Tell whether nobody on the way can read a key."""
        return self.scheme == "https" or self.is_loopback


def path_of(*parts: str) -> str:
    """Return a path of the API.

    Raises:
        ConfigError: A part cannot be one.

    >>> path_of("strategies", "a?b", "pause")
    '/strategies/a%3Fb/pause'
    """
    for part in parts:
        # Servers read %2F as a slash, and so as another path.
        if part in {"", ".", ".."} or "/" in part:
            raise ConfigError(f"{part!r}: cannot be the id of anything; lists show ids")
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _unusable(why: str) -> ConfigError:
    # Not the address itself: it may hold a password.
    return ConfigError(f"--url, or CHORUS_URL: {why}, e.g. {DEFAULT_URL}")
