"""Snapshots: whole or not at all, the newest two, whatever the name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.errors import JournalError
from engine.journal import SnapshotStore
from engine.journal.frames import encode_frame


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "s", sync=True)
    assert store.newest("a") is None
    for seq in (3, 9, 10):
        store.write("a", seq, b"state %d" % seq)
    assert store.newest("a") == (10, b"state 10")
    assert store.newest("a", at_most=9) == (9, b"state 9")
    assert store.newest("a", at_most=8) is None
    store.drop("a")
    store.drop("a")
    assert store.newest("a") is None


@pytest.mark.parametrize("seq", [3, 4, 8])
def test_whoever_writes_a_lower_number_has_gone_back_behind_the_higher_ones(
    tmp_path: Path, seq: int
) -> None:
    store = SnapshotStore(tmp_path, sync=True)
    for old in (3, 9):
        store.write("a", old, b"then")
    store.write("a", seq, b"now")
    assert store.newest("a") == (seq, b"now")
    assert store.newest("a", at_most=seq - 1) == (None if seq == 3 else (3, b"then"))


def test_what_lies_ahead_of_the_journals_is_forgotten(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "s")
    for name in ("a", "b"):
        for seq in (3, 9):
            store.write(name, seq, b"state")
    store.rewind("a", 9)
    store.rewind("never written", 0)
    assert store.newest("a") == (9, b"state")
    store.rewind("a", 8)
    assert store.newest("a") == (3, b"state")
    store.rewind("a", 2)
    assert store.newest("a") is None
    assert store.newest("b") == (9, b"state")


def test_crashes_leave_no_heap_of_drafts(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.write("a", 1, b"state")
    (of_a,) = tmp_path.iterdir()
    (of_a / "unfinished.tmp").write_bytes(b"half of a state")
    assert store.newest("a") == (1, b"state")
    store.write("a", 2, b"state")
    assert {file.name for file in of_a.iterdir()} == {"1.snapshot", "2.snapshot"}


def test_a_snapshot_that_could_not_be_read_back_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.journal.snapshots.MAX_PAYLOAD", 1_000)
    store = SnapshotStore(tmp_path)
    store.write("a", 1, b"x" * 990)
    with pytest.raises(JournalError, match="snapshot 2 of 'a': may take 1000 bytes, needs 1007"):
        store.write("a", 2, b"x" * 999)
    assert store.newest("a") == (1, b"x" * 990)


def test_a_damaged_file_falls_back_to_the_older(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.write("a", 1, b"old")
    store.write("a", 2, b"new")
    (newest,) = tmp_path.glob("*/2.snapshot")
    data = newest.read_bytes()
    for place in range(len(data)):
        newest.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert store.newest("a") == (1, b"old")
        newest.write_bytes(data[:place])
        assert store.newest("a") == (1, b"old")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../up", "/etc/x", "a/b", "a\\b", "x" * 5_000, "é\x00\n", "\ud800", "A", "a"],
)
def test_any_name_is_kept_apart_and_inside_the_folder(tmp_path: Path, name: str) -> None:
    store = SnapshotStore(tmp_path / "s")
    store.write("other", 1, b"other")
    store.write(name, 1, b"own")
    assert store.newest(name) == (1, b"own")
    assert store.newest("other") == (1, b"other")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    store.drop(name)
    assert store.newest("other") == (1, b"other")


def test_a_negative_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="numbers start at 0, got -1"):
        SnapshotStore(tmp_path).write("a", -1, b"")


def test_a_file_in_the_place_of_another_counts_as_damaged(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.write("a", 1, b"of a")
    store.write("b", 1, b"of b")
    store.write("b", 2, b"newer")
    (of_a,) = tmp_path.glob("a-*/1.snapshot")
    (newest_of_b,) = tmp_path.glob("b-*/2.snapshot")
    newest_of_b.write_bytes(of_a.read_bytes())
    assert store.newest("b") == (1, b"of b")
    newest_of_b.write_bytes(b"CHSNAP\x01\x00" + encode_frame(b"\xa1x"))
    assert store.newest("b") == (1, b"of b")
    (newest_of_b.parent / "notes.txt").write_text("not a snapshot")
    (newest_of_b.parent / "x.snapshot").write_text("not a snapshot")
    assert store.newest("b") == (1, b"of b")


@pytest.mark.parametrize(
    ("code", "falls_back"), [(errno.EIO, True), (errno.ENOENT, True), (errno.EACCES, False)]
)
def test_an_unreadable_file_falls_back_unless_all_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, falls_back: bool
) -> None:
    store = SnapshotStore(tmp_path)
    store.write("a", 1, b"old")
    store.write("a", 2, b"new")
    read_bytes = Path.read_bytes

    def refuse_newest(path: Path) -> bytes:
        if path.name == "2.snapshot":
            raise OSError(code, os.strerror(code))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse_newest)
    if falls_back:
        assert store.newest("a") == (1, b"old")
    else:
        with pytest.raises(JournalError, match="cannot read the snapshots of 'a': Permission"):
            store.newest("a")


@pytest.mark.parametrize("call", ["write", "replace"])
def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = SnapshotStore(tmp_path)
    store.write("a", 1, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(*{"write": (os, "write"), "replace": (Path, "replace")}[call], refuse)
        with pytest.raises(JournalError, match="cannot write snapshot 2 of 'a': No space left"):
            store.write("a", 2, b"new")
        with pytest.raises(JournalError, match="cannot write snapshot 1 of 'a': No space left"):
            store.write("a", 1, b"again")
    assert store.newest("a") == (1, b"old")
    assert [path.name for path in tmp_path.glob("*/*")] == ["1.snapshot"]


def test_a_snapshot_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    replace = Path.replace
    fsync = os.fsync
    monkeypatch.setattr("engine.journal.disk._fdatasync", lambda fd: calls.append("data"))
    monkeypatch.setattr(Path, "replace", lambda *a: [calls.append("rename"), replace(*a)][1])
    monkeypatch.setattr(os, "fsync", lambda fd: [calls.append("folder"), fsync(fd)][1])
    SnapshotStore(tmp_path / "s", sync=True).write("a", 1, b"state")
    assert calls == ["folder", "folder", "data", "rename", "folder"]
    calls.clear()
    SnapshotStore(tmp_path / "t").write("a", 1, b"state")
    assert calls == ["rename"]


def test_files_that_cannot_be_removed_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    store = SnapshotStore(tmp_path)
    store.write("a", 1, b"state")
    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(JournalError, match="cannot remove the snapshots of 'a': Permission"):
        store.drop("a")
