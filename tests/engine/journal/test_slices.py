"""The durable slice log: gap-free, first write wins, found by number."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import JournalError
from engine.journal import JournalFile, SliceJournal
from engine.types import Candle, MarketSlice

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
