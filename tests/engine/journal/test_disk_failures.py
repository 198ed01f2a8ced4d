"""A disk that does not take what it is given: said clearly, and nothing half-written stays."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from engine.errors import JournalError
from engine.journal import JournalFile, SliceJournal, SnapshotStore
from engine.types import MarketSlice
from tests.engine.journal.disks import TinyDisk

LIMITED = """
import resource, sys
from engine.errors import JournalError
from engine.journal import JournalFile
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
journal = JournalFile(sys.argv[1], kind="test")
try:
    while True:
        journal.append(b"x" * 999)
        journal.commit()
except JournalError as error:
    print(journal.committed, error)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalFile]:
    journal = JournalFile(tmp_path / "j", kind="test")
    journal.append(b"safe")
    journal.commit()
    yield journal
    journal.close()


def records_of(path: Path) -> list[bytes]:
    with JournalFile(path, kind="test") as journal:
        assert journal.torn_bytes == 0
        return list(journal.records())


def fail_writes(monkeypatch: pytest.MonkeyPatch, *outcomes: int | BaseException) -> None:
    """Let writes take so many bytes, or raise, one after another."""
    script = iter(outcomes)
    write = os.write

    def scripted(fd: int, data: bytes) -> int:
        outcome = next(script)
        if isinstance(outcome, BaseException):
            raise outcome
        return write(fd, bytes(data)[:outcome])

    monkeypatch.setattr(os, "write", scripted)


def refuse(*args: object) -> NoReturn:
    raise OSError(errno.EIO, "Input/output error")


def fill(journal: JournalFile) -> None:
    while True:
        journal.append(b"x" * 5_000)
        journal.commit()


def require_failed(journal: JournalFile) -> None:
    """Check that a journal whose commit failed takes nothing and has lost nothing."""
    assert journal.failed
    assert (journal.count, journal.committed) == (1, 1)
    with pytest.raises(JournalError, match="takes no records since a commit failed"):
        journal.append(b"more")
    with pytest.raises(JournalError, match="takes no records since a commit failed"):
        journal.commit()
    assert list(journal.records()) == [b"safe"]
    journal.close()
    with JournalFile(journal.path, kind="test") as again:
        assert list(again.records()) == [b"safe"]
        again.append(b"more")
    assert records_of(journal.path) == [b"safe", b"more"]


@contextmanager
def refused_commit(
    journal: JournalFile,
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    kind: type[BaseException] = JournalError,
) -> Iterator[pytest.MonkeyPatch]:
    """Let the block break the disk; a commit after it has to fail, and to lose nothing."""
    journal.append(b"lost")
    with monkeypatch.context() as patch:
        yield patch
        with pytest.raises(kind, match=message):
            journal.commit()
    require_failed(journal)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, r"No space left on device \(free: .* MiB\); make room on the disk"),
        (errno.EIO, r"Input/output error \(free: .* MiB\); the disk reports an error"),
        (errno.EROFS, r"Read-only file system \(free: .* MiB\); .*name a folder on a writable one"),
        (errno.EACCES, r"Permission denied \(free: .* MiB\); .*name a folder you may write to"),
    ],
)
def test_a_refused_write_is_taken_back(
    journal: JournalFile, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    name = re.escape(repr(str(journal.path)))
    message = rf"^{name}: cannot commit 1 record.*{message}.*cut back to its last commit"
    with refused_commit(journal, monkeypatch, message) as patch:
        fail_writes(patch, 10, OSError(code, os.strerror(code)))


def test_a_write_that_takes_nothing_more_is_an_error(
    journal: JournalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused_commit(journal, monkeypatch, "takes no more bytes") as patch:
        fail_writes(patch, 10, 0)


def test_a_failed_flush_is_a_failed_commit(
    journal: JournalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused_commit(journal, monkeypatch, "cut back to its last commit") as patch:
        patch.setattr("engine.journal.disk._fdatasync", refuse)


def test_an_interrupt_in_a_commit_fails_it_as_well(
    journal: JournalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused_commit(journal, monkeypatch, "^$", KeyboardInterrupt) as patch:
        fail_writes(patch, 9, KeyboardInterrupt())


def test_a_file_that_cannot_be_cut_back_is_mended_when_it_is_opened(
    journal: JournalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused_commit(journal, monkeypatch, "could not be cut back to byte 40 either") as patch:
        fail_writes(patch, 10, OSError(errno.EIO, "Input/output error"))
        patch.setattr(os, "ftruncate", refuse)


def test_a_short_write_is_carried_on_with(
    journal: JournalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(b"kept")
    with monkeypatch.context() as patch:
        fail_writes(patch, 3, 2, 1_000)
        journal.commit()
    journal.close()
    assert records_of(journal.path) == [b"safe", b"kept"]


def test_a_disk_error_while_reading_is_named(
    journal: JournalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", refuse)
        with pytest.raises(JournalError, match="cannot read 20 bytes at 20: Input/output error"):
            list(journal.records())


def test_a_limit_on_file_sizes_ends_at_a_whole_record(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", LIMITED, str(tmp_path / "j")],
        capture_output=True,
        text=True,
        check=True,
    )
    committed, _, message = done.stdout.partition(" ")
    assert "File too large" in message
    assert "ulimit -f" in message
    assert len(records_of(tmp_path / "j")) == int(committed) == 9


def test_a_full_disk_ends_at_a_whole_record_and_goes_on_when_there_is_room(
    tiny_disk: TinyDisk,
) -> None:
    path = tiny_disk.folder / "j"
    ballast = tiny_disk.folder / "ballast"
    ballast.write_bytes(bytes(100_000))
    journal = JournalFile(path, kind="test")
    with pytest.raises(JournalError, match=r"No space left on device \(free: 0.0 MiB\)"):
        fill(journal)
    committed = journal.committed
    journal.close()
    assert len(records_of(path)) == committed > 10

    store = SnapshotStore(tiny_disk.folder)
    with pytest.raises(JournalError, match="write snapshot 7 of 'a'"):
        store.write("a", 7, bytes(50_000))
    assert store.newest("a") is None

    ballast.unlink()
    with JournalFile(path, kind="test") as journal:
        journal.append(b"room")
    assert records_of(path)[-1] == b"room"
    store.write("a", 7, bytes(50_000))
    assert store.newest("a") == (7, bytes(50_000))


def test_a_read_only_disk_is_refused_on_opening(tiny_disk: TinyDisk) -> None:
    tiny_disk.make_read_only()
    with pytest.raises(JournalError, match=r"Read-only file system .*writable one"):
        JournalFile(tiny_disk.folder / "j", kind="test")


@pytest.mark.parametrize(
    ("name", "message"), [(".", "Is a directory"), ("no/j", "make its folder")]
)
def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(JournalError, match=message):
        JournalFile(tmp_path / name, kind="test")


def test_slices_of_a_failed_commit_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = [MarketSlice(number, number, ()) for number in range(700)]
    journal = SliceJournal(JournalFile(tmp_path / "j", kind="slices"))
    journal.append(slices[0])
    journal.commit()
    for market_slice in slices[1:]:
        journal.append(market_slice)
    with monkeypatch.context() as patch:
        fail_writes(patch, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(JournalError, match="No space left"):
            journal.commit()
    assert journal.head == journal.committed == 1
    with pytest.raises(JournalError, match="takes no records"):
        journal.append(slices[1])
    journal.close()
    with SliceJournal(JournalFile(tmp_path / "j", kind="slices")) as journal:
        assert journal.append(slices[1])
        assert list(journal.slices()) == slices[:1]
