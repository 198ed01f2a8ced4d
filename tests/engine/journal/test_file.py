"""What a journal file keeps, whatever happens to it."""

from __future__ import annotations

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
