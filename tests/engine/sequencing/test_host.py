"""A host of many instances: who gets which candle, and what is told of it."""

from __future__ import annotations

import pytest

from engine.errors import StrategyError
from engine.sequencing import CandleBatch, Release, SliceEvent
from engine.sequencing.host import HostRunner
from engine.types import OrderEvent
from tests.engine.sequencing.scripted import (
    MINUTE,
    OTHER,
    STREAM,
    Recorder,
    a_batch,
    a_host,
    canceled,
    candle,
    told,
)


def test_all_instances_take_the_same_candle_objects() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    assert host.instances == ("a", "b")
    assert host.streams == (STREAM,)
    assert host.offer(a_batch(0, 3)) is None
    assert told(host) == (2, -1)
    assert a.seen == b.seen == ["candle 0", "candle 1", "candle 2"]
    assert told(host) is None


def test_a_candle_goes_to_those_who_listen_only() -> None:
    a, c = Recorder("a"), Recorder("c")
    host = a_host(a)
    host.add(c, [OTHER])
    assert host.streams == (STREAM, OTHER)
    host.offer(a_batch(0, 2, OTHER))
    host.run()
    assert (a.seen, c.seen) == ([], ["candle 0", "candle 1"])


def test_an_instance_is_not_taken_twice() -> None:
    host = a_host(Recorder("a"))
    with pytest.raises(StrategyError, match=r"host 'h': instance 'a' is here already; remove it"):
        host.add(Recorder("a"), [STREAM])


def test_an_instance_that_is_not_here_is_named() -> None:
    with pytest.raises(StrategyError, match=r"host 'h': needs an instance that is here, got 'x'"):
        a_host(Recorder("a")).remove("x")


def test_a_gap_is_found_once_and_nothing_is_queued() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    assert host.offer(a_batch(2, 4)) == (0, 2)
    assert told(host) is None
    assert host.offer(a_batch(0, 2)) is None
    assert host.offer(a_batch(1, 4)) is None
    assert host.offer(a_batch(0, 4)) is None
    assert host.offer(CandleBatch(STREAM, 0, [], [], [])) is None
    assert told(host) == (3, -1)
    assert a.seen == b.seen == [f"candle {n}" for n in range(4)]


def test_a_hole_in_a_message_is_refused() -> None:
    batch = CandleBatch(STREAM, 0, [0, 2], [MINUTE, 3 * MINUTE], [candle(0), candle(2)])
    with pytest.raises(StrategyError, match="candle 2 follows 0 in one message"):
        a_host(Recorder()).offer(batch)


def test_candles_nobody_listens_to_are_ignored() -> None:
    assert a_host(Recorder()).offer(a_batch(7, 9, OTHER)) is None


def test_several_streams_are_answered_for_as_far_as_the_mark_goes() -> None:
    a, c = Recorder("a"), Recorder("c")
    host = a_host(a)
    host.add(c, [OTHER])
    host.offer(a_batch(0, 5))
    assert told(host) is None, "older candles of the other stream may be under way"
    host.offer(a_batch(0, 3, OTHER))
    host.mark(2)
    assert told(host) == (2, -1)
    host.mark(4)
    assert told(host) == (4, -1)


def test_an_instance_of_two_streams_gets_them_merged_in_slice_order() -> None:
    host: HostRunner[Recorder] = HostRunner("h", 1)
    both = Recorder("both")
    host.add(both, [STREAM, OTHER])
    host.offer(a_batch(0, 3))
    host.offer(a_batch(0, 2, OTHER))
    assert told(host) is None
    host.mark(1)
    assert told(host) == (1, -1)
    assert both.seen == ["candle 0", "candle 0", "candle 1", "candle 1"]
    host.mark(2)
    assert told(host) == (2, -1)
    assert both.seen[-1] == "candle 2"


def test_one_that_waits_does_not_hold_the_others_up() -> None:
    a, b = Recorder("a"), Recorder("b")
    a.expects_event = True
    host = a_host(a, b)
    host.offer(a_batch(0, 3))
    assert told(host) == (-1, 0)
    assert (a.seen, len(b.seen)) == ([], 3)
    assert not host.awaits_release, "b can take more candles"
    host.release(Release(1, []))
    assert told(host) == (1, 2)
    assert a.seen == ["candle 0", "candle 1"]
    host.release(Release(2, []))
    assert told(host) == (2, 3), "a will wait for the next one, too"


def test_the_smallest_slice_somebody_waits_for_is_told() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 1))
    assert told(host) == (0, -1)
    b.expects_event = True
    host.offer(a_batch(1, 2))
    assert told(host) == (0, 1)
    a.expects_event = True
    host.offer(a_batch(2, 3))
    assert told(host) is None, "a waits for 2, b for 1 still"
    host.release(Release(1, []))
    assert told(host) == (1, 2)


def test_decisions_are_told_in_slice_order_once_everybody_has_come_so_far() -> None:
    a, b = Recorder("a", decides=True), Recorder("b", decides=True)
    host = a_host(a, b)
    host.offer(a_batch(0, 1))
    host.run()
    b.expects_event = True
    host.offer(a_batch(1, 3))
    host.run()
    answer = host.answer()
    assert answer is not None
    names = [(entry.slice, entry.decision.instance) for entry in answer.decisions]
    assert (answer.through, answer.waiting) == (0, 1)
    assert names == [(0, "a"), (0, "b")]
    host.release(Release(2, []))
    host.run()
    answer = host.answer()
    assert answer is not None
    names = [(entry.slice, entry.decision.instance) for entry in answer.decisions]
    assert names == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]


