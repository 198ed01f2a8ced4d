"""Who runs in a shared host, in a file that outlives the host's process."""

from __future__ import annotations

import os
from mmap import mmap
from pathlib import Path

from engine.sequencing import PLATE_BYTES, read_plate

__all__ = ["open_plate", "running_on"]


def open_plate(folder: str, name: str) -> mmap:
    """Return the memory in which a start of a host says who runs; the host's side."""
    fd = os.open(_file(folder, name), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(fd, PLATE_BYTES)
        return mmap(fd, PLATE_BYTES)
    finally:
        os.close(fd)


def running_on(folder: str, name: str) -> str | None:
    """Return who runs in a start of a host, or ran when its process ended; None for nobody.

    None, too, where it cannot be told: the host is on another machine.
    """
    try:
        return read_plate(_file(folder, name).read_bytes())
    except OSError:
        return None


def _file(folder: str, name: str) -> Path:
    return Path(folder) / f"{name}.plate"
