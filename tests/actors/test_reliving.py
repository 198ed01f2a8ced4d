"""Newcomers get through their history in turns, each with the events of as far as it goes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from actors import reliving
from actors.reliving import Reliving
from engine.sequencing import SliceEvent
from tests.engine.sequencing.scripted import canceled

Step = tuple[str, int, list[int]]


@pytest.fixture
def steps() -> list[Step]:
    return []


@pytest.fixture
def newcomers(steps: list[Step]) -> Reliving:
    def relive(name: str, through: int, events: Sequence[SliceEvent]) -> None:
        steps.append((name, through, [event.slice for event in events]))

    return Reliving(relive)


def events_at(*slices: int) -> list[SliceEvent]:
    return [SliceEvent(at, canceled(str(at)), number=n) for n, at in enumerate(slices)]


def test_whoever_has_time_gets_there_in_one_turn(newcomers: Reliving, steps: list[Step]) -> None:
    newcomers.begin(["a", "b"])
    assert newcomers.go_on(1000, {"a": events_at(3, 500), "b": []}) == []
    for name, heard in [("a", [3, 500]), ("b", [])]:
        own = [step for step in steps if step[0] == name]
        assert own[-1] == (name, 1000, heard)
        assert [step[1] for step in own] == sorted({step[1] for step in own})
        assert all(events == [at for at in heard if at <= to] for _, to, events in own)


def test_a_turn_ends_and_the_next_goes_on(
    newcomers: Reliving, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reliving, "TURN_NS", -1)
    newcomers.begin(["a", "b"])
    left, turns = ["a", "b"], 0
    while left:
        left = newcomers.go_on(1000, {name: [] for name in left})
        turns += 1
    assert turns == len(steps)
    assert {name: to for name, to, _ in steps} == {"a": 1000, "b": 1000}
    assert [name for name, _, _ in steps] == sorted(name for name, _, _ in steps)


def test_those_who_know_their_past_have_nothing_to_do(
    newcomers: Reliving, steps: list[Step]
) -> None:
    newcomers.begin(["a"])
    newcomers.go_on(10, {"a": []})
    newcomers.begin(["a"])
    assert newcomers.knows(["a"])
    assert newcomers.go_on(10, {"a": []}) == []
    assert [to for _, to, _ in steps] == [10]
    newcomers.end(["a"])
    assert not newcomers.knows(["a"])
