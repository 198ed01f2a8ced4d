"""Small files that are replaced as a whole: what is wanted, what is remembered."""

from __future__ import annotations

from pathlib import Path

from engine.journal.disk import disk_errors, replace_file

__all__ = ["read_state", "write_state"]


def read_state(path: Path) -> bytes | None:
    """Return the content of a file; None if there is none.

    Raises:
        JournalError: It cannot be read.
    """
    with disk_errors(path, "read"):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def write_state(path: Path, data: bytes, *, sync: bool) -> None:
    """Make `data` the content of a file at once: a crash leaves the old content or the new.

    Args:
        path: The file; its folder has one writer at a time.
        data: All of it.
        sync: Wait for the disk.

    Raises:
        JournalError: The disk does not take it; the old content stays.
    """
    with disk_errors(path, "write"):
        replace_file(path, data, sync=sync)
