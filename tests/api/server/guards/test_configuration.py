"""What the guards let through is checked before anything is served."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from api.server import Guards, Limits
from api.server.guards import address_of
from engine.errors import ConfigError


@pytest.mark.parametrize(
    "host", ["", "*", "*.example.org", "http://x", "x:80", "x/y", "a b@c", "[::1]:80"]
)
def test_hosts_are_names_without_a_port(host: str) -> None:
    with pytest.raises(ConfigError, match="hosts: must be names or addresses without a port"):
        Guards(hosts=frozenset({host}))


@pytest.mark.parametrize(
    "origin", ["", "*", "null", "x.org", "https://x.org/", "https://X.org", "ftp://x", "https://*"]
)
def test_origins_are_what_browsers_send(origin: str) -> None:
    with pytest.raises(ConfigError, match="origins: must be what browsers send"):
        Guards(origins=frozenset({origin}))


@pytest.mark.parametrize("rate", ["", "many", "5", "5/fortnight", "-1/minute"])
def test_rates_are_rates(rate: str) -> None:
    with pytest.raises(ConfigError, match="per_key: must be a rate like 100/minute"):
        Limits(per_key=rate)
    with pytest.raises(ConfigError, match="body_bytes: must be 1 or more, got 0"):
        Limits(body_bytes=0)


def test_the_password_of_redis_is_not_shown() -> None:
    guards = Guards(redis_url=SecretStr("redis://:secret@localhost"))
    assert "secret@" not in repr(guards)
    assert Guards(hosts=frozenset({"[fe80::1]", "x.org"}), origins=frozenset({"http://x:80"}))


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("10.0.0.7", 1), "10.0.0.7"),
        (("::ffff:10.0.0.7", 1), "10.0.0.7"),
        (("2001:db8:0:1:aaaa::1", 1), "2001:db8:0:1::/64"),
        (("2001:db8:0:1:bbbb::2", 1), "2001:db8:0:1::/64"),
        (("testclient", 1), "testclient"),
        (None, "local"),
    ],
)
def test_whoever_has_many_addresses_of_one_network_is_one(client: object, address: str) -> None:
    assert address_of({"client": client}) == address
