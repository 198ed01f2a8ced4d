"""Counting what is decided, on a clock that stands where the test puts it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actors import progress
from actors.progress import DecisionCount, OwingHost, Stretch
from actors.wire import first_epoch
from engine.sequencing import Answer
from engine.sequencing.coordinator import Stall
from engine.types import Candle, MarketSlice

BASE, LARGER = "paper:A/USDT:1m", "paper:A/USDT:5m"
START = 3


class Clock:
    now_s = 0

    def monotonic_ns(self) -> int:
        return self.now_s * 1_000_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def a_slice(number: int, *streams: str) -> MarketSlice:
    candles = tuple(Candle(stream, number, 0, 60_000, 1, 1, 1, 1, 1) for stream in streams)
    return MarketSlice(number, 60_000, candles)


def coordinator(decided: int, *stalls: Stall) -> Any:
    return SimpleNamespace(
        decided=decided,
        stalls=lambda: stalls,
        epoch_of=lambda host: first_epoch(START) + 1,
        reached=lambda: {"h": decided},
    )


def test_base_candles_count_once_they_are_decided(clock: Clock) -> None:
    clock.now_s = 5
    count = DecisionCount([BASE], Stretch())
    slices = [a_slice(0, BASE, LARGER), a_slice(1, LARGER), a_slice(2, BASE)]
    assert list(count.counted(slices)) == slices
    assert count.progress(coordinator(-1)).candles == 0
    count.note(1, 2)
    count.note(1, 2)
    assert count.progress(coordinator(1)).candles == 1
    count.begin()
    assert count.stretch == Stretch(5_000_000_000, after=1)
    count.note(2, 2)
    assert count.progress(coordinator(2)).candles == 2


def test_time_passes_until_everything_is_decided(clock: Clock) -> None:
    count = DecisionCount([BASE], Stretch(started_ns=1_000_000_000, after=7))
    clock.now_s = 4
    found = count.progress(coordinator(0))
    assert (found.elapsed_s, found.finished) == (3.0, False)
    count.finish()
    clock.now_s = 9
    found = count.progress(coordinator(0))
    assert (found.elapsed_s, found.finished) == (3.0, True)


def test_whoever_owes_an_answer_has_done_so_since_it_could_have_answered(clock: Clock) -> None:
    count = DecisionCount([BASE], Stretch())
    stall = Stall("h", 4, 3)

    def owes() -> list[OwingHost]:
        return count.progress(coordinator(3, stall)).owing

    def owed_for(seconds: float) -> list[OwingHost]:
        return [OwingHost("h", START, 4, seconds)]

    clock.now_s = 10
    count.note(3, 4)  # slice 4 is in hand
    clock.now_s = 12
    assert owes() == owed_for(2.0)
    count.note(3, 4)
    assert owes() == owed_for(2.0)
    count.answered(Answer("h", 0, 3, -1, 11_000_000_000, []), 12_000_000_000)
    assert count.progress(coordinator(3)).latency_ms["max"] == 1000.0
    clock.now_s = 15
    assert owes() == owed_for(3.0)
    count.heard_of("h")
    assert owes() == owed_for(0.0)
    clock.now_s = 16
    count.be_patient()
    clock.now_s = 18
    assert owes() == owed_for(2.0)
