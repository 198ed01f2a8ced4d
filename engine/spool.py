"""Sequences that only grow and are seldom read: kept in a file, so that memory stays flat.

What an order manager has done has to be known for good, for reports and for whoever has to live
through it again, but hardly ever. A `Shelf` keeps one such sequence, of which all is read at once;
`NumberedLines` one of which any part may be; a `Spool` is the file they share. The file is private
scratch: it has no name, goes with the process, and is written again from the journal by the next
one.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from engine.errors import JournalError

__all__ = ["Kept", "NumberedLines", "Shelf", "Spool", "decoder_of", "kept"]

_CHUNK_BYTES = 2048
"""Of one shelf, written at once. Half of it is the memory a busy shelf takes."""

_CHUNK_OF_LINES = 65_536
"""Bytes of numbered lines, written at once; there is one such sequence where shelves are many."""

_MOST_AT_ONCE = 65_535
"""Items of a chunk; the length of a msgpack array of this form has two bytes."""

_ARRAY_OF_16_BITS = b"\xdc"

_encode = msgspec.msgpack.Encoder().encode

T = TypeVar("T")


class Spool:
    """A scratch file that only grows.

    Args:
        folder: Where it lies; it never has a name there.

    Raises:
        JournalError: It cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._end = 0
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - lives on
        except OSError as error:
            raise self._failure("make a scratch file", error) from error

    def close(self) -> None:
        """Give the file back; what was put there is gone."""
        self._file.close()

    def put(self, data: bytes) -> int:
        """Append and return the offset.

        Raises:
            JournalError: The disk is full or broken.
        """
        offset = self._end
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._file.fileno(), view, self._end)
                self._end += written
                view = view[written:]
        except OSError as error:
            raise self._failure("write to a scratch file", error) from error
        return offset

    def get(self, offset: int, size: int) -> bytes:
        """Return what was put there.

        Raises:
            JournalError: It cannot be read back.
        """
        try:
            data = os.pread(self._file.fileno(), size, offset)
        except OSError as error:
            raise self._failure("read a scratch file", error) from error
        if len(data) != size:
            raise JournalError(
                f"scratch file in {self._folder}: {size} bytes were written at {offset}, "
                f"{len(data)} are there"
            )
        return data

    def _failure(self, what: str, error: OSError) -> JournalError:
        return JournalError(
            f"folder {self._folder}: cannot {what}: {error.strerror}; the disk it is on needs room "
            "and has to be writable"
        )


class Shelf(Generic[T]):
    """One sequence: the newest items encoded in memory, the others in the spool.

    Args:
        spool: Where it goes.
        decode: Decodes a msgpack array of items.
    """

    __slots__ = ("_count", "_decode", "_places", "_recent", "_recent_count", "_spool")

    def __init__(self, spool: Spool, decode: Callable[[bytes], list[T]]) -> None:
        self._spool = spool
        self._decode = decode
        self._recent = bytearray()
        self._recent_count = 0
        self._count = 0
        # Offset and size of each chunk.
        self._places = array("Q")

    def __len__(self) -> int:
        return self._count

    def append(self, item: T) -> None:
        """Add an item.

        Raises:
            JournalError: The disk is full or broken.
        """
        self._recent += _encode(item)
        self._recent_count += 1
        self._count += 1
        if len(self._recent) >= _CHUNK_BYTES or self._recent_count == _MOST_AT_ONCE:
            chunk = self._chunk()
            self._places.extend((self._spool.put(chunk), len(chunk)))
            self._recent.clear()
            self._recent_count = 0

    def _chunk(self) -> bytes:
        return _ARRAY_OF_16_BITS + self._recent_count.to_bytes(2, "big") + self._recent

    def __iter__(self) -> Iterator[T]:
        places = self._places
        for n in range(0, len(places), 2):
            yield from self._decode(self._spool.get(places[n], places[n + 1]))
        yield from self._decode(self._chunk())


class NumberedLines:
    """Lines, each ending in its only newline, that are read from any number on.

    The newest are in memory, the others in the spool, 64 kB at a time. An index of 24 bytes for
    each such chunk stays in memory.

    Args:
        spool: Where they go; None: all stay in memory.
    """

    __slots__ = ("_count", "_firsts", "_offsets", "_recent", "_size", "_spool")

    def __init__(self, spool: Spool | None) -> None:
        self._spool = spool
        self._recent: list[bytes] = []
        self._size = 0
        self._count = 0
        # Of each chunk: number of its first line, and where it begins.
        self._firsts = array("Q")
        self._offsets = array("Q")

    def __len__(self) -> int:
        return self._count

    def extend(self, lines: Sequence[bytes]) -> None:
        """Add lines.

        Raises:
            JournalError: The disk is full or broken.
        """
        self._recent += lines
        self._count += len(lines)
        if self._spool is None:
            return
        self._size += sum(map(len, lines))
        if self._size >= _CHUNK_OF_LINES:
            chunk = b"".join(self._recent)
            self._firsts.append(self._count - len(self._recent))
            self._offsets.extend((self._spool.put(chunk), len(chunk)))
            self._recent.clear()
            self._size = 0

    def read(self, start: int, limit: int) -> list[bytes]:
        """Return up to `limit` lines from number `start` (from 0) on.

        Raises:
            JournalError: They cannot be read back.
        """
        found: list[bytes] = []
        chunk = max(0, bisect_right(self._firsts, start) - 1)
        while len(found) < limit and chunk <= len(self._firsts):
            first, lines = self._chunk(chunk)
            skipped = max(0, start - first)
            found += lines[skipped : skipped + limit - len(found)]
            chunk += 1
        return found

    def _chunk(self, n: int) -> tuple[int, list[bytes]]:
        """Return a chunk and the number of its first line; behind the last: what is in memory."""
        if self._spool is None or n == len(self._firsts):
            return self._count - len(self._recent), self._recent
        data = self._spool.get(self._offsets[2 * n], self._offsets[2 * n + 1])
        return self._firsts[n], data.splitlines(keepends=True)


def decoder_of(item: Any) -> Callable[[bytes], list[Any]]:
    """Return what decodes a msgpack array of items of a type."""
    decode: Callable[[bytes], list[Any]] = msgspec.msgpack.Decoder(list[item]).decode
    return decode


Kept = list[T] | Shelf[T]
"""A sequence that only grows, in memory or on a shelf."""


def kept(spool: Spool | None, decode: Callable[[bytes], list[T]]) -> Kept[T]:
    """Return an empty sequence: on a shelf of the spool, or in memory where there is none."""
    return [] if spool is None else Shelf(spool, decode)
