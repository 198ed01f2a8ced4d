"""Who took part in which slice: the same lines after every crash, and rows of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from engine.instance import Pause, Resume
from engine.recording import Attendance, ExecutionRow
from engine.sequencing import Answer, SliceCommand, SliceDecision
from engine.sequencing.coordinator import Coordinator
from engine.sequencing.records import Record, Recorder
from engine.trading import Registration, TradingMode
from engine.types import Action, Decision, MarketSlice, OrderEvent, Signal
from tests.engine.sequencing.scripted import MINUTE, STREAM, candle

BUY = (Signal(Action.BUY, "BTC/USDT", 1.0, "", quantity=Decimal(1)),)
HOLD = (Signal(Action.HOLD, "BTC/USDT", 1.0, ""),)


class Desk:
    strategies = ("a", "b")
    lines = 0

    def __init__(self) -> None:
        self.newest: Sequence[Decision] = ()

    def register(self, registration: Registration, /) -> None:
        raise NotImplementedError

    def set_trading(self, mode: TradingMode, account: str, /) -> None:
        raise NotImplementedError

    def withdraw(self, instance: str, reason: str, /) -> list[OrderEvent]:
        return []

    def match(self, market_slice: MarketSlice, /) -> list[OrderEvent]:
        return []

    def decide(
        self, market_slice: MarketSlice, decisions: Sequence[Decision], /
    ) -> list[OrderEvent]:
        self.newest = decisions
        return []

    def tally(self) -> dict[str, tuple[int, int]]:
        return {each.instance: (3, 2) for each in self.newest if each.intents == BUY}


class Notes(Recorder):
    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, record: Record) -> None:
        self.records.append(record)


class Stage:
    def __init__(self) -> None:
        self.notes = Notes()
        self.coordinator = Coordinator(Desk(), self.notes)
        self.slices = [MarketSlice(n, (n + 1) * MINUTE, (candle(n),)) for n in range(9)]
        self.coordinator.add_slices(self.slices)
        self.coordinator.join("h", epoch=1, instances={"a": [STREAM], "b": [STREAM, "other"]})

    def answer(
        self, through: int, *decided: tuple[int, str, tuple], commands: Sequence[SliceCommand] = ()
    ) -> None:
        decisions = [
            SliceDecision(n, Decision(name, STREAM, n, (n + 1) * MINUTE, intents))
            for n, name, intents in decided
        ]
        answer = Answer("h", 1, through, -1, 0, decisions, list(commands))
        assert self.coordinator.on_answer(answer)
        self.coordinator.advance()

    def lines(self) -> list[bytes]:
        return self.coordinator.executions_from(0, 1000, with_roster=False).lines

    def rows(self) -> list[ExecutionRow]:
        return rows_of([], self.lines())


def rows_of(before: list[bytes], lines: list[bytes]) -> list[ExecutionRow]:
    attendance = Attendance("w", lambda name: 7)
    attendance.begin(before)
    return [row for line in lines for row in attendance.rows_of(line)]


def results(rows: list[ExecutionRow], name: str) -> list[tuple[int, str]]:
    return [(row.interval_ms // MINUTE - 1, row.result) for row in rows if row.strategy_id == name]


def test_each_instance_has_a_row_for_each_candle_of_its_main_stream() -> None:
    stage = Stage()
    stage.answer(3, (1, "a", BUY), (2, "a", HOLD), (2, "b", ()))
    rows = stage.rows()
    assert results(rows, "a") == [
        (0, "no_signal"),
        (1, "success"),
        (2, "no_signal"),
        (3, "no_signal"),
    ]
    assert results(rows, "b") == [
        (0, "no_signal"),
        (1, "no_signal"),
        (2, "failed"),
        (3, "no_signal"),
    ]
    assert rows[2] == ExecutionRow("a", 2 * MINUTE, "w", 7, "success", subscribers=2, trades=3)


def test_who_is_paused_is_left_out_from_the_next_candle_on() -> None:
    stage = Stage()
    told = [SliceCommand("a", 1, 0, Pause(), 0), SliceCommand("a", 4, 0, Resume(), 1)]
    stage.answer(1)
    stage.answer(6, commands=told)
    assert [number for number, result in results(stage.rows(), "a") if result == "skipped"] == [
        2,
        3,
        4,
    ]
    assert all(result == "no_signal" for _, result in results(stage.rows(), "b"))


def test_who_comes_and_goes_has_rows_in_between_only() -> None:
    stage = Stage()
    stage.answer(2)
    stage.coordinator.leave("h", ["a"], "test")
    stage.answer(4)
    stage.coordinator.join("other", epoch=1, instances={"a": [STREAM]})
    stage.answer(7)
    assert stage.coordinator.on_answer(Answer("other", 1, 7, -1, 0, []))
    stage.coordinator.advance()
    # Slice 3 was in hand when it went, slice 5 when it came.
    assert [n for n, _ in results(stage.rows(), "a")] == [0, 1, 2, 6, 7]
    assert [n for n, _ in results(stage.rows(), "b")] == list(range(8))


def test_reading_may_begin_at_any_line() -> None:
    stage = Stage()
    stage.answer(2, commands=[SliceCommand("b", 1, 0, Pause(), 0)])
    stage.coordinator.leave("h", ["a"], "test")
    stage.answer(5)
    everything, lines = stage.rows(), stage.lines()
    for start in range(len(lines) + 1):
        page = stage.coordinator.executions_from(start, 1000, with_roster=True)
        assert page.total == len(lines)
        rows = rows_of(page.before, page.lines)
        assert rows == everything[len(everything) - len(rows) :]
        assert len(rows) + len(rows_of([], lines[:start])) == len(everything)


def test_lines_that_were_read_are_the_same_after_a_crash() -> None:
    stage = Stage()
    stage.answer(2, (1, "a", BUY), (2, "b", ()), commands=[SliceCommand("b", 1, 0, Pause(), 0)])
    stage.answer(4)
    read = stage.lines()
    again = Coordinator(Desk(), Notes(), reign=1)
    again.restore(stage.slices, stage.notes.records)
    assert again.executions_from(0, 1000, with_roster=False).lines == read
