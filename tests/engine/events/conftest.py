"""A log in memory and one in Redis."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from engine.events import EventLog, MemoryEventLog
from engine.events.redis_log import RedisEventLog
from tests.redis_server import RedisServer, redis_server

START_MS = 1_700_000_000_000


class Clock:
    """Shows what it is told to."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def server() -> Iterator[RedisServer]:
    """Return a server that no test kills, one for all tests of a process."""
    with redis_server() as started:
        yield started


MakeLog = Callable[..., EventLog]
"""Makes a log that keeps so many events; those of Redis have one name and know each other."""


@pytest.fixture(params=["memory", "redis"])
def make_log(request: pytest.FixtureRequest, clock: Clock) -> Iterator[MakeLog]:
    name = secrets.token_hex(6)
    with ExitStack() as opened:

        def make(*, keep_events: int = 10_000) -> EventLog:
            if request.param == "memory":
                return MemoryEventLog(now_ms=clock, keep_events=keep_events)
            address = request.getfixturevalue("server").address
            log = RedisEventLog(address, now_ms=clock, name=name, keep_events=keep_events)
            return opened.enter_context(closing(log))

        yield make


@pytest.fixture
def log(make_log: MakeLog) -> EventLog:
    return make_log()
