"""The writer keeps order and what must not be lost while its server is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from engine.events import EventLogHealth, EventLogUnavailableError
from engine.events.event import Draft
from engine.events.writer import EventWriter

SOON_S = 30.0


class Server:
    """Takes batches, or refuses them while it is away; may lose its answer to one."""

    def __init__(self) -> None:
        self.written: dict[int, Draft] = {}
        self.is_here = threading.Event()
        self.asked = threading.Event()
        self.lose_answer = False

    def send(self, first: int, drafts: Sequence[Draft]) -> None:
        self.asked.set()
        if not self.is_here.is_set():
            raise EventLogUnavailableError("event log: away")
        for number, draft in enumerate(drafts, start=first):
            assert self.written.setdefault(number, draft) is draft
        if self.lose_answer:
            self.lose_answer = False
            raise EventLogUnavailableError("event log: no answer")

    def seen(self) -> list[tuple[str, int]]:
        assert list(self.written) == list(range(1, len(self.written) + 1))
        return [(draft.topic, draft.at_ms) for draft in self.written.values()]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def writer(server: Server) -> Iterator[EventWriter]:
    writer = EventWriter(server.send, now_ms=lambda: 7, capacity=4)
    yield writer
    writer.close(0.0)


def put(writer: EventWriter, *topics: str) -> None:
    for number, topic in enumerate(topics):
        writer.put(Draft(topic=topic, at_ms=number, data={}))


def fall_asleep(writer: EventWriter, server: Server) -> None:
    """Have the writer try in vain, with one event in its hands."""
    put(writer, "status")
    assert server.asked.wait(SOON_S)


def test_events_arrive_in_order_and_once(writer: EventWriter, server: Server) -> None:
    server.is_here.set()
    server.lose_answer = True
    put(writer, "fills", "orders", "signals")
    assert writer.flush(SOON_S)
    put(writer, "alerts")
    assert writer.flush(SOON_S)
    assert server.seen() == [("fills", 0), ("orders", 1), ("signals", 2), ("alerts", 0)]


def test_what_is_out_of_date_makes_room_while_the_server_is_away(
    writer: EventWriter, server: Server
) -> None:
    fall_asleep(writer, server)
    put(writer, "metrics", "candles:x", "metrics", "candles:x", "fills", "orders", "metrics")
    health = writer.health()
    assert health.waiting == 5
    assert health.dropped == {"metrics": 2, "candles:x": 1}
    assert health.refused == {}
    assert not writer.flush(0.0)
    server.is_here.set()
    assert writer.flush(SOON_S)
    assert server.seen()[1:] == [("candles:x", 3), ("fills", 4), ("orders", 5), ("metrics", 6)]


def test_an_alert_stands_where_events_had_to_be_refused(
    writer: EventWriter, server: Server
) -> None:
    fall_asleep(writer, server)
    put(writer, "fills", "fills", "fills", "fills", "orders", "signals", "orders")
    assert writer.health().refused == {"orders": 2, "signals": 1}
    server.is_here.set()
    assert writer.flush(SOON_S)
    put(writer, "fills")
    assert writer.flush(SOON_S)
    assert [topic for topic, _ in server.seen()] == ["status", *["fills"] * 4, "alerts", "fills"]
    alert = server.written[6].data
    assert alert["kind"] == "events_lost"
    assert alert["counts"] == {"orders": 2, "signals": 1}
    assert "2 orders, 1 signals" in alert["message"]


def test_its_health_says_why_nothing_is_written_and_then_that_it_is(
    writer: EventWriter, server: Server
) -> None:
    fall_asleep(writer, server)
    server.asked.clear()
    assert server.asked.wait(SOON_S)  # again: by now it knows of the first time
    assert writer.health() == EventLogHealth(available=False, waiting=1, cause="event log: away")
    server.is_here.set()
    assert writer.flush(SOON_S)
    assert writer.health() == EventLogHealth()


def test_closing_does_not_wait_for_a_server_that_stays_away(
    writer: EventWriter, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    fall_asleep(writer, server)
    put(writer, "fills", "orders")
    writer.close(0.01)
    writer._thread.join(SOON_S)
    assert not writer._thread.is_alive()
    assert "closed with 3 events not written: event log: away" in caplog.text
    put(writer, "fills")
    assert writer.health().refused == {"fills": 1}
