"""Rates are counted in memory, or in Redis for all processes together."""

from __future__ import annotations

import secrets

import pytest

from api.server.guards.rates import Bucket, Rates
from engine.errors import ConfigError
from tests.api.server.guards.conftest import Clock
from tests.redis_server import redis_server


def test_what_is_too_often_is_allowed_again_later(clock: Clock) -> None:
    rates, bucket = Rates(), Bucket.of("3/minute", "user", "ann")
    standings = [rates.hit(bucket) for _ in range(4)]
    assert [s.is_allowed for s in standings] == [True, True, True, False]
    assert [s.remaining for s in standings] == [2, 1, 0, 0]
    assert {s.limit for s in standings} == {3}
    clock.now_s += standings[-1].reset_s + 60
    assert rates.test(bucket).is_allowed
    clock.now_s += 120
    assert rates.hit(bucket).remaining == 2


def test_to_ask_does_not_count(clock: Clock) -> None:
    rates, bucket = Rates(), Bucket.of("1/minute", "user", "ann")
    assert all(rates.test(bucket).is_allowed for _ in range(5))
    rates.hit(bucket)
    assert not rates.test(bucket).is_allowed
    assert rates.test(Bucket.of("1/minute", "user", "bob")).is_allowed
    assert rates.test(Bucket.of("1/minute", "name", "ann")).is_allowed


@pytest.mark.slow
def test_processes_with_one_redis_count_together_and_alone_while_it_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    now_s = [0.0]
    bucket = Bucket.of("2/hour", "user", secrets.token_hex(6))
    with redis_server(password="not-to-be-shown") as server:  # noqa: S106 - of a test
        one, other = (Rates(server.address, now=lambda: now_s[0]) for _ in range(2))
        assert one.hit(bucket).remaining == 1
        assert other.hit(bucket).remaining == 0
        assert not one.hit(bucket).is_allowed
        server.kill()
        assert one.hit(bucket).remaining == 1  # of its own
        assert "Redis is away" in caplog.text
        server.start()
        assert one.hit(bucket).remaining == 0  # not asked again for a while
        now_s[0] += 5
        assert not one.hit(bucket).is_allowed
        assert other.test(Bucket.of("2/hour", "user", secrets.token_hex(6))).is_allowed
    assert "not-to-be-shown" not in caplog.text


def test_what_is_no_address_of_a_redis_is_refused_without_showing_it() -> None:
    for address in ("nonsense", "mysql://:secret@x", "http://:secret@x"):
        with pytest.raises(ConfigError, match="redis_url: needs redis://") as refused:
            Rates(address)
        assert "secret" not in str(refused.value)
