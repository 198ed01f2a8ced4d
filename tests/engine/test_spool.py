"""A shelf reads as the list of what was put on it, whatever else shares its file."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import JournalError
from engine.spool import NumberedLines, Shelf, Spool, decoder_of

Item = tuple[int, str]

texts = decoder_of(Item)
items = st.tuples(st.integers(0, 1_000), st.sampled_from(["", "fill", "x" * 700, "y" * 5_000]))
puts = st.lists(st.tuples(st.sampled_from("abc"), items), max_size=60)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path)) as spool:
        yield spool


@given(puts=puts, looks=st.sets(st.integers(0, 60)))
def test_shelves_that_share_a_file_read_as_lists(
    puts: list[tuple[str, Item]], looks: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(Spool(Path(folder))) as spool:
        shelves: dict[str, Shelf[Item]] = {name: Shelf(spool, texts) for name in "abc"}
        lists: dict[str, list[Item]] = {name: [] for name in "abc"}
        for number, (name, item) in enumerate(puts):
            shelves[name].append(item)
            lists[name].append(item)
            if number in looks:
                assert list(shelves[name]) == lists[name]
        for name in "abc":
            assert list(shelves[name]) == lists[name]
            assert len(shelves[name]) == len(lists[name])


lines = st.lists(st.sampled_from([b"a\n", b"\n", b"x" * 9_000 + b"\n", b"y" * 70_000 + b"\n"]))


@given(
    batches=st.lists(lines, max_size=20),
    reads=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8),
    is_on_disk=st.booleans(),
)
def test_numbered_lines_read_as_slices_of_a_list(
    *, batches: list[list[bytes]], reads: list[tuple[int, int]], is_on_disk: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(Spool(Path(folder))) as spool:
        numbered = NumberedLines(spool if is_on_disk else None)
        listed: list[bytes] = []
        for batch in batches:
            numbered.extend(batch)
            listed += batch
            assert len(numbered) == len(listed)
            for start, limit in reads:
                assert numbered.read(start, limit) == listed[start : start + limit]


def test_tiny_items_by_the_hundred_thousand_stay_in_their_order(spool: Spool) -> None:
    shelf = Shelf(spool, decoder_of(int))
    for number in range(100_000):
        shelf.append(number)
    assert list(shelf) == list(range(100_000))


def test_the_file_has_no_name(spool: Spool, tmp_path: Path) -> None:
    shelf = Shelf(spool, decoder_of(str))
    shelf.append("x" * 5_000)
    assert list(tmp_path.iterdir()) == []


def test_a_write_cut_short_is_gone_on_with(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: write(file, bytes(data[:7]), at))
    shelf = Shelf(spool, decoder_of(str))
    shelf.append("0123456789" * 300)
    assert list(shelf) == ["0123456789" * 300]


def test_a_full_disk_names_folder_and_remedy(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shelf = Shelf(spool, decoder_of(str))
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(JournalError, match=f"{tmp_path}.*No space left.*needs room"):
        shelf.append("x" * 5_000)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"nowhere.*No such file"):
        Spool(tmp_path / "nowhere")