def test_events_go_to_their_instance_and_to_nobody_else() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 1))
    told(host)
    mixed = [canceled("1", "b"), canceled("2", "a"), canceled("3", "b"), canceled("4", "moved")]
    numbers = [0, 0, 1, 0]
    events = [SliceEvent(0, *each) for each in zip(mixed, [False] * 4, numbers, strict=True)]
    host.release(Release(0, events))
    host.release(Release(0, events[1:]))
    assert (a.seen[1:], b.seen[1:]) == (["2"], ["1", "3"])
    assert not host.failed


def test_an_event_can_end_a_wait_before_its_slice_is_matched() -> None:
    class Waits(Recorder):
        def on_event(self, event: OrderEvent) -> None:
            super().on_event(event)
            self.expects_event = False

    a = Waits("a")
    a.expects_event = True
    host = a_host(a)
    host.offer(a_batch(0, 2))
    assert told(host) == (-1, 0)
    host.release(Release(-1, [SliceEvent(-1, canceled("it"))]))
    assert told(host) == (1, -1)
    assert a.seen == ["it", "candle 0", "candle 1"]


def test_an_instance_that_will_have_to_wait_is_announced_with_the_answer() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 3))
    a.expects_event = True
    host.release(Release(2, []))
    host.run()
    assert a.seen[-1:] == ["candle 2"]
    assert told(host) == (2, 3)
    assert not host.awaits_release, "b need not wait"
    assert told(host) is None
    host.release(Release(3, []))
    assert told(host) is None, "a candle of slice 3 may be under way and need not wait"
    host.offer(a_batch(3, 4))
    assert told(host) == (3, 4)


def test_candles_are_left_alone_only_if_all_wait() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 1))
    a.expects_event = b.expects_event = True
    host.release(Release(0, []))
    assert told(host) == (0, 1)
    assert host.awaits_release
    host.offer(a_batch(1, 2))
    host.run()
    assert host.awaits_release, "blocked now, on the slice announced"
    host.release(Release(1, []))
    assert not host.awaits_release


def test_one_that_is_not_live_does_not_keep_the_host_looking_at_candles() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a)
    host.add(b, [STREAM], is_live=False)
    host.add(Recorder("c"), [STREAM], is_live=False)
    host.remove("c")
    host.offer(a_batch(0, 1))
    a.expects_event = True
    assert told(host) == (-1, 0)
    assert host.awaits_release
    host.go_live("b", 0, [])
    assert told(host) == (-1, 0)
    assert b.seen == ["candle 0"]
    assert not host.awaits_release


def test_a_mark_before_the_slice_announced_is_not_left_alone() -> None:
    both = Recorder("both")
    host: HostRunner[Recorder] = HostRunner("h", 1)
    single = Recorder("single")
    host.add(single, [STREAM])
    host.add(both, [STREAM, OTHER])
    host.offer(a_batch(0, 3, OTHER))
    host.offer(a_batch(0, 2))
    host.mark(1)
    assert told(host) == (1, -1)
    single.expects_event = both.expects_event = True
    host.release(Release(1, [SliceEvent(1, canceled("it", name)) for name in ("single", "both")]))
    assert told(host) == (1, 2)
    assert host.awaits_release
    host.release(Release(2, []))
    host.offer(a_batch(3, 5))
    assert host.offer(a_batch(2, 5)) is None
    assert told(host) == (1, 3)
    assert not host.awaits_release, "the order manager waits for slice 2, the mark brings it"
    host.mark(4)
    assert told(host) == (2, 3)
    assert host.awaits_release


def test_the_end_of_a_wait_is_no_news() -> None:
    a = Recorder("a")
    host = a_host(a)
    host.offer(a_batch(0, 1))
    a.expects_event = True
    host.release(Release(0, []))
    assert told(host) == (0, 1)
    a.expects_event = False
    host.release(Release(0, [SliceEvent(0, canceled("it"))]))
    assert told(host) is None


def test_a_host_can_be_interrupted_between_instances() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 3))
    assert host.run(may_continue=lambda: False)
    assert (len(a.seen), len(b.seen)) == (3, 0)
    assert host.answer() is None, "b has not got anywhere"
    assert not host.run(may_continue=lambda: False)
    assert told(host) == (2, -1)


def test_a_long_queue_is_interrupted_in_the_middle() -> None:
    a = Recorder("a")
    host = a_host(a)
    host.offer(a_batch(0, 2000))
    assert host.run(may_continue=lambda: False)
    assert host.queued("a") == 1999
    assert told(host) == (1999, -1)


def test_latency_is_reported_where_nothing_newer_is_waiting() -> None:
    a = Recorder("a")
    host = a_host(a)
    host.offer(a_batch(0, 2, published_ns=5))
    host.run()
    answer = host.answer()
    assert answer is not None
    assert answer.published_ns == 5
    a.expects_event = True
    host.offer(a_batch(2, 3, published_ns=6))
    host.run()
    answer = host.answer()
    assert answer is not None
    assert (answer.waiting, answer.published_ns) == (2, 0)
