"""What a journal makes of a file that was cut, hit or written in part.

Whatever happens to the bytes, what is read is a prefix of what was appended, or the file is
refused and left alone. What only a crash can do is always accepted, and takes nothing committed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import JournalError
from engine.journal import JournalFile
from engine.journal.frames import HEAD, mark_at, valid_frame_after

SECTOR = 512

# Without zeros, so that zeroing a byte always changes it.
payloads = st.one_of(
    st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"\1")),
    st.integers(200, 1_600).map(lambda size: bytes(1 + i % 251 for i in range(size))),
)
commit_lists = st.lists(st.lists(payloads, min_size=1, max_size=5), min_size=1, max_size=5)


class Image(msgspec.Struct):
    """Bytes of a journal, and where what is in it ends."""

    data: bytes
    records: list[bytes]
    record_ends: list[int]
    commit_starts: list[int]
    commit_counts: list[int]

    def safe(self, commits: int) -> list[bytes]:
        """Return the records of the first so many commits."""
        return self.records[: sum(self.commit_counts[:commits])]


@contextmanager
def file_with(data: bytes = b"") -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        path.write_bytes(data)
        yield path


def opened(path: Path) -> JournalFile:
    return JournalFile(path, kind="test", sync=False)


def image_of(commits: list[list[bytes]]) -> Image:
    with file_with() as path:
        image = Image(b"", [], [], [], [len(commit) for commit in commits])
        with opened(path) as journal:
            for commit in commits:
                image.commit_starts.append(path.stat().st_size)
                end = image.commit_starts[-1] + HEAD
                for payload in commit:
                    journal.append(payload)
                    end += HEAD + len(payload)
                    image.records.append(payload)
                    image.record_ends.append(end)
                journal.commit()
                assert path.stat().st_size == end
        image.data = path.read_bytes()
    return image


def reread(data: bytes) -> list[bytes] | None:
    """Return the records of a file with these bytes; None if it is refused."""
    with file_with(data) as path:
        try:
            with opened(path) as journal:
                records = list(journal.records())
                assert journal.committed == journal.count == len(records)
                assert path.stat().st_size == max(len(data) - journal.torn_bytes, 20)
                journal.append(b"next")
        except JournalError:
            assert path.read_bytes() == data
            return None
        with opened(path) as journal:
            assert list(journal.records()) == [*records, b"next"]
            assert journal.torn_bytes == 0
    return records


@settings(deadline=None)
@given(commits=commit_lists, choice=st.data())
def test_a_cut_anywhere_leaves_exactly_the_whole_records(
    commits: list[list[bytes]], choice: st.DataObject
) -> None:
    image = image_of(commits)
    cut = choice.draw(st.integers(0, len(image.data)))
    whole = sum(end <= cut for end in image.record_ends)
    assert reread(image.data[:cut]) == image.records[:whole]


@settings(deadline=None)
@given(commits=commit_lists, flip=st.integers(1, 255), choice=st.data())
def test_a_changed_byte_is_refused_unless_it_may_be_a_torn_last_record(
    commits: list[list[bytes]], flip: int, choice: st.DataObject
) -> None:
    image = image_of(commits)
    place = choice.draw(st.integers(0, len(image.data) - 1))
    data = bytearray(image.data)
    data[place] ^= flip
    last_record = ([*image.commit_starts[-1:], *image.record_ends[:-1]])[-1]
    if image.commit_counts[-1] == 1:
        last_record = image.commit_starts[-1]
    found = reread(bytes(data))
    # The mark of the last commit may go as well: the record behind it is whole, so that is damage.
    if last_record <= place and not image.commit_starts[-1] <= place < image.commit_starts[-1] + 8:
        assert found == image.records[:-1]
    else:
        assert found is None


@settings(deadline=None)
@given(
    commits=commit_lists,
    lost=st.sets(st.integers(0, 20)),
    cut=st.integers(0, 8_000),
    lead=st.integers(0, SECTOR - 1),
)
@example(commits=[[b"a"], [b"b", b"c"]], lost={0}, cut=8_000, lead=SECTOR - 20 - 17 - 3 - 8)
@example(commits=[[b"a"], [b"b" * 600, b"c"]], lost={1}, cut=8_000, lead=100)
@example(commits=[[b"a" * 455, b""]], lost={0}, cut=8_000, lead=1)
def test_a_power_cut_takes_nothing_of_the_commits_before(
    commits: list[list[bytes]], lost: set[int], cut: int, lead: int
) -> None:
    """The disk has some sectors of the last commit, and zeros where the others belong."""
    image = image_of([[b"\1" * lead], *commits])
    start = image.commit_starts[-1]
    data = bytearray(image.data)
    for number in lost:
        first = (start // SECTOR + number) * SECTOR
        end = min(first + SECTOR, len(data))
        if end > max(first, start):
            data[max(first, start) : end] = bytes(end - max(first, start))
    found = reread(bytes(data[: max(start, len(data) - cut)] if cut < len(data) else data))
    assert found is not None
    assert found == image.records[: len(found)]
    assert len(found) >= len(image.safe(len(commits)))


@settings(deadline=None)
@given(
    commits=commit_lists,
    place=st.integers(0, 5_000),
    noise=st.binary(min_size=1, max_size=700),
    cut=st.integers(0, 700),
)
def test_whatever_overwrites_the_file_what_is_read_is_a_prefix(
    commits: list[list[bytes]], place: int, noise: bytes, cut: int
) -> None:
    image = image_of(commits)
    data = image.data[:place] + noise + image.data[place + len(noise) :]
    found = reread(data[: max(0, len(data) - cut)])
    assert found is None or found == image.records[: len(found)]


def test_a_sector_lost_from_an_earlier_commit_is_damage() -> None:
    image = image_of([[b"a" * 2_000], [b"b"]])
    data = image.data[:SECTOR] + bytes(SECTOR) + image.data[2 * SECTOR :]
    assert reread(data) is None


def test_marks_inside_a_torn_payload_are_not_taken_for_commits() -> None:
    image = image_of([[b"a"], [mark_at(7) * 30]])
    assert reread(image.data[:-1]) == [b"a"]


def test_damage_in_a_large_commit_is_found_by_following_the_length() -> None:
    large = bytes(1 + i % 255 for i in range(1 << 19))
    image = image_of([[large, b"behind"]])
    data = bytearray(image.data)
    data[1_000] ^= 1
    assert reread(bytes(data)) is None


def test_a_torn_tail_full_of_lengths_does_not_take_for_ever() -> None:
    """Every offset could begin a record of 16 MB; the search gives up in time."""
    tail = b"\0\0\0\1" * (1 << 23)
    assert valid_frame_after(tail, 20) == 0


def test_a_tail_of_zeros_is_torn() -> None:
    image = image_of([[b"a"], [b"b"]])
    assert reread(image.data + bytes(100_000)) == [b"a", b"b"]
    assert reread(image.data + mark_at(len(image.data))) == [b"a", b"b"]


@pytest.mark.parametrize("size", [0, 1, 8, 19, 20])
def test_a_header_that_never_reached_the_disk_is_written_anew(size: int) -> None:
    image = image_of([[b"a"]])
    assert reread(bytes(size)) == []
    assert reread(image.data[:size]) == []


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"PK\x03\x04" + bytes(20), "not a journal"),
        (b"CHJRNL\x02\x00" + bytes(20), "journal format 2 is newer than 1"),
        (b"CHJRNL\x01\x00" + bytes(20), "need a journal of kind 'test', found a damaged header"),
        (b"CHJRNL\x00\x00" + bytes(20), "need a journal of kind 'test', found a damaged header"),
    ],
)
def test_a_file_that_is_no_journal_is_refused(head: bytes, message: str) -> None:
    with file_with(head) as path:
        with pytest.raises(JournalError, match=message):
            opened(path)
        assert path.read_bytes() == head


def test_a_file_cut_while_it_is_read_is_an_error_not_an_end() -> None:
    with file_with() as path, opened(path) as journal:
        for _ in range(4):
            journal.append(b"a" * 40_000)
            journal.commit()
        with path.open("r+b") as other:
            other.truncate(100_000)
        with pytest.raises(JournalError, match="record 2 at byte 80052 is damaged"):
            list(journal.records())
