"""Instances come, live again what they lived elsewhere, obey, and go."""

from __future__ import annotations

from engine.sequencing import Answer, SliceDecision, SliceEvent
from engine.types import Candle, Decision
from tests.engine.sequencing.scripted import (
    MINUTE,
    STREAM,
    Recorder,
    a_batch,
    a_host,
    canceled,
    told,
)


def test_an_instance_that_is_not_live_lives_through_history_first() -> None:
    old, new = Recorder("old"), Recorder("new")
    host = a_host(old)
    host.offer(a_batch(0, 3))
    assert told(host) == (2, -1)
    host.add(new, [STREAM], is_live=False)
    assert host.offer(a_batch(3, 5)) == (0, 3)
    host.offer(a_batch(0, 3))
    host.offer(a_batch(3, 5))
    assert told(host) == (4, -1)
    assert host.queued("new") == 5
    events = [SliceEvent(0, canceled("decide 0")), SliceEvent(1, canceled("match 1"), matched=True)]
    host.relive("new", 1, events)
    host.go_live("new", 4, events)
    assert told(host) == (4, -1)
    assert new.seen == [
        *("warm 0", "decide 0", "match 1", "warm 1", "warm 2", "warm 3"),
        "candle 4",
    ]
    assert old.seen == [f"candle {n}" for n in range(5)]


def test_an_instance_that_fails_in_its_history_is_dropped() -> None:
    class Broken(Recorder):
        def warm(self, candle: Candle) -> None:
            raise ValueError(f"no {candle.seq}")

    host = a_host()
    host.add(Broken("a"), [STREAM], is_live=False)
    host.offer(a_batch(0, 2))
    host.go_live("a", 1, [])
    assert host.failed == {"a": "ValueError: no 0"}
    assert told(host) == (1, -1)


def test_decisions_hold_what_the_sequencing_promises() -> None:
    host = a_host(Recorder("a", decides=True))
    host.offer(a_batch(0, 1))
    host.run()
    answer = host.answer()
    assert answer == Answer(
        "h", 1, 0, -1, 0, [SliceDecision(0, Decision("a", STREAM, 0, MINUTE, ()))]
    )
