"""The form of records on disk: framed, checksummed, and marked where a commit begins.

A frame is ``length (u32) | crc32 (u32) | payload``, little-endian. The checksum starts from the
length, so a run of zeros is not a frame, and neither is a frame with a damaged length.

Every commit begins with `MARK`. A tail that a crash tore lies inside the newest commit; damage
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
    "MARK",
    "MAX_PAYLOAD",
    "encode_frame",
    "has_missing_sector",
    "read_frames",
    "valid_frame_after",
    "walk",
]

MAX_PAYLOAD = 1 << 28
"""Largest payload, bytes; a length beyond it is damage, or a mark."""

MARK = b"\xc1COMMIT\xc1"
"""Where a commit begins. 0xC1 is neither UTF-8 nor the start of any msgpack value."""

CHUNK = 1 << 16
"""Bytes read at once; also how far apart the entries of an index are."""

HEAD = 8
"""Bytes of a frame before its payload, and of a mark."""

_WORDS = struct.Struct("<II")
_SEED = 0x43484F52
_SECTOR = 512
_SEARCH_OFFSETS = 1 << 18
_SEARCH_BYTES = 1 << 28


def encode_frame(payload: bytes) -> bytes:
    """Return the frame of a payload of at most `MAX_PAYLOAD` bytes."""
    length = len(payload)
    return _WORDS.pack(length, crc32(payload, length ^ _SEED)) + payload


def read_frames(data: bytes, payloads: list[bytes]) -> tuple[int, int]:
    """Append the payloads of all whole frames at the start of `data` to `payloads`.

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
            if data[position:start] != MARK:
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
        payloads: list[bytes] = []
        good, needed = read_frames(read(start, min(max(CHUNK, needed), end - start)), payloads)
        start += good
        if payloads:
            yield start, payloads
        elif not needed or start + needed > end:
            return


def valid_frame_after(data: bytes) -> int:
    """Return the offset of a valid frame behind the damaged one that `data` begins with.

    Args:
        data: The rest of a commit, from the damaged frame (or mark) on.

    Returns:
        0 if there is none. Where the length of a frame is damaged its successor is searched for
        within the next 256 KiB only: a torn tail must not take minutes to open.
    """
    start = HEAD if data.startswith(MARK) else 0
    last = len(data) - HEAD
    if start > last:
        return 0
    length: int
    length, _ = _WORDS.unpack_from(data, start)
    if _is_frame(data, start + HEAD + length):
        return start + HEAD + length
    budget = _SEARCH_BYTES
    for offset in range(start + 1, min(last + 1, _SEARCH_OFFSETS)):
        length, _ = _WORDS.unpack_from(data, offset)
        if length > last - offset:
            continue
        if _is_frame(data, offset):
            return offset
        budget -= length
        if budget < 0:
            break
    return 0


def has_missing_sector(data: bytes, offset: int) -> bool:
    """Tell whether a disk sector of `data`, which is found at `offset`, is zero.

    After a power cut some sectors of a write may be there and others not; those read as zeros.
    The first one may begin before `data`, with what was there already.
    """
    first = -offset % _SECTOR
    blank = bytes(_SECTOR)
    if first and data[:first] == blank[:first]:
        return True
    return any(
        data[place : place + _SECTOR] == blank
        for place in range(first, len(data) - _SECTOR + 1, _SECTOR)
    )


def _is_frame(data: bytes, offset: int) -> bool:
    if offset + HEAD > len(data):
        return False
    length: int
    checksum: int
    length, checksum = _WORDS.unpack_from(data, offset)
    payload = data[offset + HEAD : offset + HEAD + length]
    return len(payload) == length and crc32(payload, length ^ _SEED) == checksum
