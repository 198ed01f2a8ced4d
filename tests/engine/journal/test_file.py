"""What a journal file keeps, whatever happens to it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from engine.errors import JournalError
from engine.journal import JournalFile


def written(path: Path, *commits: list[bytes]) -> Path:
    with JournalFile(path, kind="test", sync=False) as journal:
        for payloads in commits:
            for payload in payloads:
                journal.append(payload)
            journal.commit()
    return path


def read(path: Path) -> list[bytes]:
    with JournalFile(path, kind="test", sync=False) as journal:
        return list(journal.records())


def test_records_come_back_in_order_with_their_indices(tmp_path: Path) -> None:
    with JournalFile(tmp_path / "j", kind="test") as journal:
        assert [journal.append(b"a"), journal.append(b""), journal.append(b"c" * 70_000)] == [
            0,
            1,
            2,
        ]
        assert (journal.count, journal.committed) == (3, 0)
        assert list(journal.records()) == []
        journal.commit()
        assert (journal.count, journal.committed) == (3, 3)
        assert list(journal.records()) == [b"a", b"", b"c" * 70_000]
        assert journal.append(b"d") == 3
    assert read(tmp_path / "j") == [b"a", b"", b"c" * 70_000, b"d"]


def test_a_torn_tail_is_cut_off_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "j", [b"one"], [b"two", b"three"])
    path.write_bytes(path.read_bytes()[:-2])
    with JournalFile(path, kind="test") as journal:
        assert journal.torn_bytes == 8 + 3
        assert list(journal.records()) == [b"one", b"two"]
        journal.append(b"four")
    assert read(path) == [b"one", b"two", b"four"]


def test_damage_before_a_later_record_is_refused_and_nothing_changed(tmp_path: Path) -> None:
    path = written(tmp_path / "j", [b"one"], [b"two"])
    data = path.read_bytes().replace(b"one", b"onE")
    path.write_bytes(data)
    with pytest.raises(JournalError, match="record 0 at byte 20 is damaged and a later commit"):
        JournalFile(path, kind="test")
    assert path.read_bytes() == data


def test_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "j", [b"one"])
    with pytest.raises(JournalError, match="need a journal of kind 'other', found 'test'"):
        JournalFile(path, kind="other")


def test_a_second_opening_is_refused(tmp_path: Path) -> None:
    with (
        JournalFile(tmp_path / "j", kind="test"),
        pytest.raises(JournalError, match="open already"),
    ):
        JournalFile(tmp_path / "j", kind="test")


@pytest.mark.parametrize("start", [0, 1, 499, 500, 1_999, 2_000, 9_000])
def test_records_are_read_from_any_index(tmp_path: Path, start: int) -> None:
    payloads = [b"%d" % number * (number % 60) for number in range(2_000)]
    path = written(tmp_path / "j", payloads[:3], payloads[3:400], *[[p] for p in payloads[400:]])
    with JournalFile(path, kind="test") as journal:
        assert list(journal.records(start)) == payloads[start:]
        journal.append(b"new")
        journal.commit()
        assert list(journal.records(start)) == [*payloads, b"new"][start:]


def test_a_reading_ends_where_the_journal_ended_when_it_began(tmp_path: Path) -> None:
    with JournalFile(written(tmp_path / "j", [b"one", b"two"]), kind="test") as journal:
        reading = journal.records()
        assert next(reading) == b"one"
        journal.append(b"three")
        journal.commit()
        assert list(reading) == [b"two"]
        with pytest.raises(JournalError, match="records start at 0, got -1"):
            next(journal.records(-1))


def test_a_commit_is_one_write_and_one_flush_and_none_without_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JournalFile(tmp_path / "j", kind="test") as journal:
        calls: list[str] = []
        write = os.write
        monkeypatch.setattr(os, "write", lambda *a: [calls.append("write"), write(*a)][1])
        monkeypatch.setattr("engine.journal.disk._fdatasync", lambda fd: calls.append("flush"))
        for _ in range(100):
            journal.append(b"record")
        assert calls == []
        journal.commit()
        journal.commit()
        assert calls == ["write", "flush"]


def test_what_is_read_on_opening_is_flushed_before_it_is_acted_upon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed process may have written it and never waited for the disk."""
    path = written(tmp_path / "j", [b"one"])
    flushed: list[str] = []
    monkeypatch.setattr("engine.journal.disk._fdatasync", lambda fd: flushed.append("file"))
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append("folder"))
    JournalFile(path, kind="test").close()
    assert flushed == ["file", "folder"]
    JournalFile(path, kind="test", sync=False).close()
    assert flushed == ["file", "folder"]


def test_closing_commits_and_an_exception_does_not(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path / "j", kind="test")
    journal.append(b"kept")
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="the journal is closed"):
        journal.append(b"late")
    with pytest.raises(JournalError, match="the journal is closed"):
        list(journal.records())
    with contextlib.suppress(InterruptedError), JournalFile(journal.path, kind="test") as journal:
        journal.append(b"dropped")
        raise InterruptedError
    assert read(tmp_path / "j") == [b"kept"]


def test_a_record_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.journal.file.MAX_PAYLOAD", 10)
    with JournalFile(tmp_path / "j", kind="test") as journal:
        journal.append(b"0123456789")
        with pytest.raises(JournalError, match="may hold 10 bytes, got 11"):
            journal.append(b"0123456789a")
