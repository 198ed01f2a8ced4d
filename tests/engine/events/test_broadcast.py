"""Many clients of one process, with threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from engine.access import CHORUS
from engine.events import (
    Broadcaster,
    Event,
    EventError,
    EventLog,
    EventLogUnavailableError,
    EventsLostError,
    Interest,
    MemoryEventLog,
    Subscriber,
)

SOON_S = 30.0
ALL = Interest(caller=CHORUS, topics=frozenset({"*"}))


@pytest.fixture
def broadcaster(log: EventLog) -> Iterator[Broadcaster]:
    with closing(Broadcaster(log)) as started:
        yield started


def take(subscriber: Subscriber, count: int) -> list[Event]:
    taken: list[Event] = []
    while len(taken) < count:
        assert subscriber.wait(SOON_S), f"{len(taken)} of {count} events came"
        batch = subscriber.take()
        assert not batch.lost
        taken += batch.events
    return taken


def test_every_client_gets_everything_once_whenever_it_comes(
    make_log: Callable[..., EventLog], log: EventLog, broadcaster: Broadcaster
) -> None:
    count, start = 400, log.newest()

    def publish() -> None:
        for number in range(count):
            log.publish("fills", {"n": number})

    def follow(results: list[list[Any]]) -> None:
        subscriber = broadcaster.subscribe(ALL, after=start, capacity=10_000)
        results.append([event.data["n"] for event in take(subscriber, count)])

    results: list[list[Any]] = []
    publisher = threading.Thread(target=publish)
    clients = [threading.Thread(target=follow, args=(results,)) for _ in range(5)]
    for number, client in enumerate(clients):
        client.start()
        if number == 2:
            publisher.start()
    for thread in (publisher, *clients):
        thread.join()
    assert results == [list(range(count))] * 5


def test_a_client_that_names_no_event_sees_what_comes_from_now_on(
    log: EventLog, broadcaster: Broadcaster
) -> None:
    log.publish("fills", {"n": 1})
    assert log.flush(SOON_S)
    subscriber = broadcaster.subscribe(ALL)
    log.publish("fills", {"n": 2})
    [event] = take(subscriber, 1)
    assert event.data == {"n": 2}


def test_a_client_that_went_is_offered_nothing(log: EventLog, broadcaster: Broadcaster) -> None:
    gone, other = broadcaster.subscribe(ALL), broadcaster.subscribe(ALL)
    assert gone.take().events == other.take().events == []
    broadcaster.unsubscribe(gone)
    broadcaster.unsubscribe(gone)
    log.publish("fills", {})
    take(other, 1)
    assert not gone.wait(0.0)


def test_a_client_with_a_strange_id_is_refused(broadcaster: Broadcaster) -> None:
    with pytest.raises(EventError, match="is no id"):
        broadcaster.subscribe(ALL, after="newest")


class TroubledLog(MemoryEventLog):
    """Fails once in each way that a follower has to survive, when told to."""

    def __init__(self) -> None:
        super().__init__(now_ms=lambda: 1)
        self.trouble: list[Exception] = []

    def read(self, after: str | None, limit: int) -> list[Event]:
        if self.trouble and threading.current_thread().name == "chorus-events":
            raise self.trouble.pop()
        return super().read(after, limit)


@pytest.mark.parametrize(
    "trouble", [EventLogUnavailableError("event log: away"), EventsLostError("1", "2")]
)
def test_a_follower_that_lost_its_place_loses_nothing_of_its_clients(trouble: Exception) -> None:
    log = TroubledLog()
    with closing(Broadcaster(log)) as broadcaster:
        subscriber = broadcaster.subscribe(ALL)
        assert subscriber.take().events == []
        log.trouble.append(trouble)
        for number in range(3):
            log.publish("fills", {"n": number})
        assert [event.data["n"] for event in take(subscriber, 3)] == [0, 1, 2]
        assert not log.trouble
        log.publish("fills", {"n": 3})
        assert [event.data["n"] for event in take(subscriber, 1)] == [3]


def test_a_client_that_cannot_be_woken_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("event loop is closed")

    log = MemoryEventLog(now_ms=lambda: 1)
    with closing(Broadcaster(log)) as broadcaster:
        broken, sound = broadcaster.subscribe(ALL, wake=fail), broadcaster.subscribe(ALL)
        assert broken.take().events == sound.take().events == []
        for number in range(2):
            log.publish("fills", {})
            assert len(take(sound, 1)) == 1, number
    assert caplog.text.count("a client could not be woken") == 1
