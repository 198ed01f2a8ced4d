"""Changes among processes, over a Redis that comes and goes."""

from __future__ import annotations

import logging
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Self

import pytest
import redis

from engine.changes import EVERYTHING, MAX_CHANGE_BYTES, Change
from engine.changes.redis_changes import RedisChanges
from engine.errors import ConfigError
from tests.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.slow

SOON_S = 30.0
SECRET = "correct-horse-battery"  # noqa: S105 - of a server of this test


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Return a server that no test kills, one for all tests here."""
    with redis_server() as started:
        yield started


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    """Return a server the test may kill."""
    with redis_server() as started:
        yield started


class Ear:
    """Hears changes, by any thread."""

    def __init__(self) -> None:
        self.heard: list[Change] = []
        self._changed = threading.Condition()

    def __call__(self, change: Change) -> None:
        with self._changed:
            self.heard.append(change)
            self._changed.notify_all()

    def await_(self, is_it: Callable[[Change], bool], number: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: sum(map(is_it, self.heard)) >= number, SOON_S), (
                f"heard {self.heard}"
            )

    def await_id(self, name: str) -> None:
        self.await_(lambda change: change.id == name)

    def await_everything(self, number: int = 1) -> None:
        self.await_(lambda change: change.kind == EVERYTHING, number)

    @property
    def ids(self) -> list[str]:
        return [change.id for change in self.heard if change.kind != EVERYTHING]


class Said(logging.Handler):
    """Waits until something is logged."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._is_said = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._text in record.getMessage():
            self._is_said.set()

    def await_(self) -> None:
        assert self._is_said.wait(SOON_S), self._text

    def __enter__(self) -> Self:
        logging.getLogger("engine.changes").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("engine.changes").removeHandler(self)


def connect(server: RedisServer, **settings: Any) -> RedisChanges:
    return RedisChanges(server.address, now_ms=lambda: 1, **settings)


def listening(changes: RedisChanges) -> Ear:
    """Return an ear that hears what others say from now on."""
    ear = Ear()
    changes.listen(ear)
    ear.await_everything()
    return ear


def test_what_one_process_publishes_all_hear_once(server: RedisServer) -> None:
    name = secrets.token_hex(6)
    with closing(connect(server, name=name)) as one, closing(connect(server, name=name)) as other:
        mine, theirs = listening(one), listening(other)
        one.publish("strategy", "a", 7)
        assert mine.ids == ["a"]  # in its own process without Redis
        other.publish("subscription", "b")
        mine.await_id("b")
        theirs.await_id("a")
        one.publish("account", "c")
        theirs.await_id("c")
        other.publish("setting", "d")
        mine.await_id("d")
        # Redis keeps the order of a publisher, so what was its own would have come back by now.
        assert mine.ids == ["a", "b", "c", "d"]
        assert sorted(theirs.ids) == ["a", "b", "c", "d"]
        [heard] = [change for change in theirs.heard if change.id == "a"]
        assert (heard.kind, heard.version, heard.at_ms) == ("strategy", 7, 1)
        assert heard.origin == mine.heard[0].origin != theirs.heard[0].origin


def test_what_waits_is_told_before_it_ends(server: RedisServer) -> None:
    name = secrets.token_hex(6)
    with closing(connect(server, name=name)) as other:
        ear = listening(other)
        with closing(connect(server, name=name)) as brief:
            for number in range(100):
                brief.publish("strategy", str(number))
        ear.await_id("99")
        assert ear.ids == [str(number) for number in range(100)]


def test_installations_with_databases_or_names_of_their_own_are_apart(server: RedisServer) -> None:
    name = secrets.token_hex(6)
    second = RedisChanges(server.address.replace("/0", "/1"), now_ms=lambda: 1, name=name)
    with (
        closing(connect(server, name=name)) as first,
        closing(second),
        closing(connect(server, name=secrets.token_hex(6))) as third,
    ):
        assert (first.channel, second.channel) == (f"{name}:0", f"{name}:1")
        ear = listening(first)
        second.publish("strategy", "second")
        third.publish("strategy", "third")
        second.close()
        third.close()
        with redis.Redis.from_url(server.address) as client:
            client.publish(first.channel, first._local.change("strategy", "own").text())
            client.publish(first.channel, Change(kind="x", id="x", origin="x", at_ms=1).text())
        ear.await_id("x")
        assert ear.ids == ["x"]


