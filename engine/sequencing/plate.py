"""Who runs at this moment, written where others can read it, also after the process has died."""

from __future__ import annotations

from mmap import mmap
from typing import Final

__all__ = ["NOBODY", "PLATE_BYTES", "plate_of", "read_plate"]

PLATE_BYTES: Final = 64
"""As long as the longest id of a strategy; padded with zeros."""

NOBODY: Final = bytes(PLATE_BYTES)


def plate_of(instance_id: str) -> bytes:
    """Return what is written while an instance runs; a longer id is cut."""
    return instance_id.encode()[:PLATE_BYTES].ljust(PLATE_BYTES, b"\0")


def read_plate(plate: bytes | bytearray | mmap) -> str | None:
    """Return the id that is written there; None for nobody.

    >>> read_plate(plate_of("s1")), read_plate(NOBODY)
    ('s1', None)
    """
    return bytes(plate[:PLATE_BYTES]).rstrip(b"\0").decode(errors="replace") or None
