"""The log in memory stays within its bounds."""

from __future__ import annotations

import pytest

from engine.events import EventsLostError, MemoryEventLog


def test_it_keeps_no_more_bytes_than_it_may_but_always_the_newest() -> None:
    log = MemoryEventLog(now_ms=lambda: 1, keep_bytes=10_000)
    start = log.newest()
    for number in range(5000):
        log.publish("logs", {"n": number, "text": "x" * 1700})
    assert [event.data["n"] for event in log.read(None, 100)] == list(range(4996, 5000))
    assert len(log._events) == len(log._sizes) < 2000
    with pytest.raises(EventsLostError):
        log.read(start, 1)
    log.publish("logs", {"text": "x" * 20_000})
    assert len(log.read(None, 100)) == 1
