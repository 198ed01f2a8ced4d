"""The same lock, kept by a real Redis, PostgreSQL, and the operating system."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from engine.errors import ConfigError
from engine.locks import (
    AdvisoryRegistry,
    Claim,
    FileLock,
    IntervalLocks,
    LeaderKeeper,
    LeaderLock,
    LeaseLock,
    LockUnavailableError,
    RedisRegistry,
)
from tests.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.slow

LEASE_S = 30.0
SHORT_S = 1.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


def of_redis(server: RedisServer, lease_s: float = LEASE_S, **options: object) -> LeaseLock:
    registry = RedisRegistry(server.address, timeout_s=2.0)
    return LeaseLock(registry, lease_s=lease_s, **options)  # type: ignore[arg-type]  # as a LeaseLock takes


@pytest.fixture(params=["redis", "file", pytest.param("postgresql", marks=pytest.mark.slow)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], LeaderLock]:
    if request.param == "redis":
        server = request.getfixturevalue("server")
        return lambda: of_redis(server)
    if request.param == "postgresql":
        address = request.getfixturevalue("postgres")
        return lambda: LeaseLock(AdvisoryRegistry(address, timeout_s=5.0), lease_s=LEASE_S)
    return lambda: FileLock(tmp_path / "leader")


def test_one_has_it_until_it_gives_it_back(make: Callable[[], LeaderLock]) -> None:
    first, second = make(), make()
    assert first.take(Claim())
    assert first.is_held()
    assert not second.take(Claim())
    assert not second.is_held()
    first.renew()
    assert first.is_held()
    term = first.term
    first.release()
    assert not first.is_held()
    assert second.take(Claim(term))
    assert second.is_held()
    assert second.term > term
    second.release()


def test_redis_keeps_it_through_a_restart(server: RedisServer) -> None:
    first, second = of_redis(server), of_redis(server)
    assert first.take(Claim())
    server.kill()
    with pytest.raises(LockUnavailableError):
        first.renew()
    assert first.is_held()
    server.start()
    assert not second.take(Claim())
    first.renew()
    assert first.is_held()
    # The server's present life has seen a renewal: who comes next can be sure.
    first.release()
    assert second.take(Claim(first.term))
    assert second.is_held()


def test_who_takes_it_after_a_restart_waits_for_a_lease(server: RedisServer) -> None:
    first, second = of_redis(server, SHORT_S), of_redis(server, SHORT_S)
    assert first.take(Claim())
    server.kill()
    server.start()
    while not second.take(Claim(first.term, is_released=False)):
        assert not second.is_held()
    assert first.is_lost()
    assert not second.is_held()
    while not second.is_held():
        second.renew()
        assert not second.is_lost()


def test_what_redis_has_forgotten_is_not_renewed(server: RedisServer) -> None:
    import redis  # noqa: PLC0415 - for this test

    first, second = of_redis(server), of_redis(server)
    assert first.take(Claim())
    with redis.Redis.from_url(server.address) as client:
        client.delete("{lock:leader}")
        first.renew()  # nobody has taken it since: the term says so
        assert first.is_held()
        assert not second.take(Claim())
        client.flushall()
    first.renew()
    assert first.is_lost()
    assert second.take(Claim(first.term, is_released=False))
    assert second.term > first.term
    assert not second.is_held()  # not before a lease has gone by


def test_a_session_that_was_ended_is_a_lock_that_is_lost(
    request: pytest.FixtureRequest,
) -> None:
    address = request.getfixturevalue("postgres")
    locks = [LeaseLock(AdvisoryRegistry(address, timeout_s=5.0), lease_s=LEASE_S) for _ in "ab"]
    assert locks[0].take(Claim())
    with psycopg.connect(address, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'chorus-leader'"
        )
    while not locks[1].take(Claim(1, is_released=False)):
        pass
    assert not locks[1].is_held()
    locks[0].renew()
    assert locks[0].is_lost()
    locks[1].release()


def test_a_file_that_is_deleted_is_a_lock_that_is_lost(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "leader")
    assert lock.take(Claim())
    (tmp_path / "leader").unlink()
    assert FileLock(tmp_path / "leader").take(Claim(1))
    lock.renew()
    assert lock.is_lost()
    with pytest.raises(ConfigError):
        FileLock(tmp_path / "none" / "leader").take(Claim())


HOLDER = """
import os, sys, threading
from engine.locks import Claim, LeaderKeeper, LeaseLock, RedisRegistry
lock = LeaseLock(RedisRegistry(sys.argv[1], timeout_s=0.5), lease_s=1.0)
assert lock.take(Claim())
LeaderKeeper(lock, every_s=0.2, on_lost=lambda: os._exit(75)).start()
print("held", flush=True)
threading.Event().wait()
"""


def test_a_holder_that_was_stopped_ends_when_it_goes_on(server: RedisServer) -> None:
    command = [sys.executable, "-c", HOLDER, server.address]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - our own command
    try:
        assert holder.stdout is not None
        assert select.select([holder.stdout], [], [], 30.0)[0]
        assert holder.stdout.readline() == b"held\n"
        os.kill(holder.pid, signal.SIGSTOP)
        other = of_redis(server, SHORT_S)
        while not other.take(Claim(1, is_released=False)):
            pass
        os.kill(holder.pid, signal.SIGCONT)
        assert holder.wait(30.0) == 75
    finally:
        holder.kill()
        holder.communicate()


def test_a_keeper_says_once_that_a_lock_is_lost(server: RedisServer) -> None:
    lock, lost = of_redis(server, SHORT_S), threading.Event()
    assert lock.take(Claim())
    keeper = LeaderKeeper(lock, every_s=0.05, on_lost=lost.set)
    keeper.start()
    server.kill()
    assert lost.wait(30.0)
    assert lock.is_lost()
    keeper.close()


def test_locks_on_intervals_are_had_once(server: RedisServer) -> None:
    one, other = (IntervalLocks(server.address, owner=name) for name in ("run1", "run2"))
    assert one.take([("a", 1), ("b", 1)]) == [True, True]
    assert other.take([("a", 1), ("a", 2)]) == [False, True]
    assert one.take([("a", 1), ("a", 2)]) == [True, False]
    assert one.take([]) == []
    server.kill()
    with pytest.raises(LockUnavailableError):
        one.take([("a", 3)])
