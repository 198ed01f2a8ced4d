"""Snapshots: whole or not at all, the newest two, whatever the name."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import JournalError
from engine.journal import SnapshotStore


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "s", sync=True)
    assert store.newest("a") is None
    for seq in (3, 10, 9):
        store.write("a", seq, b"state %d" % seq)
    assert store.newest("a") == (10, b"state 10")
    assert store.newest("a", at_most=9) == (9, b"state 9")
    assert store.newest("a", at_most=8) is None
    store.drop("a")
    store.drop("a")
    assert store.newest("a") is None


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
