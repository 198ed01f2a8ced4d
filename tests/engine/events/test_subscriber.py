"""A subscriber: everything once, in order, and every loss is told, whatever happens when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.access import CHORUS, Caller
from engine.events import (
    Event,
    EventError,
    EventLogUnavailableError,
    EventsLostError,
    Interest,
    MemoryEventLog,
    SlowSubscriberError,
    Subscriber,
    is_expendable,
)
from tests.examples import examples

KINDS = [
    ("metrics", "a", "ann"), ("metrics", "b", "ann"), ("metrics", "c", "bob"),
    ("candles:x", "", ""), ("fills", "a", "ann"), ("orders", "b", "ann"),
    ("alerts", "", ""), ("signals", "c", "bob"),
]  # fmt: skip
ANN = Caller("ann", "trader")
ALL = frozenset({"*"})
LOSE_PLACE = 0
STEPS = st.lists(st.one_of(st.sampled_from(KINDS), st.integers(LOSE_PLACE, 5)), max_size=5)
"""What is published, and how many events are passed on."""


class DisturbedLog(MemoryEventLog):
    """Lets something happen between a read and its reader."""

    def __init__(self) -> None:
        super().__init__(now_ms=lambda: 1)
        self.meanwhile: Callable[[], None] | None = None

    def read(self, after: str | None, limit: int) -> list[Event]:
        events = super().read(after, limit)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return events


class OneClient(RuleBasedStateMachine):
    """Publishing, passing on, taking, going away and coming back, in any order."""

    @initialize(capacity=st.integers(1, 5), strategies=st.sampled_from([None, frozenset({"a"})]))
    def start(self, capacity: int, strategies: frozenset[str] | None) -> None:
        self.log = DisturbedLog()
        self.passed_on = self.began = self.log.newest()
        self.interest = Interest(caller=ANN, topics=ALL, strategies=strategies)
        self.capacity = capacity
        self.taken: list[Event] = []
        self.lost: Counter[str] = Counter()
        self.subscriber = self.subscribe(self.began)

    def subscribe(self, after: str) -> Subscriber:
        return Subscriber(self.log, self.interest, after=after, capacity=self.capacity)

    def do(self, steps: list[tuple[str, str, str] | int]) -> None:
        for step in steps:
            if step == LOSE_PLACE:
                self.passed_on = self.log.newest()
                self.subscriber.look_back()
            elif isinstance(step, int):
                self.pass_on(step)
            else:
                topic, strategy_id, owner_id = step
                self.log.publish(topic, {}, strategy_id=strategy_id, owner_id=owner_id)

    def pass_on(self, count: int) -> None:
        for event in MemoryEventLog.read(self.log, self.passed_on, count):
            self.subscriber.offer(event)
            self.passed_on = event.id

    @rule(steps=STEPS)
    def something_happens(self, steps: list[tuple[str, str, str] | int]) -> None:
        self.do(steps)

    @rule(limit=st.integers(1, 4), steps=STEPS)
    def client_takes(self, limit: int, steps: list[tuple[str, str, str] | int]) -> None:
        self.log.meanwhile = lambda: self.do(steps)
        self.take(limit)
        if self.log.meanwhile is not None:  # there was no need to read
            self.log.meanwhile = None
            self.do(steps)

    @rule()
    def client_comes_back(self) -> None:
        self.resume(self.subscriber.position)

    def take(self, limit: int) -> int:
        try:
            batch = self.subscriber.take(limit)
        except SlowSubscriberError as error:
            self.resume(error.resume_after)
            return 1
        self.taken += batch.events
        self.lost.update(batch.lost)
        return len(batch.events)

    def resume(self, after: str) -> None:
        assert after == self.subscriber.position
        self.subscriber = self.subscribe(after)

    @invariant()
    def up_to_its_position_everything_was_taken_or_counted(self) -> None:
        wanted = [e for e in self.wanted() if e.id <= self.subscriber.position]
        taken = {event.id for event in self.taken}
        missing = [event for event in wanted if event.id not in taken]
        assert Counter(event.topic for event in missing) == self.lost
        assert all(is_expendable(event.topic) for event in missing)
        assert [event for event in wanted if event.id in taken] == self.taken

    def wanted(self) -> list[Event]:
        everything = MemoryEventLog.read(self.log, self.began, 10_000)
        return [event for event in everything if self.interest.covers(event)]

    def teardown(self) -> None:
        if not hasattr(self, "log"):
            return
        self.pass_on(10_000)
        while self.subscriber.wait(0.0) and self.take(3):
            pass
        self.up_to_its_position_everything_was_taken_or_counted()
        assert self.subscriber.position == self.log.newest()
        newest = {event.subject: event.id for event in self.wanted()}
        assert {event.subject: event.id for event in self.taken} == newest


TestOneClient = OneClient.TestCase
TestOneClient.settings = examples(150, stateful_step_count=30)


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog(now_ms=lambda: 1)


def live(log: MemoryEventLog, interest: Interest, **more: Any) -> Subscriber:
    subscriber = Subscriber(log, interest, after=log.newest(), **more)
    assert subscriber.take().events == []
    return subscriber


def offer(log: MemoryEventLog, subscriber: Subscriber, *kinds: tuple[str, str, str]) -> None:
    for topic, strategy_id, owner_id in kinds:
        newest = log.newest()
        log.publish(topic, {}, strategy_id=strategy_id, owner_id=owner_id)
        [event] = log.read(newest, 1)
        subscriber.offer(event)


def seen(log: MemoryEventLog, interest: Interest) -> list[tuple[str, str, str]]:
    subscriber = live(log, interest)
    offer(log, subscriber, *KINDS)
    return [(e.topic, e.strategy_id, e.owner_id) for e in subscriber.take().events]


def test_a_user_sees_its_own_and_what_is_nobodys(log: MemoryEventLog) -> None:
    assert seen(log, Interest(caller=ANN, topics=ALL)) == [k for k in KINDS if k[2] != "bob"]


def test_an_admin_and_chorus_itself_see_everything(log: MemoryEventLog) -> None:
    assert seen(log, Interest(caller=Caller("root", "admin"), topics=ALL)) == KINDS
    assert seen(log, Interest(caller=CHORUS, topics=ALL)) == KINDS


def test_topics_are_exact(log: MemoryEventLog) -> None:
    wanted = frozenset({"fills", "candles:x", "candles:y"})
    assert seen(log, Interest(caller=CHORUS, topics=wanted)) == [KINDS[3], KINDS[4]]
    assert seen(log, Interest(caller=CHORUS, topics=frozenset())) == []


def test_an_unknown_topic_is_refused() -> None:
    with pytest.raises(EventError, match="topic 'candles:' is not known"):
        Interest(caller=ANN, topics=frozenset({"candles:"}))


def test_a_choice_of_strategies_leaves_what_is_about_none(log: MemoryEventLog) -> None:
    chosen = Interest(caller=CHORUS, topics=ALL, strategies=frozenset({"a", "c"}))
    assert seen(log, chosen) == [k for k in KINDS if k[1] in {"a", "c", ""}]


def test_a_slow_client_sees_the_newest_and_how_much_it_missed(log: MemoryEventLog) -> None:
    subscriber = live(log, Interest(caller=ANN, topics=ALL), capacity=3)
    offer(log, subscriber, *[KINDS[0], KINDS[1], KINDS[4]] * 3)
    batch = subscriber.take()
    assert [event.topic for event in batch.events] == ["fills", "fills", *["metrics"] * 2, "fills"]
    assert batch.lost == {"metrics": 4}
    assert subscriber.take().lost == {}


def test_a_client_much_too_slow_is_told_where_to_begin_again(log: MemoryEventLog) -> None:
    subscriber = live(log, Interest(caller=ANN, topics=ALL), capacity=2)
    offer(log, subscriber, KINDS[4])
    [event] = subscriber.take().events
    offer(log, subscriber, *[KINDS[5]] * 3)
    for _ in range(2):
        with pytest.raises(SlowSubscriberError, match="more than 2 events that must not") as caught:
            subscriber.take()
        assert caught.value.resume_after == event.id == subscriber.position
    assert len(subscriber._queue) == 0  # it may be kept for long by a client that is gone
    again = Subscriber(log, Interest(caller=ANN, topics=ALL), after=event.id, capacity=2)
    taken = [e.topic for _ in range(2) for e in again.take().events]
    assert taken == ["orders"] * 3


def test_a_client_away_for_too_long_is_told_so() -> None:
    log = MemoryEventLog(now_ms=lambda: 1, keep_events=2)
    start = log.newest()
    for _ in range(4):
        log.publish("fills", {})
    subscriber = Subscriber(log, Interest(caller=ANN, topics=ALL), after=start)
    for _ in range(2):
        with pytest.raises(EventsLostError, match="read the present state"):
            subscriber.take()


def test_a_client_can_try_again_when_the_log_was_away_for_a_moment(log: MemoryEventLog) -> None:
    class Away(MemoryEventLog):
        def read(self, after: str | None, limit: int) -> list[Event]:
            if away:
                raise EventLogUnavailableError(away.pop())
            return super().read(after, limit)

    away = ["event log: away"]
    log = Away(now_ms=lambda: 1)
    subscriber = Subscriber(log, Interest(caller=ANN, topics=ALL), after=log.newest())
    log.publish("fills", {})
    with pytest.raises(EventLogUnavailableError):
        subscriber.take()
    assert subscriber.wait(0.0)
    assert [event.topic for event in subscriber.take().events] == ["fills"]


def test_a_client_is_woken_when_there_is_something_for_it(log: MemoryEventLog) -> None:
    woken: list[None] = []
    interest = Interest(caller=ANN, topics=frozenset({"fills"}))
    subscriber = live(log, interest, wake=lambda: woken.append(None))
    offer(log, subscriber, KINDS[0], KINDS[3])
    assert (woken, subscriber.wait(0.0)) == ([], False)
    offer(log, subscriber, KINDS[4])
    assert (len(woken), subscriber.wait(0.0)) == (1, True)
    subscriber.take()
    assert not subscriber.wait(0.0)
    subscriber.look_back()
    assert (len(woken), subscriber.wait(0.0)) == (2, True)


def test_a_client_that_must_not_wait_takes_only_what_is_there(log: MemoryEventLog) -> None:
    subscriber = Subscriber(log, Interest(caller=ANN, topics=ALL), after=log.newest())
    log.publish("fills", {})
    assert (subscriber.take(reads=False).events, subscriber.is_behind) == ([], True)
    assert len(subscriber.take().events) == 1
    assert not subscriber.is_behind
    offer(log, subscriber, KINDS[4])
    assert len(subscriber.take(reads=False).events) == 1
    subscriber.look_back()
    assert subscriber.is_behind


def test_what_a_client_does_not_want_moves_its_position_too(log: MemoryEventLog) -> None:
    subscriber = live(log, Interest(caller=ANN, topics=frozenset({"fills"})))
    offer(log, subscriber, KINDS[0])
    assert subscriber.position == log.newest()


def test_a_long_past_is_read_page_by_page_and_none_of_it_is_lost() -> None:
    log = MemoryEventLog(now_ms=lambda: 1)
    start = log.newest()
    for number in range(6000):
        log.publish("metrics" if number < 5999 else "fills", {"n": number})
    all_of_it = Subscriber(log, Interest(caller=ANN, topics=ALL), after=start, capacity=50)
    taken: list[Event] = []
    while all_of_it.wait(0.0):
        batch = all_of_it.take()
        taken += batch.events
        assert not batch.lost
    assert [event.data["n"] for event in taken] == list(range(6000))
    one = Subscriber(log, Interest(caller=ANN, topics=frozenset({"fills"})), after=start)
    batches = []
    while one.wait(0.0):
        batches.append(one.take().events)
    assert [len(events) for events in batches] == [0, 1]
