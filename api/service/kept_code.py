"""Copies of strategy files as they were when a strategy was started from them.

A strategy keeps its code until it is restarted, also where its file is edited meanwhile and its
process has to be started again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Collection
from pathlib import Path

from engine.catalog import LoadedType
from engine.errors import PluginError
from engine.journal import write_state

__all__ = ["KeptCode"]


class KeptCode:
    """A folder with one file for every version of every type that was started of late.

    Args:
        folder: Made when it is needed. Where it is is written down for the next start, which may be
            made from elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._lock = threading.Lock()

    def keep(self, loaded: LoadedType) -> Path:
        """Return a copy of a type's file that nobody changes.

        Raises:
            PluginError: The file is not what was loaded any more, or cannot be copied.
        """
        copy = self._folder / f"{loaded.file.stem}-{loaded.code_hash[:16]}.py"
        with self._lock:
            if copy.exists():
                # Young again: whoever is to start from it has not written that down yet. A
                # read-only disk does not take the time, but nothing is deleted from it either.
                with contextlib.suppress(OSError):
                    os.utime(copy)
                return copy
        try:
            code = loaded.file.read_bytes()
        except OSError as error:
            raise PluginError(f"{loaded.file}: cannot be read: {error.strerror}") from error
        if hashlib.sha256(code).hexdigest() != loaded.code_hash:
            raise PluginError(f"{loaded.file}: has changed since it was looked at; sync the files")
        self._folder.mkdir(parents=True, exist_ok=True)
        write_state(copy, code, sync=True)
        return copy

    def forget(self, needed: Collection[str], *, before_ms: int) -> list[str]:
        """Delete copies nothing needs and nothing has been started from for some time.

        Args:
            needed: Names of files that stay.
            before_ms: When they were last asked for at the latest, milliseconds UTC.

        Returns:
            The names of those deleted; one that cannot be deleted stays.
        """
        forgotten = []
        for copy in sorted(self._folder.glob("*.py")):
            with self._lock, contextlib.suppress(OSError):
                if copy.name not in needed and copy.stat().st_mtime_ns < before_ms * 1_000_000:
                    copy.unlink()
                    forgotten.append(copy.name)
        return forgotten
