"""The durable slice log: gap-free, first write wins, found by number."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.errors import JournalError
from engine.journal import JournalFile, SliceJournal
from engine.types import Candle, MarketSlice
from tests.examples import examples

MINUTE = 60_000


def a_slice(number: int, close: float = 1.5) -> MarketSlice:
    opened = number * MINUTE
    candle = Candle(
        "paper:A/B:1m", number, opened, opened + MINUTE, 1.0, 2.0, 0.5, close, 10.0, number % 2
    )
    return MarketSlice(number, opened + MINUTE, (candle,))


def journal_at(path: Path) -> SliceJournal:
    return SliceJournal(JournalFile(path, kind=SliceJournal.KIND, sync=False))


def test_slices_are_found_from_any_number_across_records_and_reopenings(tmp_path: Path) -> None:
    slices = [a_slice(number) for number in range(1_000)]
    with journal_at(tmp_path / "j") as journal:
        for market_slice in slices:
            assert journal.append(market_slice)
            if market_slice.number in {0, 1, 7, 300, 301}:
                journal.commit()
                assert journal.committed == journal.head == market_slice.number + 1
    with journal_at(tmp_path / "j") as journal:
        assert journal.head == 1_000
        for start in (0, 1, 2, 7, 8, 255, 256, 301, 302, 999, 1_000, 5_000):
            assert list(journal.slices(start)) == slices[start:]


def test_the_first_write_of_a_number_wins(tmp_path: Path) -> None:
    with journal_at(tmp_path / "j") as journal:
        for number in range(600):
            journal.append(a_slice(number))
            if number == 299:
                journal.commit()
        for number in (0, 299, 300, 511, 512, 599):
            assert not journal.append(a_slice(number))
            with pytest.raises(JournalError, match=f"slice {number} is recorded as"):
                journal.append(a_slice(number, close=1.25))
        assert journal.head == 600


@pytest.mark.parametrize("number", [-1, 3, 10])
def test_a_skipped_number_is_an_error(tmp_path: Path, number: int) -> None:
    with journal_at(tmp_path / "j") as journal:
        journal.append(a_slice(0))
        journal.append(a_slice(1))
        with pytest.raises(JournalError, match=f"must have number 2, got {number}"):
            journal.append(a_slice(number))


class SliceJournalAgainstAList(RuleBasedStateMachine):
    """Whatever is done in whatever order, the journal is a list whose tail a crash takes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "j"
        self.expected: list[MarketSlice] = []
        self.safe = 0

    @initialize()
    def start(self) -> None:
        self.journal = journal_at(self.path)

    @rule(count=st.sampled_from([1, 2, 255, 256, 257, 600]))
    def append(self, count: int) -> None:
        for _ in range(count):
            market_slice = a_slice(len(self.expected))
            assert self.journal.append(market_slice)
            self.expected.append(market_slice)

    @rule()
    def commit(self) -> None:
        self.journal.commit()
        self.safe = len(self.expected)

    @precondition(lambda self: self.expected)
    @rule(choice=st.data(), count=st.integers(1, 300))
    def repeat(self, choice: st.DataObject, count: int) -> None:
        first = choice.draw(st.integers(0, len(self.expected) - 1))
        for number in range(first, min(first + count, len(self.expected))):
            assert not self.journal.append(a_slice(number))

    @precondition(lambda self: self.expected)
    @rule(choice=st.data())
    def contradict(self, choice: st.DataObject) -> None:
        number = choice.draw(st.integers(0, len(self.expected) - 1))
        with pytest.raises(JournalError, match="the market is not the one"):
            self.journal.append(a_slice(number, close=1.75))

    @rule()
    def close(self) -> None:
        self.journal.close()
        self.safe = len(self.expected)
        self.journal = journal_at(self.path)

    @rule()
    def crash(self) -> None:
        with contextlib.suppress(InterruptedError), self.journal:
            raise InterruptedError
        del self.expected[self.safe :]
        self.journal = journal_at(self.path)

    @rule(choice=st.data())
    def read(self, choice: st.DataObject) -> None:
        start = choice.draw(st.integers(0, len(self.expected) + 1))
        assert list(self.journal.slices(start)) == self.expected[start : self.safe]

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "journal"):
            assert self.journal.head == len(self.expected)
            assert self.journal.committed == self.safe

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()


TestSliceJournalAgainstAList = SliceJournalAgainstAList.TestCase
TestSliceJournalAgainstAList.settings = examples(30, stateful_step_count=20)


class Reads:
    """Counts the bytes that are read from journals."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        self._pread = os.pread
        monkeypatch.setattr(os, "pread", self._read)

    def _read(self, fd: int, size: int, offset: int) -> bytes:
        data = self._pread(fd, size, offset)
        self.bytes += len(data)
        return data


@pytest.mark.parametrize("per_commit", [1, 128])
def test_a_slice_is_found_without_reading_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_commit: int
) -> None:
    slices = [a_slice(number) for number in range(60_000)]
    with journal_at(tmp_path / "j") as journal:
        for market_slice in slices:
            journal.append(market_slice)
            if market_slice.number % per_commit == 0:
                journal.commit()
        journal.commit()
        size = (tmp_path / "j").stat().st_size
        assert size > 4_000_000
        reads = Reads(monkeypatch)
        assert next(journal.slices(47_001)) == slices[47_001]
        assert reads.bytes < size / 4

        reads.bytes = 0
        for market_slice in slices[1_000:]:
            assert not journal.append(market_slice)
        assert reads.bytes < 1.5 * size


def test_slices_of_many_candles_fill_a_record_sooner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.journal.slices._CANDLES_PER_RECORD", 10)
    slices = [a_slice(number) for number in range(25)]
    slices.append(MarketSlice(25, 26 * MINUTE, slices[24].candles * 30))
    slices.append(a_slice(26))
    with journal_at(tmp_path / "j") as journal:
        for market_slice in slices:
            journal.append(market_slice)
        assert journal.file.count == 3
        journal.commit()
        assert journal.file.count == 4
        assert list(journal.slices(24)) == slices[24:]
    with journal_at(tmp_path / "j") as journal:
        assert not any(journal.append(market_slice) for market_slice in slices)


def test_closing_twice_and_inside_a_block_is_closing(tmp_path: Path) -> None:
    with journal_at(tmp_path / "j") as journal:
        journal.append(a_slice(0))
        journal.close()
        journal.close()
    with journal_at(tmp_path / "j") as journal:
        assert list(journal.slices()) == [a_slice(0)]
        journal.append(a_slice(1))
        journal.abandon()
    with journal_at(tmp_path / "j") as journal:
        assert journal.head == 1


def test_a_negative_start_is_refused(tmp_path: Path) -> None:
    with journal_at(tmp_path / "j") as journal, pytest.raises(JournalError, match="got -1"):
        next(journal.slices(-1))


def test_records_that_are_no_slices_are_named(tmp_path: Path) -> None:
    for payload in (b"\x93\x00\x01\xa1x", b"\xa1x"):
        path = tmp_path / payload.hex()
        with JournalFile(path, kind="slices", sync=False) as file:
            file.append(payload)
        with pytest.raises(JournalError, match="record 0 is intact but cannot be read"):
            list(journal_at(path).slices())


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with (
        JournalFile(tmp_path / "j", kind="orders") as file,
        pytest.raises(JournalError, match="kind 'slices', got one of 'orders'"),
    ):
        SliceJournal(file)
