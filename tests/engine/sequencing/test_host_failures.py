"""Nobody harms a neighbour, and who blocks can be seen."""

from __future__ import annotations

import pytest

from engine.sequencing import PLATE_BYTES, Release, SliceEvent, read_plate
from engine.sequencing.host import HostRunner
from engine.types import Candle, Decision, OrderEvent
from tests.engine.sequencing.scripted import (
    OTHER,
    STREAM,
    Recorder,
    a_batch,
    a_host,
    canceled,
    told,
)


@pytest.mark.parametrize("error", [SystemExit("bye"), MemoryError(), ValueError("odd")])
def test_an_instance_that_raises_is_dropped_and_counts_as_answered(error: BaseException) -> None:
    a, b, c = Recorder("a", decides=True), Recorder("b", decides=True), Recorder("c")
    b.fails_at[1] = error
    host = a_host(a, b, c)
    host.offer(a_batch(0, 3))
    host.run()
    assert list(host.failed) == ["b"]
    assert type(error).__name__ in host.failed["b"]
    assert host.instances == ("a", "c")
    answer = host.answer()
    assert answer is not None
    assert answer.through == 2
    made = [(entry.slice, entry.decision.instance) for entry in answer.decisions]
    assert made == [(0, "a"), (0, "b"), (1, "a"), (2, "a")]
    host.offer(a_batch(3, 4))
    assert told(host) == (3, -1)
    assert b.seen == ["candle 0"]
    assert host.remove("b") is b


def test_a_failed_instance_no_longer_holds_the_host_back() -> None:
    a, b = Recorder("a"), Recorder("b")
    b.expects_event = True
    b.event_failure = RuntimeError("cannot")
    host = a_host(a, b)
    host.offer(a_batch(0, 3))
    assert told(host) == (-1, 0)
    host.release(Release(-1, [SliceEvent(-1, canceled("it", "b"))]))
    assert host.failed == {"b": "RuntimeError: cannot"}
    assert told(host) == (2, -1)


def test_an_event_that_comes_too_late_ends_its_instance_only() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 3))
    told(host)
    late = [SliceEvent(1, canceled("late", "a")), SliceEvent(2, canceled("fine", "b"))]
    host.release(Release(2, late))
    assert "an event of deciding slice 1 came after slice 2" in host.failed["a"]
    assert b.seen[-1] == "fine"


def test_the_last_instance_of_a_stream_takes_the_stream_with_it() -> None:
    a, c = Recorder("a"), Recorder("c")
    c.fails_at[0] = ValueError()
    host = a_host(a)
    host.add(c, [OTHER])
    host.offer(a_batch(0, 1, OTHER))
    host.run()
    assert host.streams == (STREAM,)


def test_an_interrupt_from_the_keyboard_passes() -> None:
    a = Recorder("a")
    a.fails_at[0] = KeyboardInterrupt()
    host = a_host(a)
    host.offer(a_batch(0, 1))
    with pytest.raises(KeyboardInterrupt):
        host.run()
    assert host.current is None
    assert not host.failed


def test_who_runs_can_be_seen_from_outside() -> None:
    seen: list[str | None] = []

    class Watched(Recorder):
        def on_candle(self, candle: Candle) -> Decision | None:
            seen.append(host.current)
            return None

        def on_event(self, event: OrderEvent) -> None:
            seen.append(host.current)

    host = a_host(Watched("a"), Watched("b"))
    host.offer(a_batch(0, 2))
    host.run()
    host.release(Release(1, [SliceEvent(1, canceled("it", "b"))]))
    assert seen == ["a", "a", "b", "b", "b"]
    assert host.current is None


def test_who_ran_is_written_where_it_was_asked_for() -> None:
    plate = bytearray(PLATE_BYTES)
    found: list[str | None] = []

    class Watched(Recorder):
        def on_candle(self, candle: Candle) -> Decision | None:
            found.append(read_plate(plate))
            return None

    host: HostRunner[Recorder] = HostRunner("it", 1, plate=plate)
    host.add(Watched("x" * 64), (STREAM,))
    host.offer(a_batch(0, 1))
    host.run()
    assert found == ["x" * 64]
    assert read_plate(plate) is None


def test_time_is_booked_to_the_instance_that_used_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0

    class Slow(Recorder):
        def on_candle(self, candle: Candle) -> Decision | None:
            nonlocal now
            now += 7 if self.id == "a" else 1
            return None

    monkeypatch.setattr("engine.sequencing.rounds.monotonic_ns", lambda: now)
    host = a_host(Slow("a"), Slow("b"))
    host.offer(a_batch(0, 3))
    host.run()
    assert (host.cpu_ns("a"), host.cpu_ns("b")) == (21, 3)
