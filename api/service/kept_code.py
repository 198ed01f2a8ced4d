"""Copies of strategy files as they were when a strategy was started from them.

A strategy keeps its code until it is restarted, also where its file is edited meanwhile and its
process has to be started again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.catalog import LoadedType
from engine.errors import PluginError
from engine.journal import write_state

__all__ = ["KeptCode"]


class KeptCode:
    """A folder with one file for every version of every type that was ever started.

    Args:
        folder: Made when it is needed. Where it is is written down for the next start, which may be
            made from elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def keep(self, loaded: LoadedType) -> Path:
        """Return a copy of a type's file that nobody changes.

        Raises:
            PluginError: The file is not what was loaded any more, or cannot be copied.
        """
        copy = self._folder / f"{loaded.file.stem}-{loaded.code_hash[:16]}.py"
        if copy.exists():
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
