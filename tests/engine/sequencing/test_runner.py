"""What may reach an instance when: candles that wait, and events that come too late."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from engine.errors import StrategyError
from engine.sequencing import Answer, CandleBatch, InstanceRunner, Release, SliceEvent
from engine.sequencing.coordinator import Coordinator
from engine.trading import Registration, TradingMode
from engine.types import Candle, Decision, MarketSlice, OrderCanceled, OrderEvent
from tests.engine.sequencing.scripted import Recorder

MINUTE = 60_000
STREAM = "paper:A/B:1m"


class Script:
    """An order manager that cancels something at every step."""

    strategies = ("a",)
    lines = 0

    def register(self, registration: Registration, /) -> None:
        raise NotImplementedError

    def set_trading(self, mode: TradingMode, account: str, /) -> None:
        raise NotImplementedError

    def withdraw(self, instance: str, reason: str, /) -> list[OrderEvent]:
        del instance, reason
        return [canceled("withdrawal")]

    def match(self, market_slice: MarketSlice, /) -> list[OrderEvent]:
        return [canceled(f"match {market_slice.number}")]

    def decide(
        self, market_slice: MarketSlice, decisions: Sequence[Decision], /
    ) -> list[OrderEvent]:
        assert not decisions
        return [canceled(f"decide {market_slice.number}")]


class Quiet:
    """An order manager with nothing to tell."""

    strategies: tuple[str, ...] = ()
    lines = 0

    def register(self, registration: Registration, /) -> None:
        raise NotImplementedError

    def set_trading(self, mode: TradingMode, account: str, /) -> None:
        raise NotImplementedError

    def withdraw(self, instance: str, reason: str, /) -> list[OrderEvent]:
        raise NotImplementedError

    def match(self, market_slice: MarketSlice, /) -> list[OrderEvent]:
        del market_slice
        return []

    def decide(
        self, market_slice: MarketSlice, decisions: Sequence[Decision], /
    ) -> list[OrderEvent]:
        del market_slice, decisions
        return []


def canceled(name: str) -> OrderCanceled:
    return OrderCanceled("a", name, "A/B", "test", 0)


def candle(seq: int) -> Candle:
    return Candle(STREAM, seq, seq * MINUTE, (seq + 1) * MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0, 0)


def a_runner(count: int, *, uncovered: Sequence[str] = ()) -> InstanceRunner:
    """Return a runner with `count` candles queued, candle k in slice k."""
    runner = InstanceRunner(Recorder(), host="a", epoch=1, streams=[STREAM], uncovered=uncovered)
    numbers = list(range(count))
    times = [(number + 1) * MINUTE for number in numbers]
    runner.offer(CandleBatch(STREAM, 0, numbers, times, [candle(n) for n in numbers]))
    return runner


def test_a_candle_that_covers_its_base_is_not_waited_for() -> None:
    runner = a_runner(3)
    runner.run()
    assert (runner.through, runner.waiting) == (2, -1)


def test_a_candle_of_an_uncovered_stream_waits_like_a_late_one() -> None:
    runner = a_runner(3, uncovered=[STREAM])
    runner.run()
    assert (runner.through, runner.waiting) == (-1, 0)
    runner.release(Release(1, []))
    runner.run()
    assert (runner.through, runner.waiting) == (1, 2)


def test_another_stream_being_uncovered_changes_nothing() -> None:
    runner = a_runner(3, uncovered=["paper:A/B:5m"])
    runner.run()
    assert runner.through == 2


@pytest.mark.parametrize(
    ("number", "matched", "in_time"),
    [(1, True, False), (1, False, False), (2, True, False), (2, False, True), (3, True, True)],
)
def test_an_event_that_belongs_before_a_processed_candle_is_refused(
    number: int, matched: bool, in_time: bool
) -> None:
    runner = a_runner(3)
    runner.run()
    release = Release(number, [SliceEvent(number, canceled("it"), matched)])
    if in_time:
        runner.release(release)
        assert isinstance(runner.instance, Recorder)
        assert runner.instance.seen[-1] == "it"
        return
    origin = "matching" if matched else "deciding"
    with pytest.raises(
        StrategyError, match=f"'a': an event of {origin} slice {number} came after slice 2"
    ):
        runner.release(release)


def test_an_event_that_comes_twice_is_taken_once() -> None:
    runner = a_runner(3)
    runner.run()
    first, second = (SliceEvent(2, canceled(f"it {n}"), number=n) for n in range(2))
    for events in ([first], [first], [first, second], [second]):
        runner.release(Release(2, events))
    assert isinstance(runner.instance, Recorder)
    assert runner.instance.seen[3:] == ["it 0", "it 1"]


def test_an_event_that_was_lost_is_missed() -> None:
    runner = a_runner(3)
    with pytest.raises(StrategyError, match="'a': event 1 came where 0 is the next; one was lost"):
        runner.release(Release(0, [SliceEvent(0, canceled("it"), number=1)]))


def test_the_coordinator_tells_matching_from_deciding_and_withdrawing() -> None:
    coordinator = Coordinator(Script())
    coordinator.join("a", epoch=1, instances={"a": [STREAM]})
    slices = [MarketSlice(n, (n + 1) * MINUTE, (candle(n),)) for n in range(2)]
    coordinator.add_slices(slices)
    coordinator.advance()
    coordinator.on_answer(Answer("a", 1, 0, -1, 0, []))
    coordinator.advance()
    coordinator.leave("other", ["a"], "test")
    told = [
        (entry.slice, entry.event.order_id, entry.matched)
        for entry in coordinator.history("a")
        if isinstance(entry.event, OrderCanceled)
    ]
    assert told == [
        (0, "match 0", True),
        (0, "decide 0", False),
        (1, "match 1", True),
        (1, "withdrawal", False),
    ]


def test_events_reach_the_instance_around_the_candle_of_their_slice() -> None:
    coordinator = Coordinator(Script())
    coordinator.join("a", epoch=1, instances={"a": [STREAM]})
    coordinator.add_slices(MarketSlice(n, (n + 1) * MINUTE, (candle(n),)) for n in range(3))
    runner = a_runner(3, uncovered=[STREAM])
    for _ in range(8):
        for _host, release in coordinator.advance():
            runner.release(release)
        runner.run()
        answer = runner.answer()
        if answer is not None:
            coordinator.on_answer(answer)
    assert isinstance(runner.instance, Recorder)
    assert runner.instance.seen == [
        f"{step} {number}" for number in range(3) for step in ("match", "candle", "decide")
    ]


def test_an_instance_that_will_have_to_wait_says_so_with_its_answer() -> None:
    runner = a_runner(3)
    assert isinstance(runner.instance, Recorder)
    runner.run()
    runner.instance.expects_event = True
    answer = runner.answer()
    assert answer is not None
    assert (answer.through, answer.waiting) == (2, 3)
    assert runner.answer() is None
    held = [runner.awaits_release]
    for release in (Release(2, [SliceEvent(2, canceled("it"))]), Release(3, [])):
        runner.release(release)
        held.append(runner.awaits_release)
    assert held == [True, True, False]
    assert runner.answer() is None, "a candle of slice 3 may be under way and need not wait"


def test_the_end_of_a_wait_is_no_news() -> None:
    runner = a_runner(3)
    assert isinstance(runner.instance, Recorder)
    runner.run()
    runner.instance.expects_event = True
    assert runner.answer() is not None
    runner.instance.expects_event = False
    assert runner.answer() is None
    assert runner.awaits_release, "the order manager has not taken its word back"


def test_the_coordinator_keeps_its_word_for_a_slice_that_was_not_there_yet() -> None:
    coordinator = Coordinator(Quiet())
    coordinator.join("a", epoch=1, instances={"a": [STREAM]})
    slices = [MarketSlice(n, (n + 1) * MINUTE, (candle(n),)) for n in range(2)]
    coordinator.add_slices(slices[:1])
    coordinator.on_answer(Answer("a", 1, 0, 1, 0, []))
    assert coordinator.advance() == []
    coordinator.add_slices(slices[1:])
    assert coordinator.advance() == [("a", Release(1, [], 0, 1))]


def test_an_event_without_its_phase_is_read_as_one_of_deciding() -> None:
    encoder, decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(SliceEvent)
    entry = SliceEvent(4, canceled("it"), matched=True)
    assert decoder.decode(encoder.encode(entry)) == entry
    old = msgspec.msgpack.decode(encoder.encode(entry))[:2]
    assert decoder.decode(encoder.encode(old)) == SliceEvent(4, canceled("it"), matched=False)


def test_history_is_relived_with_each_event_around_the_candle_of_its_slice() -> None:
    runner = InstanceRunner(Recorder(), host="a", epoch=2, streams=[STREAM], is_live=False)
    times = [MINUTE, 2 * MINUTE, 3 * MINUTE]
    runner.offer(CandleBatch(STREAM, 0, [0, 1, 2], times, [candle(n) for n in range(3)]))
    events = [
        SliceEvent(0, canceled("decide 0")),
        SliceEvent(1, canceled("match 1"), matched=True),
        SliceEvent(1, canceled("decide 1")),
    ]
    runner.go_live(2, events)
    runner.run()
    assert isinstance(runner.instance, Recorder)
    assert runner.instance.seen == [
        *("warm 0", "decide 0", "match 1", "warm 1", "decide 1"),
        "candle 2",
    ]