def test_what_is_no_change_is_left_out_and_said_once(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        closing(connect(server, name=secrets.token_hex(6))) as changes,
        redis.Redis.from_url(server.address) as client,
    ):
        ear = listening(changes)
        good = Change(kind="strategy", id="a", origin="somebody", at_ms=1)
        for text in (
            b"x" * 1_000_000,
            b"",
            b"\xff\x00",
            b"[" * MAX_CHANGE_BYTES,
            b'{"kind": "strategy"}',
            good.text(),
        ):
            client.publish(changes.channel, text)
        ear.await_id("a")
        assert ear.ids == ["a"]
        [warning] = [record for record in caplog.records if "is left out" in record.message]
        assert f"at most {MAX_CHANGE_BYTES} bytes are read, got 1000000" in warning.message


def test_after_redis_was_killed_everything_is_looked_at_and_changes_come_again(
    mortal: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        closing(connect(mortal)) as one,
        closing(connect(mortal)) as other,
        Said("not told to other processes") as is_missed,
    ):
        mine, theirs = listening(one), listening(other)
        mortal.kill()
        for number in range(3000):
            one.publish("strategy", f"away-{number}")
        assert len(mine.ids) == 3000  # told in its own process all the same
        is_missed.await_()
        mortal.start()
        theirs.await_everything(2)
        mine.await_everything(2)
        one.publish("strategy", "a")
        other.publish("strategy", "b")
        theirs.await_id("a")
        mine.await_id("b")
    text = caplog.text
    assert text.count("changes: not told to other processes") == 1
    assert text.count("changes: of other processes not heard at once") == 2
    assert text.count("changes: of other processes heard again") == 2


def test_without_redis_nobody_waits_and_it_ends(mortal: RedisServer) -> None:
    mortal.kill()
    changes = connect(mortal)
    ear = Ear()
    changes.listen(ear)
    changes.publish("strategy", "a", 1)
    assert ear.ids == ["a"]
    changes.close(SOON_S)
    assert not changes._sender._thread.is_alive()
    assert not changes._listener._thread.is_alive()


def test_a_redis_that_hangs_is_left_and_found_again(mortal: RedisServer) -> None:
    with (
        closing(connect(mortal)) as other,
        closing(connect(mortal, patience_s=0.2)) as changes,
        Said("not heard at once: Redis at") as is_missed,
    ):
        ear = listening(changes)
        process = mortal._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        changes.publish("strategy", "a")
        assert ear.ids == ["a"]
        is_missed.await_()
        process.send_signal(signal.SIGCONT)
        ear.await_everything(2)
        other.publish("strategy", "b")
        ear.await_id("b")


def test_it_ends_with_its_threads(server: RedisServer) -> None:
    changes = connect(server, name=secrets.token_hex(6))
    listening(changes)
    changes.close(SOON_S)
    assert not changes._sender._thread.is_alive()
    assert not changes._listener._thread.is_alive()
    with closing(connect(server)) as silent:
        assert silent._listener._thread.ident is None  # who only publishes hears nothing


@pytest.mark.parametrize(
    "address", [f"http://:{SECRET}@localhost", f"redis://:{SECRET}/x@localhost:6379"]
)
def test_an_address_that_is_not_usable_is_refused_without_telling_it(address: str) -> None:
    with pytest.raises(ConfigError, match="changes: the address of Redis is not usable") as caught:
        RedisChanges(address, now_ms=lambda: 1)
    assert SECRET not in f"{caught.value!r}"
    assert caught.value.__suppress_context__


def test_no_message_tells_a_password(caplog: pytest.LogCaptureFixture) -> None:
    with redis_server(password="another") as server:  # noqa: S106 - made up
        address = f"redis://:{SECRET}@127.0.0.1:{server.port}/0"
        with (
            closing(RedisChanges(address, now_ms=lambda: 1)) as changes,
            Said("not heard at once") as is_said,
        ):
            changes.listen(Ear())
            changes.publish("strategy", "a")
            is_said.await_()
    assert caplog.text.count(f"Redis at 127.0.0.1:{server.port} cannot be used") == 2
    assert SECRET not in caplog.text
