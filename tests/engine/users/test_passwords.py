"""Hashes are argon2id, and whatever is wrong with one, nobody gets in by it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import pytest
from argon2 import PasswordHasher

from engine.users import Hasher
from tests.engine.users.conftest import fast


def test_the_parameters_are_those_the_library_recommends() -> None:
    hasher = Hasher()
    hashed = hasher.hash("secret")
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert hasher.verify(hashed, "secret")
    assert not hasher.is_outdated(hashed)
    assert hasher.is_outdated(Hasher(fast()).hash("secret"))


def test_the_same_secret_never_has_the_same_hash(hasher: Hasher) -> None:
    assert hasher.hash("secret") != hasher.hash("secret")


def test_no_hash_is_right_for_nobody(hasher: Hasher) -> None:
    assert not hasher.verify(None, "")
    assert not hasher.verify(hasher.hash("secret"), "Secret")


@pytest.mark.parametrize("damage", ["", "x", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"])
def test_a_damaged_hash_lets_nobody_in_and_is_told(
    hasher: Hasher, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not hasher.verify(damage, "secret")
    assert "could not be checked" in caplog.text
    assert "secret" not in caplog.text


def test_no_more_than_a_few_are_computed_at_the_same_time() -> None:
    class Watching(PasswordHasher):
        lock, now, most = Lock(), 0, 0

        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - the library's
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            try:
                return super().verify(hash, password) is True
            finally:
                with self.lock:
                    self.now -= 1

    argon2 = Watching(time_cost=2, memory_cost=1_024, parallelism=1)
    hasher = Hasher(argon2, at_once=2)
    hashed = hasher.hash("secret")
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: hasher.verify(hashed, "secret"), range(40)))
    assert 1 <= argon2.most <= 2
