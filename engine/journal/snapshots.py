"""Snapshots of instances: written at once or not at all, the newest two of each kept."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine.crash_points import CrashPoint
from engine.errors import JournalError
from engine.journal.disk import (
    disk_errors,
    flush_folder,
    make_folder,
    replace_file,
)
from engine.journal.frames import MAX_PAYLOAD, encode_frame, read_frames

__all__ = ["SnapshotStore"]

_KEPT = 2
_SUFFIX = ".snapshot"
_DRAFT = "unfinished.tmp"  # the same for all of a name, so that crashes leave one at the most
_MAGIC = b"CHSNAP\x01\x00"
_READABLE_LENGTH = 60
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """What a file holds; name and number tell a file that was moved or renamed."""

    name: bytes
    seq: int
    payload: bytes


class SnapshotStore:
    """Snapshots by name and number in a folder.

    Every name has a folder of its own, named after it as far as that is safe, and after its hash.

    Args:
        folder: Made when the first snapshot is written.
        sync: Wait for the disk on every write. Without it a power cut may take the newest
            snapshots, never damage what is read.
    """

    def __init__(self, folder: Path | str, *, sync: bool = False) -> None:
        self.folder = Path(folder)
        self._sync = sync

    def write(self, name: str, seq: int, payload: bytes) -> None:
        """Store a snapshot; it and the one before stay of its name.

        Those with higher numbers go: whoever writes a lower one has gone back behind them, and
        what comes now need not be what came then.

        Args:
            name: Any text, e.g. the id of a strategy.
            seq: Number it stands for, 0 or more, e.g. of the last slice it includes. Writing one
                again replaces it.
            payload: The snapshot.

        Raises:
            JournalError: `seq` is negative, the payload is larger than 256 MiB less its name, or
                the disk does not take it; what was there stays.
        """
        if seq < 0:
            raise JournalError(f"snapshot of {name!r}: numbers start at 0, got {seq}")
        stored = msgspec.msgpack.encode(_Stored(_key(name), seq, payload))
        if len(stored) > MAX_PAYLOAD:
            raise JournalError(
                f"snapshot {seq} of {name!r}: may take {MAX_PAYLOAD} bytes, needs {len(stored)}; "
                "keep less state"
            )
        folder = self._folder_of(name)
        with disk_errors(folder, f"write snapshot {seq} of {name!r}"):
            make_folder(folder, sync=self._sync)
            replace_file(
                _file(folder, seq),
                _MAGIC + encode_frame(stored),
                sync=self._sync,
                draft=folder / _DRAFT,
                drafted=CrashPoint.STATES_DRAFTED,
            )
            numbers = _numbers(folder)
            _remove(folder, [number for number in numbers if number > seq])
            _remove(folder, [number for number in numbers if number < seq][_KEPT - 1 :])

    def newest(self, name: str, at_most: int | None = None) -> tuple[int, bytes] | None:
        """Return number and payload of the newest good snapshot of a name; None without one.

        A damaged file counts as not there.

        Args:
            name: As it was written.
            at_most: Highest number that may be returned; None takes any.

        Raises:
            JournalError: The folder cannot be read.
        """
        folder = self._folder_of(name)
        with disk_errors(folder, f"read the snapshots of {name!r}"):
            for seq in _numbers(folder):
                if at_most is None or seq <= at_most:
                    payload = _payload(_file(folder, seq), name, seq)
                    if payload is not None:
                        return seq, payload
        return None

    def rewind(self, name: str, seq: int) -> None:
        """Forget the snapshots of a name with numbers above `seq`.

        For a run whose journals end there: a power cut may have taken their tails and not what
        was written for them, and the run will live through other slices under those numbers.

        Raises:
            JournalError: The files cannot be removed.
        """
        folder = self._folder_of(name)
        with disk_errors(folder, f"remove the snapshots of {name!r} above {seq}"):
            above = [number for number in _numbers(folder) if number > seq]
            if above:
                _remove(folder, above)
                flush_folder(folder)

    def drop(self, name: str) -> None:
        """Forget a name; nothing happens if there is nothing of it.

        Raises:
            JournalError: The files cannot be removed.
        """
        folder = self._folder_of(name)
        with (
            disk_errors(folder, f"remove the snapshots of {name!r}"),
            contextlib.suppress(FileNotFoundError),
        ):
            shutil.rmtree(folder)

    def _folder_of(self, name: str) -> Path:
        readable = _UNSAFE.sub("_", name)[:_READABLE_LENGTH]
        digest = hashlib.sha256(_key(name)).hexdigest()[:32]
        return self.folder / f"{readable}-{digest}"


def _file(folder: Path, seq: int) -> Path:
    return folder / f"{seq}{_SUFFIX}"


def _remove(folder: Path, numbers: Iterable[int]) -> None:
    for number in numbers:
        _file(folder, number).unlink(missing_ok=True)


def _numbers(folder: Path) -> list[int]:
    """Return the numbers there are, highest first."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))
    return sorted((int(stem) for stem in stems if stem.isdecimal()), reverse=True)


def _payload(path: Path, name: str, seq: int) -> bytes | None:
    """Return what a file holds; None if it is damaged, or gone since it was listed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        if error.errno in {errno.EIO, errno.ENOENT}:
            return None
        raise
    found: list[bytes] = []
    if data.startswith(_MAGIC):
        read_frames(data[len(_MAGIC) :], found, len(_MAGIC))
    if len(found) != 1:
        return None
    try:
        stored = msgspec.msgpack.decode(found[0], type=_Stored)
    except msgspec.MsgspecError:
        return None
    return stored.payload if (stored.name, stored.seq) == (_key(name), seq) else None


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
