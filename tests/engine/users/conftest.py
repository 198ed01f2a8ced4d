"""Users on both databases, with a clock that is set by hand and hashes that take no time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from argon2 import PasswordHasher

from engine.access import CHORUS
from engine.store import Store
from engine.users import Hasher, Users, UserView

SECRET = bytes(range(32))
START_MS = 1_700_000_000_123
PASSWORD = "correct horse battery"  # noqa: S105 - of nobody


class Clock:
    """Milliseconds UTC, as a test says."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


def fast(time_cost: int = 1) -> PasswordHasher:
    return PasswordHasher(time_cost=time_cost, memory_cost=8, parallelism=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hasher() -> Hasher:
    return Hasher(fast())


@pytest.fixture
def users(store: Store, clock: Clock, hasher: Hasher) -> Users:
    return Users(store, clock, SECRET, hasher=hasher)


@pytest.fixture
def a_user(users: Users) -> Callable[..., UserView]:
    def make(name: str = "ann", role: str = "trader", password: str | None = PASSWORD) -> UserView:
        return users.create(name, role, CHORUS, password=password)

    return make
