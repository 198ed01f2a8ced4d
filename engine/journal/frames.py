"""The form of records on disk: framed, checksummed, and marked where a commit begins.

A frame is ``length (u32) | crc32 (u32) | payload``, little-endian. The checksum starts from the
length, so a run of zeros is not a frame, and neither is a frame with a damaged length.

Every commit begins with a mark, which depends on where it is, so the bytes of a mark inside a
payload are not taken for one. A tail that a crash tore lies inside the newest commit; damage
that is followed by another mark hit something that was already safe. That is how a reader can
tell the two apart without reading commit sizes that may themselves be damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from zlib import crc32

__all__ = [
    "CHUNK",
    "HEAD",
    "MAX_PAYLOAD",
    "encode_frame",
    "has_mark",
    "has_missing_sector",
    "mark_at",
    "read_frames",
    "valid_frame_after",
    "walk",
]

MAX_PAYLOAD = 1 << 28
"""Largest payload, bytes; a length beyond it is damage, or a mark."""

CHUNK = 1 << 16
"""Bytes read at once; also how far apart the entries of an index are."""

HEAD = 8
"""Bytes of a frame before its payload, and of a mark."""

_WORDS = struct.Struct("<II")
_OFFSET = struct.Struct("<Q")
_MARK = b"\xc1CMT"  # 0xC1 is neither UTF-8 nor the start of any msgpack value
_SEED = 0x43484F52
_SECTOR = 512
_SEARCH_STEP = 1 << 24
_SEARCH_OFFSETS = 1 << 18
_SEARCH_BYTES = 1 << 28


def encode_frame(payload: bytes) -> bytes:
    """Return the frame of a payload of at most `MAX_PAYLOAD` bytes."""
    length = len(payload)
    return _WORDS.pack(length, crc32(payload, length ^ _SEED)) + payload


def mark_at(offset: int) -> bytes:
    """Return what a commit at this offset of a file begins with."""
    return _MARK + crc32(_OFFSET.pack(offset)).to_bytes(4, "little")


def read_frames(data: bytes, payloads: list[bytes], offset: int) -> tuple[int, int]:
    """Append the payloads of all whole frames at the start of `data` to `payloads`.

    Args:
        data: Bytes from a frame or a mark on.
        payloads: Is added to.
        offset: Where in the file `data` begins.

    Returns:
        Bytes up to the end of the last good frame, and how many bytes from there on it takes to
        go on: more than there are where the next frame is cut off, 0 where it is damaged.
    """
    position = good = 0
    size = len(data)
    unpack, take = _WORDS.unpack_from, payloads.append
    while (start := position + HEAD) <= size:
        length, checksum = unpack(data, position)
        if length > MAX_PAYLOAD:
            if data[position:start] != mark_at(offset + position):
                return good, 0
            position = start
            continue
        end = start + length
        if end > size:
            return good, end - good
        payload = data[start:end]
        if crc32(payload, length ^ _SEED) != checksum:
            return good, 0
        take(payload)
        position = good = end
    return good, start - good


def walk(
    read: Callable[[int, int], bytes], start: int, end: int
) -> Iterator[tuple[int, list[bytes]]]:
    """Read frames from `start` as far as they are good, at most to `end`.

    Args:
        read: Returns the bytes at ``(offset, size)``.
        start: Offset of a frame or a mark.
        end: Offset to stop at.

    Yields:
        Payloads, and the offset after the last of them.
    """
    needed = 0
    while start < end:
        size = min(max(CHUNK, needed), end - start)
        data = read(start, size)
        payloads: list[bytes] = []
        good, needed = read_frames(data, payloads, start)
        start += good
        if payloads:
            yield start, payloads
        elif not needed or start + needed > end or len(data) < size:
            return


def has_mark(read: Callable[[int, int], bytes], start: int, end: int) -> bool:
    """Tell whether a commit begins between two offsets; `read` as for `walk`."""
    for offset in range(start, end, _SEARCH_STEP):
        data = read(offset, _SEARCH_STEP + HEAD - 1)
        place = data.find(_MARK)
        while place >= 0:
            if data[place : place + HEAD] == mark_at(offset + place):
                return True
            place = data.find(_MARK, place + 1)
    return False


def valid_frame_after(data: bytes, offset: int) -> int:
    """Return where in `data` a valid frame is, behind the damaged one that it begins with.

    Args:
        data: The rest of a commit, from the damaged frame (or mark) on.
        offset: Where in the file `data` begins.

    Returns:
        0 if there is none. Where the length of a frame is damaged its successor is searched for
        within the next 256 KiB only: a torn tail must not take minutes to open.
    """
    start = HEAD if data.startswith(mark_at(offset)) else 0
    last = len(data) - HEAD
    if start > last:
        return 0
    length: int
    length, _ = _WORDS.unpack_from(data, start)
    if _is_frame(data, start + HEAD + length):
        return start + HEAD + length
    budget = _SEARCH_BYTES
    for place in range(start + 1, min(last + 1, _SEARCH_OFFSETS)):
        length, _ = _WORDS.unpack_from(data, place)
        if length > last - place:
            continue
        if _is_frame(data, place):
            return place
        budget -= length
        if budget < 0:
            break
    return 0


def has_missing_sector(data: bytes, offset: int, valid: int) -> bool:
    """Tell whether a disk sector before the first `valid` bytes of `data` have ended is zero.

    After a power cut some sectors of a write may be there and others not; those read as zeros.
    The first one may begin before `data`, with the end of the commit before; then it is the mark
    that is missing, or as much of it as that sector had room for.

    Args:
        data: The rest of a commit, from its first damaged record on.
        offset: Where in the file `data` begins.
        valid: Where in `data` the next valid record begins; its first bytes may be zeros too.
    """
    first = -offset % _SECTOR
    blank = bytes(_SECTOR)
    if first and data[:first] == blank[:first] and data[first:HEAD] == mark_at(offset)[first:]:
        return True
    return any(data[place : place + _SECTOR] == blank for place in range(first, valid, _SECTOR))


def _is_frame(data: bytes, place: int) -> bool:
    if place + HEAD > len(data):
        return False
    length: int
    checksum: int
    length, checksum = _WORDS.unpack_from(data, place)
    payload = data[place + HEAD : place + HEAD + length]
    return len(payload) == length and crc32(payload, length ^ _SEED) == checksum
