"""The folder that holds all durable state of one engine run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ConfigError, JournalError
from engine.journal.closing import Closing
from engine.journal.disk import (
    MEBIBYTE,
    disk_errors,
    draft_of,
    flush_folder,
    free_bytes,
    make_folder,
    replace_file,
)
from engine.journal.file import JournalFile
from engine.journal.manifest import Manifest
from engine.journal.snapshots import SnapshotStore

__all__ = ["FolderInUseError", "RunFolder"]

_MANIFEST = "manifest.json"
_LOCK = "lock"
_SNAPSHOTS = "snapshots"
_JOURNAL_SUFFIX = ".journal"
_JOURNAL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_REMOVED = f"{_MANIFEST}.removed"
"""What the manifest is called once the run is removed: all that lies beside it is waste then."""

_UNFINISHED = {_LOCK, draft_of(Path(_MANIFEST)).name}
"""What a crash inside `create` may leave; anything else is not ours to build on."""

_NEEDED_BYTES = 16 * MEBIBYTE


class FolderInUseError(JournalError):
    """Another process has the run of a folder."""


class RunFolder(Closing):
    """Durable state of one run: manifest, journals, snapshots, and the lock on all of them.

    Made by `create` or `open`. One engine at a time has it; the lock goes with the process,
    however that ends. Journals taken from it are closed by whoever took them.

    Attributes:
        path: The folder, mode 0700.
        manifest: What the run is.
    """

    def __init__(self, path: Path, manifest: Manifest, lock: int) -> None:
        self.path = path
        self.manifest = manifest
        self._lock = lock

    @staticmethod
    def exists(path: Path | str) -> bool:
        """Tell whether a folder holds a run, in use or not.

        Raises:
            JournalError: It may not be looked into.
        """
        file = Path(path) / _MANIFEST
        with disk_errors(file.parent, "look for a run"):
            return file.is_file()

    @classmethod
    def create(cls, path: Path | str, manifest: Manifest) -> RunFolder:
        """Make the folder of a new run and lock it.

        Args:
            path: A folder that is empty or not there; missing parents are made.
            manifest: What the run is.

        Raises:
            ConfigError: `path` is not a folder, or not an empty one.
            JournalError: It cannot be written to, has less than 16 MiB of space, or another
                engine uses it.
        """
        folder = Path(os.path.realpath(path))
        _require_room(folder)
        with disk_errors(folder, "make the folder of the run"):
            try:
                make_folder(folder, sync=True)
            except FileExistsError as error:
                raise _not_a_folder(folder) from error
            _require_vacant(folder)
            folder.chmod(0o700)
            with _locked(folder) as lock:
                _require_vacant(folder)  # it may have been filled until the lock was had
                _sweep(folder)
                replace_file(folder / _MANIFEST, manifest.encode(), sync=True)
        return cls(folder, manifest, lock)

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """Lock the folder of a run that is to be continued.

        Raises:
            ConfigError: There is no run.
            JournalError: It cannot be read or written to, has less than 16 MiB of space, is
                damaged or of a newer format, or another engine uses it.
        """
        folder = Path(os.path.realpath(path))
        file = folder / _MANIFEST
        with disk_errors(folder, "open the folder of the run"):
            if not folder.is_dir() and folder.exists():
                raise _not_a_folder(folder)
            if not file.is_file():
                raise _no_run(folder)
            _require_room(folder)
            with _locked(folder) as lock:
                try:
                    data = file.read_bytes()
                except FileNotFoundError as error:  # removed until the lock was had
                    raise _no_run(folder) from error
                manifest = Manifest.decode(data, source=str(file))
        return cls(folder, manifest, lock)

    def journal(self, name: str, kind: str, *, sync: bool = True) -> JournalFile:
        """Open a journal of the run, or make it; see `JournalFile`.

        Args:
            name: Lower-case letters, digits, ``-`` and ``_``; at most 64.
            kind: What its records are.
            sync: Wait for the disk on commit.

        Raises:
            JournalError: The name is not usable, the folder is closed, or the file is refused.
        """
        self._require_open()
        if not _JOURNAL_NAME.fullmatch(name):
            raise JournalError(
                f"{str(self.path)!r}: a journal's name is made of a-z, 0-9, '-' and '_' (at most "
                f"64), got {name!r}"
            )
        return JournalFile(self.path / f"{name}{_JOURNAL_SUFFIX}", kind=kind, sync=sync)

    def snapshots(self, *, sync: bool = False) -> SnapshotStore:
        """Return the store of the run's snapshots; see `SnapshotStore`.

        Raises:
            JournalError: The folder is closed.
        """
        self._require_open()
        return SnapshotStore(self.path / _SNAPSHOTS, sync=sync)

    def remove(self) -> None:
        """Delete the run with everything in it, and let go of it.

        A crash on the way leaves no run; `create` clears away what is left then.

        Raises:
            JournalError: The folder is closed, or its files cannot be removed.
        """
        self._require_open()
        try:
            with disk_errors(self.path, "remove the run"):
                (self.path / _MANIFEST).replace(self.path / _REMOVED)
                flush_folder(self.path)
                _sweep(self.path)
                (self.path / _LOCK).unlink()
                with contextlib.suppress(OSError):  # it stays where it is a mount point
                    self.path.rmdir()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the folder; another engine may have it then. May be called again."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _require_open(self) -> None:
        if self._lock < 0:
            raise JournalError(f"{str(self.path)!r}: the folder is closed; open it again")


def _require_vacant(folder: Path) -> None:
    """Check that a run may be made in a folder.

    Raises:
        ConfigError: It holds a run, or something that is not of one.
    """
    found = {entry.name for entry in folder.iterdir()}
    if _MANIFEST in found:
        raise ConfigError(
            f"{str(folder)!r}: holds a run already; open it to go on, or name another folder"
        )
    foreign = sorted(found - _UNFINISHED)
    if foreign and not _is_removed(folder):
        raise ConfigError(
            f"{str(folder)!r}: need an empty folder for a new run, found {foreign[0]!r}; name "
            "another one"
        )


def _is_removed(folder: Path) -> bool:
    """Tell whether a run was being removed; a name alone is no licence to delete what is there."""
    mark = folder / _REMOVED
    if not mark.is_file():
        return False
    with contextlib.suppress(JournalError):
        Manifest.decode(mark.read_bytes(), source=str(mark))
        return True
    return False


def _sweep(folder: Path) -> None:
    """Delete what is in the folder of a removed run; the sign that it is one goes last."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name not in {_LOCK, _REMOVED}:
            entry.unlink()
    flush_folder(folder)
    (folder / _REMOVED).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Give the descriptor that holds the folder's lock; closed if the block raises.

    The process id is in the file.
    """
    file = folder / _LOCK
    with contextlib.ExitStack() as undo:
        fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        undo.callback(os.close, fd)
        _claim(fd, file)
        yield fd
        undo.pop_all()


def _claim(fd: int, file: Path) -> None:
    taken = False
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Until here the engine that had it may have removed the folder, the file with it.
        taken = os.path.samestat(os.fstat(fd), file.stat())
    if not taken:
        owner = os.pread(fd, 32, 0).decode(errors="replace").strip()
        raise FolderInUseError(
            f"{str(file.parent)!r}: in use by the engine with process id {owner or 'unknown'}; "
            "stop it first, or name another folder"
        )
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


def _require_room(folder: Path) -> None:
    free = free_bytes(folder)
    if free is not None and free < _NEEDED_BYTES:
        raise JournalError(
            f"{str(folder)!r}: a run needs {_NEEDED_BYTES // MEBIBYTE} MiB of free space, there "
            f"are {free / MEBIBYTE:.1f}; make room or name a folder on another disk"
        )


def _no_run(folder: Path) -> ConfigError:
    return ConfigError(
        f"{str(folder)!r}: there is no run ({_MANIFEST} is missing); name the folder of one, or "
        "start a new run"
    )


def _not_a_folder(folder: Path) -> ConfigError:
    return ConfigError(f"{str(folder)!r}: need a folder for the run, found a file; name another")
