"""The bounded queue, against one that is simple and slow."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from engine.events.event import Draft, is_expendable
from engine.events.queue import EventQueue
from tests.examples import examples

SUBJECTS = [
    ("metrics", "a"), ("metrics", "b"), ("candles:x", ""), ("logs", "a"),
    ("fills", "a"), ("orders", "b"), ("alerts", ""),
]  # fmt: skip


def draft(number: int, topic: str, strategy_id: str = "") -> Draft:
    return Draft(topic=topic, strategy_id=strategy_id, at_ms=number, data={})


class SlowQueue:
    """Says the same in the plainest words."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.places: list[Draft | str] = []  # an event, or the topic of one that went from here

    def put(self, event: Draft) -> bool:
        lasting = [e for e in self.waiting() if not is_expendable(e.topic)]
        if not is_expendable(event.topic) and len(lasting) >= self.capacity:
            return False
        self.places.append(event)
        while len(self.waiting()) > self.capacity and (old := self.oldest_outdated()) is not None:
            self.places[old] = self.places[old].topic  # type: ignore[union-attr]  # an event
        return True

    def waiting(self) -> list[Draft]:
        return [place for place in self.places if isinstance(place, Draft)]

    def oldest_outdated(self) -> int | None:
        for number, place in enumerate(self.places):
            if isinstance(place, Draft) and is_expendable(place.topic):
                later = (p for p in self.places[number + 1 :] if isinstance(p, Draft))
                if any(event.subject == place.subject for event in later):
                    return number
        return None

    def take(self, limit: int) -> tuple[list[Draft], dict[str, int]]:
        events: list[Draft] = []
        lost: Counter[str] = Counter()
        while len(events) < limit and self.waiting():
            place = self.places.pop(0)
            if isinstance(place, Draft):
                events.append(place)
            else:
                lost[place] += 1
        return events, dict(lost)


@given(
    capacity=st.integers(1, 6),
    steps=st.lists(st.one_of(st.sampled_from(SUBJECTS), st.integers(1, 4)), max_size=60),
)
@examples(400)
def test_it_does_what_the_simple_one_does(
    capacity: int, steps: list[tuple[str, str] | int]
) -> None:
    queue: EventQueue[Draft] = EventQueue(capacity)
    simple = SlowQueue(capacity)
    for number, step in enumerate([*steps, 1000]):
        if isinstance(step, int):
            assert queue.take(step) == simple.take(step)
        else:
            event = draft(number, *step)
            assert queue.put(event) == simple.put(event)
        assert len(queue) == len(simple.waiting()) <= capacity + 4
        # Nothing is remembered of what does not wait.
        assert len(queue._outdated) <= len(queue)
        assert len(queue._lost_before) <= len(queue)


def test_the_oldest_of_what_is_out_of_date_goes_first() -> None:
    queue: EventQueue[Draft] = EventQueue(3)
    for number, topic in enumerate(["metrics", "logs", "logs", "metrics", "logs"]):
        queue.put(draft(number, topic))
    assert queue.take(9) == ([draft(2, "logs"), draft(3, "metrics"), draft(4, "logs")], {
        "metrics": 1, "logs": 1,
    })  # fmt: skip


def test_what_must_not_be_lost_is_refused_when_it_fills_the_queue() -> None:
    queue: EventQueue[Draft] = EventQueue(2)
    assert queue.put(draft(0, "fills"))
    assert queue.put(draft(1, "metrics"))
    assert queue.put(draft(2, "alerts"))
    assert not queue.put(draft(3, "orders"))
    assert queue.take(9)[0] == [draft(0, "fills"), draft(1, "metrics"), draft(2, "alerts")]
    assert queue.put(draft(4, "orders"))


def test_a_loss_is_told_with_what_comes_behind_it() -> None:
    queue: EventQueue[Draft] = EventQueue(2)
    for number, topic in enumerate(["fills", "metrics", "metrics", "metrics"]):
        queue.put(draft(number, topic))
    assert queue.dropped == {"metrics": 2}
    assert queue.take(1) == ([draft(0, "fills")], {})
    assert queue.take(1) == ([draft(3, "metrics")], {"metrics": 2})
