"""The thread goes on whatever fails, and says how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import ChorusError, StoreError
from engine.recording import RecordingLoop
from engine.recording.loop import IDLE_PAUSE_S, LONGEST_PAUSE_S, Source
from engine.store import Store
from tests.engine.recording.ledgers import a_ledger, a_recorder, contents, record_all
from tests.stores import an_empty_store

LEDGER, _ = a_ledger("independent", 3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with an_empty_store(tmp_path / "chorus.db") as store:
        yield store


def growing(*totals: int) -> Source:
    """Return a source whose ledger has these lengths, one call after another."""
    left = list(totals)

    def fetch(start: int, limit: int, wait_s: float) -> tuple[int, list[bytes]]:
        total = left.pop(0) if len(left) > 1 else left[0]
        return total, LEDGER[start : min(total, start + limit)]

    return fetch


class Clockwork:
    """Counts pauses, and ends the loop at one of them."""

    def __init__(self, pauses: int) -> None:
        self.left = pauses
        self.waited: list[float] = []
        self.loop: RecordingLoop | None = None

    def __call__(self, seconds: float) -> bool:
        self.waited.append(seconds)
        self.left -= 1
        if not self.left and self.loop is not None:
            self.loop._closing.set()
        return not self.left


def failing(times: int, error: Exception, then: Source) -> Source:
    left = [times]

    def fetch(start: int, limit: int, wait_s: float) -> tuple[int, list[bytes]]:
        if left[0]:
            left[0] -= 1
            raise error
        return then(start, limit, wait_s)

    return fetch


def until(loop: RecordingLoop, condition: Callable[[], bool]) -> None:
    """Take turns until something is so."""
    for _ in range(1_000):
        if condition():
            return
        loop._go_on()
    raise AssertionError(loop.status)


def test_it_records_what_there_is_and_what_comes(store: Store, tmp_path: Path) -> None:
    loop = RecordingLoop(a_recorder(store, run_id="r"), growing(5, 5, 17, len(LEDGER)))
    until(loop, lambda: loop.status.recorded == len(LEDGER))
    assert loop.status.lag == 0
    assert loop.status.is_told
    with an_empty_store(tmp_path / "at-once.db") as other:
        record_all(a_recorder(other, run_id="r"), LEDGER)
        assert contents(other) == contents(store)


def test_it_says_how_many_lines_it_is_behind(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.recording.loop.MAX_LINES", 10)
    loop = RecordingLoop(a_recorder(store), growing(40))
    loop._go_on()
    assert (loop.status.recorded, loop.status.total, loop.status.lag) == (10, 40, 30)


def test_it_goes_on_where_another_one_ended_and_sees_that_it_is_the_same_ledger(
    store: Store,
) -> None:
    a_recorder(store, run_id="r").apply(0, LEDGER[:9])
    asked: list[int] = []

    def fetch(start: int, limit: int, wait_s: float) -> tuple[int, list[bytes]]:
        asked.append(start)
        return 20, LEDGER[start:20]

    loop = RecordingLoop(a_recorder(store, run_id="r"), fetch)
    loop._go_on()
    loop._go_on()
    assert asked == [8, 20]


def test_a_source_that_is_away_is_asked_again_after_growing_pauses(store: Store) -> None:
    clock = Clockwork(12)
    source = failing(12, ChorusError("the order manager is away"), growing(len(LEDGER)))
    loop = clock.loop = RecordingLoop(a_recorder(store), source, wait=clock)
    loop._run()
    assert clock.waited[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(clock.waited) == clock.waited[-1] == LONGEST_PAUSE_S
    assert loop.status.error == "the order manager is away"
    assert loop.status.failures == 12
    loop._go_on()
    assert (loop.status.error, loop.status.failures) == ("", 0)
    assert loop.status.recorded == len(LEDGER)


def test_pauses_are_short_again_after_a_success(store: Store) -> None:
    answers: list[int | None] = [None, None, 5, None, None]
    waited: list[float] = []

    def fetch(start: int, limit: int, wait_s: float) -> tuple[int, list[bytes]]:
        total = answers.pop(0)
        if total is None:
            raise ChorusError("away")
        return total, LEDGER[start:total]

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        if not answers:
            loop._closing.set()
        return False

    loop = RecordingLoop(a_recorder(store), fetch, wait=wait)
    loop._run()
    assert waited == [0.1, 0.2, 0.1, 0.2]


def test_a_store_that_is_locked_or_full_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = a_recorder(store)
    clock = Clockwork(3)
    loop = clock.loop = RecordingLoop(recorder, growing(len(LEDGER)), wait=clock)

    def fail(*_: object) -> None:
        raise StoreError("is locked by another process")

    with monkeypatch.context() as patch:
        patch.setattr("engine.recording.recorder.write", fail)
        loop._run()
    assert "is locked" in loop.status.error
    assert loop.status.recorded == 0
    loop._go_on()
    assert loop.status.recorded == len(LEDGER)


def test_a_damaged_line_is_said_and_what_is_before_it_stays(store: Store) -> None:
    lines = [*LEDGER[:8], b"damaged\n", *LEDGER[9:]]

    def fetch(start: int, limit: int, wait_s: float) -> tuple[int, list[bytes]]:
        return len(lines), lines[start : start + 4]

    clock = Clockwork(2)
    loop = clock.loop = RecordingLoop(a_recorder(store), fetch, wait=clock)
    loop._run()
    assert "line 8: ledger: a line cannot be read" in loop.status.error
    assert loop.status.recorded >= 4
    assert loop.status.lag == len(lines) - loop.status.recorded


def test_an_order_manager_that_repeats_itself_after_a_crash_is_waited_for(store: Store) -> None:
    a_recorder(store, run_id="r").apply(0, LEDGER[:20])
    clock = Clockwork(3)
    loop = clock.loop = RecordingLoop(a_recorder(store, run_id="r"), growing(0, 7, 19), wait=clock)
    loop._run()
    assert loop.status.error == ""
    assert loop.status.recorded == 20
    loop._source = growing(len(LEDGER))
    loop._go_on()
    assert loop.status.recorded == len(LEDGER)


def test_a_source_that_gives_nothing_of_what_it_has_is_an_error(store: Store) -> None:
    clock = Clockwork(1)
    loop = clock.loop = RecordingLoop(a_recorder(store), lambda *_: (5, []), wait=clock)
    loop._run()
    assert "has 5 lines, but none were given from 0 on" in loop.status.error


def test_a_source_that_does_not_wait_is_not_asked_without_a_break(store: Store) -> None:
    clock = Clockwork(3)
    loop = clock.loop = RecordingLoop(a_recorder(store), growing(5), wait=clock)
    loop._run()
    assert clock.waited == [IDLE_PAUSE_S] * 3
    assert loop.status.recorded == 5


def test_it_ends_when_it_is_closed_and_can_be_closed_unstarted(store: Store) -> None:
    done = threading.Event()

    def fetch(start: int, limit: int, wait_s: float) -> tuple[int, list[bytes]]:
        if start == len(LEDGER):
            done.set()
        return len(LEDGER), LEDGER[start : start + limit]

    loop = RecordingLoop(a_recorder(store), fetch)
    loop.close()
    loop = RecordingLoop(a_recorder(store), fetch)
    loop.start()
    assert done.wait(30)
    loop.close()
    assert not loop._thread.is_alive()
    assert loop.status.recorded == len(LEDGER)
