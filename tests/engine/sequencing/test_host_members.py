"""Instances come, live again what they lived elsewhere, obey, and go."""

from __future__ import annotations

import pytest

from engine.errors import LifecycleError, StrategyError
from engine.instance import Command, Pause, Resume
from engine.sequencing import Answer, Past, Release, SliceCommand, SliceDecision, SliceEvent
from engine.sequencing.host import HostRunner
from engine.types import Candle, Decision
from tests.engine.sequencing.scripted import (
    MINUTE,
    OTHER,
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


def test_one_that_comes_later_is_not_taken_at_once() -> None:
    host = a_host(Recorder("a"))
    host.offer(a_batch(0, 2))
    with pytest.raises(StrategyError, match=r"'b' cannot take part at once, .* with is_live=False"):
        host.add(Recorder("b"), [STREAM])


def test_newcomers_that_lack_candles_do_not_take_part() -> None:
    host = a_host(Recorder("a"))
    host.offer(a_batch(0, 5))
    host.add(Recorder("b"), [STREAM], is_live=False)
    host.offer(a_batch(0, 3))
    assert host.wanted == {STREAM: 3}
    with pytest.raises(StrategyError, match=r"newcomers need candles \[3, 5\) of 'paper:A/B:1m'"):
        host.go_live("b", 3, [])


def test_the_past_is_not_given_twice() -> None:
    with pytest.raises(StrategyError, match="instance 'a' takes part already"):
        a_host(Recorder("a")).relive("a", 0, [])


A, B = "a", "b"
PAST = Past(
    joined={A: 1, B: 2},
    matched=3,
    through=3,
    events={
        A: [SliceEvent(0, canceled("a0", A)), SliceEvent(2, canceled("a2", A), number=1)],
        B: [SliceEvent(2, canceled("b2", B), matched=True)],
    },
    inherited={A: 1, B: 0},
    commands=[
        SliceCommand(A, 2, 1, Pause()),
        SliceCommand(B, 1, 0, Pause()),
        SliceCommand(A, 2, 2, Resume(), 1),
        SliceCommand(A, 4, 2, Pause(), 2),
    ],
)


def recovered(past: Past = PAST) -> tuple[HostRunner[Recorder], Recorder, Recorder]:
    """Return a host recovered with candles 0 to 5, and its instances."""
    a, b = Recorder(A, decides=True), Recorder(B, decides=True)
    host: HostRunner[Recorder] = HostRunner("h", 2)
    for each in (a, b):
        host.add(each, [STREAM], is_live=False)
    host.offer(a_batch(0, 6))
    assert host.answer() is None, "nobody takes part yet, and the order manager may think so"
    host.recover(past)
    return host, a, b


def test_each_instance_lives_through_its_own_past() -> None:
    _, a, b = recovered()
    assert a.seen == [
        *("warm 0", "a0", "candle 1", "candle 2"),
        *("Pause()", "a2", "Resume()", "candle 3", "candle 4", "Pause()"),
    ]
    assert b.seen == ["warm 0", "warm 1", "Pause()", "b2", "candle 2", "candle 3"]


def test_a_past_that_does_not_fit_the_candles_is_refused() -> None:
    told = SliceCommand(A, 1, 1, Pause())
    host, _, _ = recovered(Past({A: 0}, 3, 3, {A: []}, {A: 0}, [told]))
    assert "0 events and 1 commands have no place up to slice 3" in host.failed[A]


def test_only_what_was_not_answered_is_told_after_a_recovery() -> None:
    host, _, _ = recovered()
    host.run()
    answer = host.answer()
    assert answer is not None
    assert (answer.through, answer.commands, answer.taken) == (5, [], None)
    made = [(entry.slice, entry.decision.instance) for entry in answer.decisions]
    assert made == [(4, A), (4, B), (5, A), (5, B)]


def test_everything_that_is_not_on_record_is_repeated() -> None:
    host, _, _ = recovered()
    host.run()
    host.answer()
    host.command(B, Resume())
    answer = host.repeat(7)
    made = [(entry.slice, entry.decision.instance) for entry in answer.decisions]
    assert sorted(made) == [(n, name) for n in (3, 4, 5) for name in (A, B)]
    own = [told for told in PAST.commands if told.instance == A]
    assert [told for told in answer.commands if told.instance == A] == own
    assert [told for told in answer.commands if told.instance == B] == [
        PAST.commands[1],
        SliceCommand(B, 5, 1, Resume(), 1),
    ]
    assert (answer.through, answer.taken, answer.reign) == (5, {A: 2, B: 1}, 7)
    assert host.answer() is None
    host.release(Release(5, []))
    assert {entry.slice for entry in host.repeat(8).decisions} == {3, 4, 5}, "of an earlier reign"
    host.release(Release(5, [], 8))
    assert {entry.slice for entry in host.repeat(9).decisions} == {5}


def test_a_decision_is_repeated_only_once_it_is_answered_for() -> None:
    host, a, b = recovered()
    host.run()
    host.answer()
    b.expects_event = True
    host.offer(a_batch(6, 8))
    host.run()
    answer = host.repeat(1)
    assert (answer.through, answer.waiting) == (5, 6)
    assert a.seen[-1] == "candle 7"
    assert max(entry.slice for entry in answer.decisions) == 5
    host.release(Release(7, [], 1))
    host.run()
    final = host.answer()
    assert final is not None
    made = sorted((entry.slice, entry.decision.instance) for entry in final.decisions)
    assert made == [(6, A), (6, B), (7, A), (7, B)]


def test_a_command_is_on_record_with_the_next_answer() -> None:
    a, b = Recorder("a"), Recorder("b")
    host = a_host(a, b)
    host.offer(a_batch(0, 2))
    assert told(host) == (1, -1)
    host.release(Release(1, [SliceEvent(1, canceled("it", "b"))]))
    host.run()
    host.command("b", Pause())
    answer = host.answer()
    assert answer == Answer("h", 1, 1, -1, 0, [], [SliceCommand("b", 1, 1, Pause())])
    assert host.answer() is None
    assert (a.seen[-1], b.seen[-2:]) == ("candle 1", ["it", "Pause()"])


def test_a_refused_command_changes_nothing() -> None:
    class Stubborn(Recorder):
        def on_command(self, command: Command) -> None:
            raise LifecycleError("no")

    host = a_host(Stubborn("a"))
    with pytest.raises(LifecycleError, match="no"):
        host.command("a", Pause())
    assert host.answer() is None
    assert not host.failed


def test_an_instance_that_breaks_when_told_to_obey_is_dropped() -> None:
    class Broken(Recorder):
        def on_command(self, command: Command) -> None:
            raise MemoryError

    host = a_host(Broken("a"), Recorder("b"))
    with pytest.raises(StrategyError, match="instance 'a': failed when told to obey: MemoryError"):
        host.command("a", Pause())
    assert host.instances == ("b",)


def test_only_one_that_takes_part_can_be_told_anything() -> None:
    host = a_host(Recorder("a"))
    host.add(Recorder("b"), [STREAM], is_live=False)
    with pytest.raises(StrategyError, match="'b': does not take part yet"):
        host.command("b", Pause())


def test_everything_is_told_again_under_a_new_epoch() -> None:
    a, b = Recorder(A, decides=True), Recorder(B, decides=True)
    host = a_host(a)
    host.offer(a_batch(0, 4))
    assert told(host) == (3, -1)
    host.add(b, [STREAM], is_live=False)
    host.offer(a_batch(0, 4))
    host.recover(Past({B: 0}, 1, 1, {B: []}, {B: 0}, []))
    host.renew(2, 0)
    host.run()
    answer = host.answer()
    assert answer is not None
    assert (answer.epoch, answer.through, answer.taken) == (2, 3, {A: 0, B: 0})
    made = sorted((entry.slice, entry.decision.instance) for entry in answer.decisions)
    assert made == sorted([(n, A) for n in range(4)] + [(n, B) for n in (1, 2, 3)])
    early = Release(3, [SliceEvent(3, canceled("twice", A))], 0, 1)
    host.release(early)
    assert a.seen[-1] == "candle 3", "it is sent again under the new epoch"
    host.release(Release(3, early.events, 0, 2))
    assert a.seen[-1] == "twice"


def test_a_newcomer_does_not_tell_the_others_how_far_the_order_manager_is() -> None:
    a, b = Recorder(A), Recorder(B)
    a.expects_event = True
    host = a_host(a)
    host.offer(a_batch(0, 3))
    assert told(host) == (-1, 0)
    host.add(b, [STREAM], is_live=False)
    host.offer(a_batch(0, 3))
    host.recover(Past({B: 0}, 2, 2, {B: []}, {B: 0}, []))
    host.renew(2, 0)
    assert told(host) == (-1, 0)
    assert a.seen == [], "its events for slice 0 are still under way"


def test_one_that_left_is_not_spoken_for() -> None:
    a, b = Recorder(A, decides=True), Recorder(B, decides=True)
    host = a_host(a, b)
    host.offer(a_batch(0, 2))
    host.run()
    host.answer()
    host.command(A, Pause())
    assert host.remove(A) is a
    answer = host.repeat(0)
    assert {entry.decision.instance for entry in answer.decisions} == {B}
    assert (answer.commands, answer.taken) == ([], {B: 0})


def test_events_of_an_earlier_stay_are_not_given_to_one_that_comes_back() -> None:
    host, back = a_host(Recorder(A)), Recorder(B)
    host.add(back, [STREAM], is_live=False)
    host.release(Release(0, [SliceEvent(0, canceled("early", B))]))
    assert back.seen == []


def test_newcomers_of_several_streams_live_through_them_merged() -> None:
    both, one = Recorder("both"), Recorder("one")
    host = a_host(one)
    host.offer(a_batch(0, 3))
    host.add(both, [STREAM, OTHER], is_live=False)
    host.offer(a_batch(0, 3))
    host.offer(a_batch(0, 3, OTHER))
    host.go_live("both", 2, [SliceEvent(0, canceled("it", "both"))])
    host.mark(1)
    host.run()
    assert both.seen == ["warm 0", "warm 0", "it", "warm 1", "warm 1"]
    host.mark(2)
    host.run()
    assert both.seen[-2:] == ["candle 2", "candle 2"]


def test_decisions_hold_what_the_sequencing_promises() -> None:
    host = a_host(Recorder("a", decides=True))
    host.offer(a_batch(0, 1))
    host.run()
    answer = host.answer()
    assert answer == Answer(
        "h", 1, 0, -1, 0, [SliceDecision(0, Decision("a", STREAM, 0, MINUTE, ()))]
    )
