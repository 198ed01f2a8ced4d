"""Threads that look again and again go on, whatever goes wrong, and tell everything once."""

from __future__ import annotations

import threading

import pytest
from msgspec.structs import replace

from api.service.rounds import Rounds
from api.service.watch import StatusWatch, Watch
from engine.errors import StoreError
from engine.events import MemoryEventLog
from engine.recording import Owner
from engine.status import EngineStatus, StrategyStatus


class Stumbling:
    """Fails once with what nobody expects; `again` is set when it is called after that."""

    def __init__(self) -> None:
        self.calls = 0
        self.again = threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == 1:
            raise KeyError("nobody expects that")
        self.again.set()


class StumblingWatch(Watch):
    def __init__(self) -> None:
        super().__init__("stumbling")
        self.step = Stumbling()

    def look(self) -> float:
        self.step()
        return 60.0


def test_a_watch_survives_what_nobody_expects() -> None:
    watch = StumblingWatch()
    watch.start()
    assert watch.step.again.wait(30.0)
    watch.close()


def test_rounds_survive_what_nobody_expects_and_the_other_calls_are_made() -> None:
    step, other = Stumbling(), threading.Event()
    rounds = Rounds([step, other.set], threading.Event(), every_s=0.01)
    rounds.start()
    assert other.wait(30.0)
    assert step.again.wait(30.0)
    rounds.close()


def test_rounds_that_are_closed_while_one_is_made_make_no_other_one() -> None:
    changed = threading.Event()
    calls: list[str] = []

    def call() -> None:
        calls.append("called")
        rounds._closing = True  # as `close` does, whose wake-up was forgotten

    rounds = Rounds([call], changed, every_s=3600.0)
    rounds.start()
    rounds._thread.join(30.0)
    assert not rounds._thread.is_alive()
    assert calls == ["called"]


def test_changes_are_told_once_also_while_the_store_is_away() -> None:
    told: list[str] = []
    away = {"b"}

    def whose(name: str) -> Owner | None:
        if name in away:
            raise StoreError("away")
        return Owner(name, "u", "a")

    one = StrategyStatus("a", "", "EMA_CROSS", "BTC/USDT", "15m", "a-ann", "running")
    seen = EngineStatus("running", 1, 1, 0, 0.0, 0.0, [one, replace(one, id="b")], {})
    events = MemoryEventLog(now_ms=lambda: 0)
    watch = StatusWatch(lambda: seen, events, whose, on_change=lambda _, now: told.append(now.id))
    for _ in range(3):
        with pytest.raises(StoreError):
            watch.look()
    assert watch.newest == seen  # whoever asks sees it all the same
    away.clear()
    watch.look()
    assert told == ["a", "b"]
    topics = [(event.topic, event.strategy_id) for event in events.read(None, 100)]
    assert topics == [("status", "a"), ("metrics", "a"), ("status", "b"), ("metrics", "b")]
