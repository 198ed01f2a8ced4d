"""The folder that holds all durable state of one engine run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.errors import ConfigError, JournalError
from engine.journal.disk import disk_error, flush_folder, free_bytes, replace_file
from engine.journal.file import JournalFile
from engine.journal.manifest import Manifest
from engine.journal.snapshots import SnapshotStore

__all__ = ["RunFolder"]

_MANIFEST = "manifest.json"
_LOCK = "lock"
_SNAPSHOTS = "snapshots"
_JOURNAL_SUFFIX = ".journal"
_JOURNAL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_UNFINISHED = {_LOCK, f"{_MANIFEST}.tmp"}
"""What a crash inside `create` may leave; anything else is not ours to build on."""

_NEEDED_BYTES = 16 << 20


class RunFolder:
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
        """Tell whether a folder holds a run, in use or not."""
        return (Path(path) / _MANIFEST).is_file()

    @classmethod
    def create(cls, path: Path | str, manifest: Manifest) -> RunFolder:
        """Make the folder of a new run and lock it.

        Args:
            path: A folder that is empty or not there; missing parents are made.
            manifest: What the run is.

        Raises:
            ConfigError: `path` is not a folder, holds a run already, or holds something else.
            JournalError: It cannot be written to, has less than 16 MiB of space, or another
                engine uses it.
        """
        folder = Path(path).absolute()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        except (FileExistsError, NotADirectoryError) as error:
            raise _not_a_folder(folder) from error
        except OSError as error:
            raise disk_error(folder, "make the folder of the run", error) from error
        _require_room(folder)
        if cls.exists(folder):
            raise ConfigError(
                f"{str(folder)!r}: holds a run already; open it to go on, or name another folder"
            )
        try:
            foreign = sorted({entry.name for entry in folder.iterdir()} - _UNFINISHED)
            if foreign:
                raise ConfigError(
                    f"{str(folder)!r}: need an empty folder for a new run, found "
                    f"{foreign[0]!r}; name another one"
                )
            lock = _lock(folder)
        except OSError as error:
            raise disk_error(folder, "make the folder of the run", error) from error
        try:
            replace_file(folder / _MANIFEST, manifest.encode(), sync=True)
            flush_folder(folder.parent)
        except BaseException as error:
            os.close(lock)
            if isinstance(error, OSError):
                raise disk_error(folder / _MANIFEST, "write the manifest", error) from error
            raise
        return cls(folder, manifest, lock)

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """Lock the folder of a run that is to be continued.

        Raises:
            ConfigError: There is no run.
            JournalError: It cannot be read or written to, has less than 16 MiB of space, is
                damaged or of a newer format, or another engine uses it.
        """
        folder = Path(path).absolute()
        if folder.exists() and not folder.is_dir():
            raise _not_a_folder(folder)
        if not cls.exists(folder):
            raise ConfigError(
                f"{str(folder)!r}: there is no run ({_MANIFEST} is missing); name the folder of "
                "one, or start a new run"
            )
        _require_room(folder)
        try:
            lock = _lock(folder)
        except OSError as error:
            raise disk_error(folder, "lock the folder of the run", error) from error
        file = folder / _MANIFEST
        try:
            manifest = Manifest.decode(file.read_bytes(), source=str(file))
        except BaseException as error:
            os.close(lock)
            if isinstance(error, OSError):
                raise disk_error(file, "read the manifest", error) from error
            raise
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

        The folder disappears at once: a crash on the way leaves no run that looks whole.

        Raises:
            JournalError: The folder is closed, or its files cannot be removed.
        """
        self._require_open()
        doomed = self.path.with_name(f".{self.path.name}.removed-{os.getpid()}")
        try:
            self.path.rename(doomed)
            shutil.rmtree(doomed)
        except OSError as error:
            raise disk_error(self.path, "remove the run", error) from error
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the folder; another engine may have it then. May be called again."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _require_open(self) -> None:
        if self._lock < 0:
            raise JournalError(f"{str(self.path)!r}: the folder is closed; open it again")


def _lock(folder: Path) -> int:
    """Return the descriptor that holds the folder's lock; the process id is in the file."""
    file = folder / _LOCK
    fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _claim(fd, file)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _claim(fd: int, file: Path) -> None:
    taken = False
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Until here the engine that had it may have removed the folder, the file with it.
        taken = os.path.samestat(os.fstat(fd), file.stat())
    if not taken:
        owner = os.pread(fd, 32, 0).decode(errors="replace").strip()
        raise JournalError(
            f"{str(file.parent)!r}: in use by the engine with process id {owner or 'unknown'}; "
            "stop it first, or name another folder"
        )
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


def _require_room(folder: Path) -> None:
    free = free_bytes(folder)
    if free is not None and free < _NEEDED_BYTES:
        raise JournalError(
            f"{str(folder)!r}: a run needs {_NEEDED_BYTES >> 20} MiB of free space, there are "
            f"{free / (1 << 20):.1f}; make room or name a folder on another disk"
        )


def _not_a_folder(folder: Path) -> ConfigError:
    return ConfigError(f"{str(folder)!r}: need a folder for the run, found a file; name another")
