"""Instances that wait for nothing take whole batches at once."""

from __future__ import annotations

from engine.sequencing import CandleBatch, Release, SliceEvent
from tests.engine.sequencing.scripted import (
    OTHER,
    STREAM,
    Free,
    a_batch,
    canceled,
    quiet,
    told,
)


def test_a_quiet_instance_that_decides_waits_from_the_next_slice_on() -> None:
    a, b = Free("a", decides_at=2), Free("b")
    host = quiet(a, b)
    host.offer(a_batch(1, 5))
    host.run()
    answer = host.answer()
    assert answer is not None
    assert (answer.through, answer.waiting) == (2, 3)
    assert [entry.slice for entry in answer.decisions] == [2]
    assert (a.seen[-1], b.seen[-1]) == ("candle 2", "candle 4")
    host.release(Release(2, [SliceEvent(2, canceled("it", "a"))]))
    assert told(host) == (4, -1)
    assert a.seen == ["candle 0", "candle 1", "candle 2", "it", "candle 3", "candle 4"]


def test_the_other_candle_of_the_slice_does_not_wait_for_the_decision() -> None:
    a = Free("a", decides_at=1)
    host = quiet(a)
    batch = a_batch(1, 4)
    same_slice = CandleBatch(STREAM, 0, [1, 1, 2], batch.times, batch.candles)
    host.offer(same_slice)
    assert told(host) == (1, 2)
    assert a.seen[-1] == "candle 2"


def test_a_decision_with_the_newest_candle_is_announced() -> None:
    a = Free("a", decides_at=3)
    host = quiet(a)
    host.offer(a_batch(1, 4))
    assert told(host) == (3, 4)
    assert host.awaits_release
    host.offer(a_batch(4, 5))
    assert told(host) is None
    assert host.awaits_release
    host.release(Release(4, [SliceEvent(3, canceled("it"))]))
    assert told(host) == (4, -1)


def test_an_interrupted_host_has_lost_no_candle_of_quiet_instances() -> None:
    a, b, c = Free("a"), Free("b"), Free("c")
    host = quiet(a, b)
    host.add(c, [OTHER])
    host.offer(a_batch(0, 2, OTHER))
    host.mark(1)
    host.run()
    host.offer(a_batch(1, 3))
    host.offer(a_batch(2, 3, OTHER))
    host.mark(2)
    assert host.run(may_continue=lambda: False)
    assert sorted(len(instance.seen) for instance in (a, b, c)) == [1, 1, 3], "only one has run"
    assert host.run(may_continue=lambda: False)
    assert not host.run(may_continue=lambda: False), "the last one is done"
    assert told(host) == (2, -1)
    assert [len(instance.seen) for instance in (a, b, c)] == [3, 3, 3]


def test_an_event_reaches_a_quiet_instance_before_the_candles_it_was_offered() -> None:
    a = Free("a")
    host = quiet(a)
    host.offer(a_batch(1, 3))
    host.release(Release(0, [SliceEvent(0, canceled("withdrawn"))]))
    assert told(host) == (2, -1)
    assert a.seen == ["candle 0", "withdrawn", "candle 1", "candle 2"]


def test_a_quiet_instance_that_raises_harms_no_other() -> None:
    a, b, c = Free("a"), Free("b"), Free("c")
    b.fails_at[2] = MemoryError()
    host = quiet(a, b, c)
    host.offer(a_batch(1, 4))
    assert told(host) == (3, -1)
    assert list(host.failed) == ["b"]
    assert (a.seen, b.seen) == (c.seen, ["candle 0", "candle 1"])


def test_a_quiet_instance_takes_what_it_was_offered_along() -> None:
    a = Free("a")
    host = quiet(a)
    host.offer(a_batch(1, 3))
    host.offer(a_batch(3, 5))
    assert host.queued("a") == 4
    assert told(host) == (4, -1)
    assert a.seen[-1] == "candle 4"
