"""Executions go on record exactly once, whatever fails in between."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.errors import StoreError
from engine.recording import Attendance, ExecutionLoop, ExecutionRecorder, RecordingError
from engine.sequencing.executions import ExecutionLog, ExecutionPage
from engine.store import Execution, Store
from engine.types import Candle, MarketSlice
from tests.engine.recording.ledgers import rows_of
from tests.waiting import until

MINUTE = 60_000
STREAM = "paper:BTC/USDT:1m"


def a_slice(number: int) -> MarketSlice:
    close = (number + 1) * MINUTE
    candle = Candle(STREAM, number, close - MINUTE, close, 1.0, 1.0, 1.0, 1.0, 1.0)
    return MarketSlice(number, close, (candle,))


class Engine:
    """An engine that has executed some slices."""

    def __init__(self, slices: int, names: Sequence[str] = ("a", "b")) -> None:
        self.log = ExecutionLog(None)
        self.log.came({name: [STREAM] for name in names}, 0)
        self.failing = 0
        for number in range(slices):
            self.log.decided(a_slice(number), [], {})

    def read(self, start: int, limit: int, wait_s: float, *, with_roster: bool) -> ExecutionPage:
        if self.failing:
            self.failing -= 1
            raise StoreError("away")
        return self.log.read(start, min(limit, 5), with_roster=with_roster)


class Locks:
    def __init__(self, taken: set[tuple[str, int]]) -> None:
        self.taken = taken

    def take(self, wanted: Sequence[tuple[str, int]]) -> list[bool]:
        return [each not in self.taken for each in wanted]


def a_recorder(store: Store, worker: str = "w1", **options: object) -> ExecutionRecorder:
    attendance = Attendance(worker, lambda name: 11)
    return ExecutionRecorder(store, lambda: 7, run_id="r", attendance=attendance, **options)  # type: ignore[arg-type]  # as it takes


def drain(loop: ExecutionLoop) -> None:
    while loop.go_on():
        pass


def executed(store: Store) -> list[tuple[str, int, str]]:
    rows = rows_of(store, Execution)
    return sorted((row["strategy_id"], row["interval_ms"], row["worker"]) for row in rows)


def all_of(slices: int, worker: str = "w1") -> list[tuple[str, int, str]]:
    return [(name, (n + 1) * MINUTE, worker) for name in "ab" for n in range(slices)]


def test_everything_is_recorded_once(store: Store) -> None:
    engine = Engine(12)
    loop = ExecutionLoop(a_recorder(store), engine.read)
    drain(loop)
    assert executed(store) == all_of(12)
    drain(loop)
    assert executed(store) == all_of(12)


def test_another_process_goes_on_where_the_first_one_was(store: Store) -> None:
    engine = Engine(4)
    drain(ExecutionLoop(a_recorder(store), engine.read))
    for number in range(4, 9):
        engine.log.decided(a_slice(number), [], {})
    drain(ExecutionLoop(a_recorder(store, "w2"), engine.read))
    assert executed(store) == sorted(
        all_of(4) + [each for each in all_of(9, "w2") if each[1] > 4 * MINUTE]
    )


def test_of_two_recorders_of_a_run_the_second_finds_all_done(store: Store) -> None:
    engine = Engine(9)
    loops = [ExecutionLoop(a_recorder(store, worker), engine.read) for worker in ("w1", "w2")]
    assert loops[0].go_on()
    drain(loops[1])
    drain(loops[0])
    assert [each[:2] for each in executed(store)] == [each[:2] for each in all_of(9)]


def test_what_another_recorder_has_done_half_is_done_to_the_end(store: Store) -> None:
    engine = Engine(9)
    recorders = [a_recorder(store, worker) for worker in ("w1", "w2")]
    page = engine.read(0, 5, 0.0, with_roster=True)
    for recorder in recorders:
        assert recorder.position() == 0
        recorder.begin(page.before)
    recorders[0].apply(0, page.lines[:4])
    with pytest.raises(RecordingError, match="from line 0 on cannot be recorded, 4 is the next"):
        recorders[1].apply(0, page.lines)
    drain(ExecutionLoop(recorders[1], engine.read))
    assert [each[:2] for each in executed(store)] == [each[:2] for each in all_of(9)]


def test_an_engine_that_is_away_costs_nothing(store: Store) -> None:
    engine = Engine(9)
    loop = ExecutionLoop(a_recorder(store), engine.read, wait_s=0.0)
    assert loop.go_on()
    engine.failing = 2
    loop.start()
    until(lambda: len(executed(store)) >= 18)
    loop.close()
    assert executed(store) == all_of(9)


def test_how_far_it_is_can_be_seen_also_while_it_does_not_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = ExecutionLoop(a_recorder(store), Engine(9).read, wait_s=0.0)
    assert loop.go_on()
    assert (loop.status.recorded, loop.status.total, loop.status.lag) == (5, 11, 6)
    with monkeypatch.context() as patch:
        patch.setattr(store, "write", _away)
        loop.start()
        until(lambda: loop.status.failures > 1)
        assert (loop.status.error, loop.status.lag) == ("away", 6)
    until(lambda: not loop.status.lag)
    loop.close()
    assert (loop.status.recorded, loop.status.error, loop.status.failures) == (11, "", 0)


def _away() -> None:
    raise StoreError("away")


def test_what_another_run_has_taken_is_left_to_it(store: Store) -> None:
    locks = Locks({("a", 2 * MINUTE)})
    drain(ExecutionLoop(a_recorder(store, locks=locks), Engine(3).read))
    assert executed(store) == [each for each in all_of(3) if each[:2] != ("a", 2 * MINUTE)]


def test_a_line_that_cannot_be_read_is_refused(store: Store) -> None:
    recorder = a_recorder(store)
    recorder.position()
    with pytest.raises(RecordingError, match="cannot be read"):
        recorder.apply(0, [b'["What"]\n'])
