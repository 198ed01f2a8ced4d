"""What every event log does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from engine.events import (
    MAX_EVENT_BYTES,
    TOPICS,
    Event,
    EventError,
    EventLog,
    EventLogHealth,
    EventsLostError,
)

SOON_S = 30.0
EARLIER = "000000000000001-0000000000"
LATER = "999999999999999-0000000000"


def publish(log: EventLog, count: int, topic: str = "fills", start: int = 0) -> None:
    for number in range(start, start + count):
        log.publish(topic, {"n": number})
    assert log.flush(SOON_S)


def numbers(events: list[Event]) -> list[int]:
    return [event.data["n"] for event in events]


def test_an_event_is_read_as_it_was_published(log: EventLog, clock: Any) -> None:
    start = log.newest()
    clock.ms += 5
    log.publish("orders", {"id": "o1", "at": [1, None, 0.1]}, strategy_id="s", owner_id="u")
    assert log.flush(SOON_S)
    [event] = log.read(start, 10)
    assert (event.topic, event.strategy_id, event.owner_id) == ("orders", "s", "u")
    assert event.at_ms == clock.ms
    assert event.data == {"id": "o1", "at": [1, None, 0.1]}
    assert event.id == log.newest() > start


def test_events_about_nothing_and_for_everybody_say_so(log: EventLog) -> None:
    publish(log, 1)
    [event] = log.read(None, 10)
    assert (event.strategy_id, event.owner_id) == ("", "")


@pytest.mark.parametrize("topic", [*TOPICS, "candles:paper:BTC/USDT:1m"])
def test_every_topic_is_kept(log: EventLog, topic: str) -> None:
    publish(log, 1, topic)
    assert [event.topic for event in log.read(None, 10)] == [topic]


def test_ids_sort_as_text_in_the_order_of_publishing(log: EventLog, clock: Any) -> None:
    publish(log, 300)
    clock.ms += 1
    publish(log, 20, start=300)
    clock.ms -= 1000  # a clock may be set back
    publish(log, 20, start=320)
    events = log.read(None, 1000)
    assert numbers(events) == list(range(340))
    ids = [event.id for event in events]
    assert ids == sorted(set(ids))


def test_reading_goes_on_after_any_event(log: EventLog) -> None:
    start = log.newest()
    publish(log, 40)
    for first, event in enumerate(log.read(start, 100)):
        assert numbers(log.read(event.id, 100)) == list(range(first + 1, 40))
        assert numbers(log.read(event.id, 3)) == list(range(first + 1, min(first + 4, 40)))


def test_nothing_comes_after_the_newest_until_something_is_published(log: EventLog) -> None:
    for number in range(3):
        newest = log.newest()
        assert log.read(newest, 10) == []
        publish(log, 1, start=number)
        assert numbers(log.read(newest, 10)) == [number]


def test_waiting_ends_when_something_is_published(log: EventLog) -> None:
    newest = log.newest()
    assert not log.wait(newest, 0.0)
    assert not log.wait(newest, 0.01)
    results: list[bool] = []
    waiter = threading.Thread(target=lambda: results.append(log.wait(newest, SOON_S)))
    waiter.start()
    publish(log, 1)
    waiter.join()
    assert results == [True]
    assert log.wait(newest, 0.0)
    assert not log.wait(log.newest(), 0.0)


def test_waiting_ends_at_once_where_reading_would_say_that_something_is_lost(log: EventLog) -> None:
    publish(log, 1)
    assert log.wait(EARLIER, SOON_S)
    assert log.wait(LATER, SOON_S)


@pytest.mark.parametrize("stranger", [EARLIER, LATER])
@pytest.mark.parametrize("count", [0, 3])
def test_an_id_that_is_none_of_the_log_is_lost(log: EventLog, stranger: str, count: int) -> None:
    log.newest()
    publish(log, count)
    with pytest.raises(EventsLostError, match=f"those after {log.newest()[:8]}") as caught:
        log.read(stranger, 10)
    assert numbers(log.read(caught.value.oldest, 10)) == list(range(count))


def test_what_is_no_longer_kept_is_reported_and_the_rest_is_complete(
    make_log: Callable[..., EventLog],
) -> None:
    log = make_log(keep_events=100)
    start = log.newest()
    publish(log, 50)
    known = log.read(start, 50)[-1].id
    for batch in range(1, 30):
        publish(log, 50, start=50 * batch)
    with pytest.raises(EventsLostError) as caught:
        log.read(known, 10)
    kept = numbers(log.read(None, 10_000))
    assert 100 <= len(kept) <= 500
    assert kept == list(range(1500 - len(kept), 1500))
    assert numbers(log.read(caught.value.oldest, 10_000)) == kept


@pytest.mark.parametrize("text", ["", "x", "1-1", f"{LATER}0", f"{LATER}\n", "1700000000000-0"])
def test_what_is_no_id_is_refused(log: EventLog, text: str) -> None:
    with pytest.raises(EventError, match="is no id of an event"):
        log.read(text, 1)
    with pytest.raises(EventError, match="is no id of an event"):
        log.wait(text, 0.0)


@pytest.mark.parametrize("topic", ["", "*", "candles", "candles:", "fill"])
def test_an_unknown_topic_is_refused(log: EventLog, topic: str) -> None:
    with pytest.raises(EventError, match=r"is not known; it is one of signals, .*candles:<stream>"):
        log.publish(topic, {})


def test_data_that_are_no_json_are_refused(log: EventLog) -> None:
    with pytest.raises(EventError, match="event of 'fills': data have to be writable as JSON"):
        log.publish("fills", {"a": object()})
    circle: dict[str, Any] = {}
    circle["circle"] = circle
    with pytest.raises(EventError, match="writable as JSON"):
        log.publish("fills", circle)


def test_data_that_are_too_large_are_refused(log: EventLog) -> None:
    with pytest.raises(EventError, match="may have 262,144 bytes as JSON, not 262,156"):
        log.publish("logs", {"text": "x" * (MAX_EVENT_BYTES + 1)})


def test_what_was_published_does_not_change_with_the_publishers_data(log: EventLog) -> None:
    data = {"items": [1]}
    log.publish("status", data)
    data["items"].append(2)
    assert log.flush(SOON_S)
    assert log.read(None, 1)[0].data == {"items": [1]}


def test_many_threads_may_publish_and_each_keeps_its_order(log: EventLog) -> None:
    def run(name: str) -> None:
        for number in range(200):
            log.publish("signals", {"n": number}, strategy_id=name)

    threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.flush(SOON_S)
    events = log.read(None, 10_000)
    assert len({event.id for event in events}) == len(events) == 800
    for name in "abcd":
        assert numbers([e for e in events if e.strategy_id == name]) == list(range(200))


def test_a_log_that_works_says_so(log: EventLog) -> None:
    publish(log, 3)
    assert log.health() == EventLogHealth()


def test_it_may_be_closed_twice(log: EventLog) -> None:
    log.close()
    log.close()
