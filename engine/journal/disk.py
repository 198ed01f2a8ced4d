"""Writing so that it stays written, and saying what went wrong in words a user can act on."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from engine.crash_points import ARMED, CrashPoint, reach
from engine.errors import JournalError

__all__ = [
    "MEBIBYTE",
    "disk_error",
    "disk_errors",
    "draft_of",
    "flush",
    "flush_folder",
    "free_bytes",
    "make_folder",
    "replace_file",
    "write_all",
]

MEBIBYTE = 1 << 20

_REMEDIES = {
    errno.ENOSPC: "make room on the disk, then start again",
    errno.EDQUOT: "the quota is used up: make room, then start again",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), then start again",
    errno.EROFS: "the file system is read-only: name a folder on a writable one",
    errno.EACCES: "name a folder you may write to, or change its permissions",
    errno.EPERM: "name a folder you may write to, or change its permissions",
    errno.EIO: "the disk reports an error: check it (dmesg) before going on",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENOENT: "make its folder first, or name another one",
    errno.EISDIR: "there is a folder of that name: name a file",
    errno.ENOTDIR: "a part of the path is a file: name another folder",
}

_fdatasync = getattr(os, "fdatasync", os.fsync)  # not on every Unix


def flush(fd: int) -> None:
    """Return once what was written to a file is on the disk."""
    _fdatasync(fd)


def flush_folder(folder: Path) -> None:
    """Return once the names in a folder are on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path, *, sync: bool) -> None:
    """Make a folder (mode 0700) with its missing parents; nothing happens if it is there.

    Raises:
        OSError: It cannot be made.
    """
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent, sync=sync)
    folder.mkdir(mode=0o700, exist_ok=True)
    if sync:
        flush_folder(folder.parent)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`; with one call unless the system takes only part of it.

    Raises:
        OSError: It takes no more; a short write is followed by the call that says why.
    """
    written = os.write(fd, data)
    while written < len(data):
        more = os.write(fd, memoryview(data)[written:])
        if not more:
            raise OSError(errno.EIO, "the system takes no more bytes")
        written += more


def draft_of(path: Path) -> Path:
    """Return where `replace_file` puts together what is to become the content of `path`."""
    return path.with_name(path.name + ".tmp")


def replace_file(
    path: Path,
    data: bytes,
    *,
    sync: bool,
    draft: Path | None = None,
    drafted: CrashPoint = CrashPoint.FILE_DRAFTED,
) -> None:
    """Make `data` the content of `path` at once: a crash leaves the old content or the new.

    One writer at a time per draft. What a crash leaves of a draft the next one overwrites.

    Args:
        path: The file.
        data: All of it.
        sync: Wait for the disk.
        draft: What to call it until it is whole; None for `draft_of` the path.
        drafted: Reached once the draft is whole.

    Raises:
        OSError: It cannot be written; the old content stays.
    """
    draft = draft or draft_of(path)
    with contextlib.ExitStack() as undo:
        undo.callback(_discard, draft)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            write_all(fd, data)
            if sync:
                flush(fd)
        finally:
            os.close(fd)
        if ARMED:
            reach(drafted)
        draft.replace(path)
        undo.pop_all()
    if sync:
        flush_folder(path.parent)


def _discard(draft: Path) -> None:
    with contextlib.suppress(OSError):  # the error that made it waste is the one to hear of
        draft.unlink()


def free_bytes(path: Path) -> int | None:
    """Return the free bytes where `path` is or would be; None if the system does not tell."""
    for place in (path, *path.parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(place).free
    return None


def disk_error(path: Path, doing: str, error: OSError) -> JournalError:
    """Return the error of a failed disk operation: file, what failed, free bytes, remedy."""
    free = free_bytes(path)
    room = "unknown" if free is None else f"{free / MEBIBYTE:.1f} MiB"
    remedy = _REMEDIES.get(error.errno or 0, "look at the disk, then start again")
    cause = error.strerror or str(error)
    return JournalError(f"{str(path)!r}: cannot {doing}: {cause} (free: {room}); {remedy}")


@contextlib.contextmanager
def disk_errors(path: Path, doing: str) -> Iterator[None]:
    """Raise what the system refuses inside the block as a `JournalError`; see `disk_error`."""
    try:
        yield
    except OSError as error:
        raise disk_error(path, doing, error) from error
