"""What a log in Redis survives."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
import redis

from engine.events import Event, EventLogError, EventLogUnavailableError, EventsLostError
from engine.events.event import Draft
from engine.events.redis_log import RedisEventLog
from tests.redis_server import RedisServer, redis_server

SOON_S = 30.0
SECRET = "correct-horse-battery"  # noqa: S105 - of a server of this test


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    """Return a server the test may kill."""
    with redis_server() as started:
        yield started


def connect(server: RedisServer, **settings: Any) -> RedisEventLog:
    return RedisEventLog(server.address, now_ms=lambda: 1, **settings)


def publish(log: RedisEventLog, *numbers: int, topic: str = "fills") -> None:
    for number in numbers:
        log.publish(topic, {"n": number})


def numbers(events: list[Event]) -> list[int]:
    return [event.data["n"] for event in events]


def read_on(log: RedisEventLog, after: str, count: int) -> list[Event]:
    """Read until that many have come, as somebody who follows does; the server may come and go."""
    events: list[Event] = []
    while len(events) < count:
        assert log.wait(after, SOON_S), f"{len(events)} of {count} events came"
        try:
            events += log.read(after, 100)
        except EventLogUnavailableError:
            continue
        after = events[-1].id
    return events


def test_what_one_process_publishes_another_reads(server: RedisServer) -> None:
    name = secrets.token_hex(6)
    with closing(connect(server, name=name)) as one, closing(connect(server, name=name)) as other:
        start = other.newest()
        publish(one, 1, 2)
        publish(other, 3)
        assert one.flush(SOON_S)
        assert other.flush(SOON_S)
        events = read_on(other, start, 3)
        assert sorted(numbers(events)) == [1, 2, 3]
        assert one.read(start, 10) == events


def test_logs_of_different_names_are_apart(server: RedisServer) -> None:
    with (
        closing(connect(server, name=secrets.token_hex(6))) as one,
        closing(connect(server, name=secrets.token_hex(6))) as other,
    ):
        publish(one, 1)
        assert one.flush(SOON_S)
        assert other.read(None, 10) == []


def test_the_log_goes_on_after_its_server_was_killed(mortal: RedisServer) -> None:
    with closing(connect(mortal)) as writer, closing(connect(mortal)) as reader:
        start = reader.newest()
        publish(writer, 0, 1)
        assert writer.flush(SOON_S)
        [first, second] = reader.read(start, 10)

        received: list[Event] = []
        follower = threading.Thread(
            target=lambda: received.extend(read_on(reader, second.id, 4)), daemon=True
        )
        follower.start()
        mortal.kill()
        publish(writer, 2, 3)
        assert not writer.flush(0.05)
        mortal.start()
        publish(writer, 4)
        assert writer.flush(SOON_S)
        publish(writer, 5)
        follower.join(SOON_S)
        assert numbers(received) == [2, 3, 4, 5]
        assert numbers(reader.read(first.id, 10)) == [1, 2, 3, 4, 5]
        assert writer.health().available


def test_a_server_that_is_away_is_named_and_does_not_stop_who_publishes(
    mortal: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(connect(mortal, capacity=3)) as log:
        newest = log.newest()
        mortal.kill()
        away = f"event log: Redis at 127.0.0.1:{mortal.port} cannot be used: .*refused"
        with pytest.raises(EventLogUnavailableError, match=away):
            log.read(newest, 1)
        with pytest.raises(EventLogUnavailableError, match=away):
            log.newest()
        assert not log.wait(newest, 0.01)
        publish(log, *range(300))
        assert not log.flush(0.0)
        mortal.start()
        assert log.flush(SOON_S)
        refused = log.health().refused["fills"]
        events = log.read(newest, 1000)
        kept = numbers([event for event in events if event.topic == "fills"])
        told = [event.data["counts"] for event in events if event.topic == "alerts"]
        assert kept == sorted(set(kept))
        assert 0 < sum(counts["fills"] for counts in told) == refused == 300 - len(kept)
        assert "a 'fills' event could not be kept" in caplog.text


def test_an_event_sent_again_after_a_lost_answer_is_there_once(server: RedisServer) -> None:
    with closing(connect(server, name=secrets.token_hex(6))) as log:
        drafts = [Draft(topic="fills", at_ms=1, data={"n": number}) for number in range(4)]
        log._send(1, drafts[:2])
        log._send(1, drafts[:2])
        log._send(2, drafts[1:])
        assert numbers(log.read(None, 10)) == [0, 1, 2, 3]


def test_a_log_that_was_wiped_out_is_not_taken_for_the_one_before(mortal: RedisServer) -> None:
    with closing(connect(mortal)) as log:
        publish(log, 0)
        assert log.flush(SOON_S)
        known = log.newest()
        with redis.Redis.from_url(mortal.address) as client:
            client.flushall()
        assert log.wait(known, SOON_S)
        with pytest.raises(EventsLostError):
            log.read(known, 10)
        publish(log, 1)
        assert log.flush(SOON_S)
        with pytest.raises(EventsLostError) as caught:
            log.read(known, 10)
        assert numbers(log.read(caught.value.oldest, 10)) == [1]


def test_a_log_that_was_never_written_to_outlives_its_server(mortal: RedisServer) -> None:
    with closing(connect(mortal)) as log:
        newest = log.newest()
        mortal.kill()
        mortal.start()
        publish(log, 0)
        assert numbers(read_on(log, newest, 1)) == [0]


def test_events_are_let_go_when_they_are_too_old(server: RedisServer) -> None:
    with closing(connect(server, name=secrets.token_hex(6), keep_ms=1)) as log:
        start = log.newest()
        publish(log, *range(2000))
        assert log.flush(SOON_S)
        kept = numbers(log.read(None, 10_000))
        assert kept == list(range(2000 - len(kept), 2000))
        assert len(kept) < 2000
        with pytest.raises(EventsLostError):
            log.read(start, 10)


def test_events_of_a_later_version_are_read(server: RedisServer) -> None:
    class LaterDraft(Draft, frozen=True, kw_only=True):
        trace: str = "x"

    with closing(connect(server, name=secrets.token_hex(6))) as log:
        later = LaterDraft(topic="fills", at_ms=1, data={})
        log._send(1, [later])
        [event] = log.read(None, 1)
        assert msgspec.structs.asdict(event).keys() == {*Event.__struct_fields__}


@pytest.mark.parametrize("fields", [{"x": "1"}, {"event": "{}", "previous": "1-1"}])
def test_an_entry_of_another_program_is_named(server: RedisServer, fields: Any) -> None:
    name = secrets.token_hex(6)
    with closing(connect(server, name=name)) as log, redis.Redis.from_url(server.address) as client:
        start = log.newest()
        client.xadd(f"{{{name}}}", fields)
        with pytest.raises(EventLogError, match="in Redis was not written by an event log"):
            log.read(start, 1)


def everything_said(error: BaseException | None) -> str:
    said = ""
    while error is not None:
        said += f"{error!r} {error} "
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return said


@pytest.mark.parametrize(
    "address",
    [f"http://:{SECRET}@localhost", f"redis://:{SECRET}/x@localhost:6379", f"redis://h:{SECRET}"],
)
def test_an_address_that_is_not_usable_is_refused_without_telling_it(address: str) -> None:
    with pytest.raises(EventLogError, match="address of Redis is not usable") as caught:
        RedisEventLog(address, now_ms=lambda: 1)
    assert SECRET not in everything_said(caught.value)


def test_no_message_tells_a_password(caplog: pytest.LogCaptureFixture) -> None:
    with redis_server(password="another") as server:  # noqa: S106 - made up
        address = f"redis://:{SECRET}@127.0.0.1:{server.port}/0"
        with closing(RedisEventLog(address, now_ms=lambda: 1)) as log:
            with pytest.raises(EventLogUnavailableError, match="cannot be used") as caught:
                log.newest()
            log.publish("fills", {})
            assert not log.flush(0.2)
            log.close(0.01)
            said = everything_said(caught.value) + repr(log) + caplog.text + str(log.health())
    assert SECRET not in said
    assert "closed with 1 events not written" in said


def test_an_error_that_quotes_the_password_is_told_without_it(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"redis://:{SECRET}@127.0.0.1:{server.port}/0"
    with closing(RedisEventLog(address, now_ms=lambda: 1)) as log:

        def fail(**_: Any) -> None:
            raise redis.ResponseError(f"unknown command HELLO, beginning with: AUTH {SECRET}")

        monkeypatch.setattr(log, "_last", fail)
        with pytest.raises(EventLogUnavailableError, match=r"AUTH \*\*\*") as caught:
            log.newest()
        assert SECRET not in everything_said(caught.value)
