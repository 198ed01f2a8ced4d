"""A stored state is gone on from only where the past confirms every step that led to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from engine.errors import ChorusError
from engine.instance import Pause, Resume
from engine.sequencing import (
    InstanceRunner,
    Past,
    Release,
    SeatState,
    SliceCommand,
    SliceEvent,
    Stored,
)
from engine.sequencing.host import HostRunner
from engine.sequencing.stored import digest_of
from engine.sequencing.timeline import Timeline, lives_of
from tests.engine.sequencing.scripted import (
    OTHER,
    STREAM,
    Recorder,
    a_batch,
    a_host,
    canceled,
    candle,
)

EVENTS = [SliceEvent(0, canceled("0")), SliceEvent(2, canceled("2"), number=1)]
OBEYED = SliceCommand("a", 2, 2, Pause())


def a_past(
    *,
    joined: int = 0,
    inherited: int = 0,
    matched: int = 2,
    through: int = 2,
    events: list[SliceEvent] = EVENTS,
    commands: tuple[SliceCommand, ...] = (OBEYED,),
) -> Past:
    return Past({"a": joined}, matched, through, {"a": events}, {"a": inherited}, list(commands))


def a_seat() -> InstanceRunner:
    """Return a runner that has taken candles 0 to 2 of 4, two events and a command."""
    runner = InstanceRunner(Recorder(decides=True), host="a", epoch=1, streams=[STREAM])
    runner.offer(a_batch(0, 3))
    assert isinstance(runner.instance, Recorder)
    for event in EVENTS:
        runner.instance.expects_event = True
        runner.release(Release(event.slice, []))
        runner.run()
        runner.release(Release(event.slice, [event]))
    runner.command(Pause())
    return runner


def state_of(runner: InstanceRunner) -> SeatState:
    state = runner.store()
    assert state is not None
    return SeatState.decode(state.encode())


def recovered(
    state: SeatState, past: Past, *, published: int = 4, instance: Recorder | None = None
) -> tuple[InstanceRunner, Stored[Recorder]]:
    runner = InstanceRunner(
        instance or Recorder(decides=True), host="a", epoch=2, streams=[STREAM], is_live=False
    )
    runner.offer(a_batch(0, published))
    stored = Stored({"a": state}, lambda name: Recorder(name, decides=True))
    runner.recover(past, stored)
    return runner, stored


def seen_by(runner: InstanceRunner) -> list[str]:
    runner.run()
    assert isinstance(runner.instance, Recorder)
    return runner.instance.seen


LIVED = ["candle 0", "0", "candle 1", "candle 2", "2", "Pause()"]


def test_a_runner_goes_on_from_where_its_state_was_stored() -> None:
    runner, stored = recovered(state_of(a_seat()), a_past())
    assert (stored.used, stored.refused) == (["a"], {})
    assert isinstance(runner.instance, Recorder)
    assert runner.instance.histories[STREAM].end_seq == 4
    assert seen_by(runner) == [*LIVED, "candle 3"]


def test_what_came_after_it_was_stored_is_lived_through() -> None:
    more = [*EVENTS, SliceEvent(3, canceled("3"), number=2)]
    told = SliceCommand("a", 3, 3, Resume())
    past = a_past(matched=3, through=3, events=more, commands=(OBEYED, told))
    runner, stored = recovered(state_of(a_seat()), past)
    assert stored.used == ["a"]
    assert seen_by(runner) == [*LIVED, "candle 3", "3", "Resume()"]


def test_decisions_the_order_manager_may_have_lost_come_with_the_state() -> None:
    seat = a_seat()
    seat.answer()
    runner, stored = recovered(state_of(seat), a_past(matched=2, through=1))
    assert stored.used == ["a"]
    runner.run()
    answer = runner.answer()
    assert answer is not None
    assert ([each.slice for each in answer.decisions], answer.commands) == ([2, 3], [])
    assert [each.slice for each in runner.repeat(1).decisions] == [2, 3]


def a_state(**changes: Any) -> SeatState:
    """Return the state of `a_seat`, with some fields changed."""
    return msgspec.structs.replace(state_of(a_seat()), **changes)


def of_one_event(**changes: Any) -> SeatState:
    return a_state(taken=1, events=digest_of(EVENTS[:1]), commands=[], **changes)


IMPOSSIBLE = SliceEvent(2, canceled("2"), matched=True, number=1)
MISFITS: dict[str, list[tuple[SeatState, Past]]] = {
    "it is of an earlier start": [
        (a_state(joined=1), a_past()),
        (a_state(), a_past(joined=1)),
        (a_state(), a_past(inherited=1)),
    ],
    "decisions before slice 2 are not kept": [(a_state(), a_past(matched=1))],
    "slice 9 is not published": [(a_state(processed=9), a_past())],
    "slice -1 is not published": [(a_state(processed=-1), a_past())],
    "its order events are not those on record": [
        (a_state(), a_past(events=EVENTS[:1])),
        (a_state(), a_past(events=[EVENTS[0], SliceEvent(2, canceled("other"), number=1)])),
        (a_state(), a_past(events=[SliceEvent(1, canceled("0")), EVENTS[1]])),
        (a_state(events=0), a_past()),
    ],
    "it has taken an event early": [(a_state(processed=1), a_past())],
    "its commands are not those on record": [
        (a_state(), a_past(commands=())),
        (a_state(), a_past(commands=(SliceCommand("a", 2, 2, Resume()),))),
        (a_state(), a_past(commands=(SliceCommand("a", 1, 1, Pause()),))),
    ],
    "an event belongs before its last candle": [
        (
            of_one_event(),
            a_past(events=[EVENTS[0], SliceEvent(1, canceled("1"), number=1)], commands=()),
        ),
        (of_one_event(), a_past(events=[EVENTS[0], IMPOSSIBLE], commands=())),
    ],
    "a command was obeyed before": [
        (a_state(commands=[]), a_past(commands=(SliceCommand("a", 1, 2, Pause()),))),
        (a_state(commands=[]), a_past(commands=(SliceCommand("a", 2, 1, Pause()),))),
    ],
}


@pytest.mark.parametrize(
    ("reason", "state", "past"),
    [(reason, *case) for reason, cases in MISFITS.items() for case in cases],
)
def test_a_state_the_past_does_not_confirm_is_ignored(
    reason: str, state: SeatState, past: Past
) -> None:
    line = Timeline((n, 0, candle(n)) for n in range(4))
    assert state.misfit(lives_of(past)["a"], line) == reason


def test_who_has_no_state_that_fits_lives_through_everything() -> None:
    runner, stored = recovered(a_state(joined=1), a_past())
    assert (stored.used, list(stored.refused)) == ([], ["a"])
    assert seen_by(runner) == [*LIVED, "candle 3"]


def test_a_state_ahead_of_everything_on_record_is_one_of_its_way() -> None:
    ahead = of_one_event(matched=0)
    past = a_past(matched=0, through=0, events=EVENTS[:1], commands=())
    runner, stored = recovered(ahead, past, published=3)
    assert stored.used == ["a"]
    answer = runner.answer()
    assert answer is not None
    assert answer.through == 2


def test_an_instance_that_refuses_its_state_is_built_anew() -> None:
    broken = Recorder(decides=True)
    broken.restore_failure = KeyError("asked")
    runner, stored = recovered(a_state(), a_past(), instance=broken)
    assert stored.refused == {"a": "KeyError: 'asked'"}
    assert runner.instance is not broken
    assert seen_by(runner) == [*LIVED, "candle 3"]


def test_a_state_of_other_candles_is_refused() -> None:
    state = a_state(state=msgspec.msgpack.encode(LIVED[2:]))
    runner, stored = recovered(state, a_past())
    assert stored.refused == {"a": "it has seen other candles"}
    assert seen_by(runner) == [*LIVED, "candle 3"]


def test_one_that_is_not_live_or_has_processed_nothing_has_no_state() -> None:
    runner = InstanceRunner(Recorder(), host="a", epoch=1, streams=[STREAM], is_live=False)
    runner.offer(a_batch(0, 2))
    assert runner.store() is None
    runner.go_live(2, [])
    assert runner.store() is None, "what lies before it took part is quickly gone through"


@pytest.mark.parametrize("data", [b"", b"\x93", b"\x91\x01", msgspec.msgpack.encode([1, 2])])
def test_a_damaged_state_is_refused(data: bytes) -> None:
    with pytest.raises(ChorusError, match=r"state of \d+ bytes is damaged"):
        SeatState.decode(data)


def test_a_state_of_another_layout_is_refused() -> None:
    with pytest.raises(ChorusError, match="has layout 9, this program reads 1"):
        SeatState.decode(a_state(version=9).encode())


# ---------------------------------------------------------------------- many in a host


def a_pool(*instances: Recorder, streams: Sequence[str] = (STREAM,)) -> HostRunner[Recorder]:
    """Return a host whose instances have yet to recover, candles 0 to 5 offered."""
    host: HostRunner[Recorder] = HostRunner("h", 2)
    for each in instances:
        host.add(each, streams, is_live=False)
    for stream in streams:
        host.offer(a_batch(0, 6, stream))
    host.mark(5)
    return host


def a_life(*names: str, **fields: Any) -> Past:
    given: dict[str, Any] = {"joined": dict.fromkeys(names, 0), "matched": 3, "through": 2}
    given |= {"events": {name: [] for name in names}, "inherited": dict.fromkeys(names, 0)}
    return Past(**{**given, "commands": [], **fields})


def test_everybody_in_a_host_goes_on_from_its_own_state() -> None:
    a, b = Recorder("a", decides=True), Recorder("b", decides=True)
    host = a_host(a, b)
    host.offer(a_batch(0, 4))
    host.run()
    host.answer()
    host.release(Release(3, [SliceEvent(3, canceled("it", "b"))]))
    host.command("b", Pause())
    states, failures = host.store(["a", "b", "gone"])
    assert not failures
    news = Recorder("a", decides=True), Recorder("b", decides=True)
    back = a_pool(*news)
    stored: Stored[Recorder] = Stored({each.instance: each for each in states}, Recorder)
    told = [SliceCommand("b", 3, 1, Pause())]
    events = {"a": [], "b": [SliceEvent(3, canceled("it", "b"))]}
    back.recover(a_life("a", "b", events=events, commands=told), stored)
    assert stored.used == ["a", "b"]
    assert news[0].histories is news[1].histories, "made once for both"
    back.run()
    answer = back.answer()
    assert answer is not None
    made = sorted((each.slice, each.decision.instance) for each in answer.decisions)
    assert made == [(n, name) for n in (3, 4, 5) for name in ("a", "b")]
    assert news[0].seen == [f"candle {n}" for n in range(6)]
    assert news[1].seen == [
        *(f"candle {n}" for n in range(4)),
        *("it", "Pause()", "candle 4", "candle 5"),
    ]


def test_one_that_cannot_be_stored_goes_on_and_so_do_the_others() -> None:
    a, b = Recorder("a"), Recorder("b")
    a.snapshot_failure = ValueError("odd")
    host = a_host(a, b)
    host.offer(a_batch(0, 2))
    host.run()
    states, failures = host.store(host.instances)
    assert [each.instance for each in states] == ["b"]
    assert failures == {"a": "ValueError: odd"}
    assert (host.instances, host.failed, host.current) == (("a", "b"), {}, None)


def test_one_built_anew_is_the_one_the_host_drives() -> None:
    host = a_host(Recorder("a"))
    host.offer(a_batch(0, 3))
    host.run()
    (state,), _ = host.store(["a"])
    broken, anew = Recorder("a"), Recorder("a")
    broken.restore_failure = ValueError("odd")
    back = a_pool(broken)
    back.recover(a_life("a"), Stored({"a": state}, lambda _: anew))
    back.run()
    assert anew.seen == [f"candle {n}" for n in range(6)]
    assert back.remove("a") is anew


def test_decisions_a_newcomer_has_dropped_are_not_counted_on() -> None:
    host = a_host(Recorder("a"))
    host.offer(a_batch(0, 6))
    host.run()
    late = Recorder("b", decides=True)
    host.add(late, [STREAM], is_live=False)
    host.offer(a_batch(0, 6))
    host.recover(a_life("b"))
    host.run()
    (state,), _ = host.store(["b"])
    assert (host.matched, state.matched) == (-1, 3)
    assert sorted(each.slice for each in state.decisions) == [3, 4, 5]


def test_several_streams_are_restored_from_the_columns_of_each() -> None:
    first, second, single = Recorder("both"), Recorder("both"), Recorder("one")
    host: HostRunner[Recorder] = HostRunner("h", 1)
    host.add(first, [STREAM, OTHER])
    host.offer(a_batch(0, 3))
    host.offer(a_batch(0, 3, OTHER))
    host.mark(2)
    host.run()
    states, _ = host.store(["both"])
    back = a_pool(second, streams=(STREAM, OTHER))
    back.add(single, [STREAM], is_live=False)
    stored: Stored[Recorder] = Stored({"both": states[0]}, Recorder)
    back.recover(a_life("both", "one"), stored)
    assert stored.used == ["both"]
    assert {name: each.end_seq for name, each in second.histories.items()} == {STREAM: 6, OTHER: 6}
    back.run()
    assert second.seen == [f"candle {n}" for n in range(6) for _ in range(2)]
