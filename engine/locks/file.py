"""A lock kept by the operating system: it goes with the process that holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from engine.errors import ConfigError
from engine.locks.lock import Claim

__all__ = ["FileLock"]


class FileLock:
    """As `LeaderLock`. Nobody has to renew it, and it is lost only if its file is deleted.

    Args:
        file: Made if it is not there.
    """

    def __init__(self, file: Path) -> None:
        self.term = 0
        self._file = file
        self._fd = -1
        self._is_lost = False

    def take(self, last: Claim) -> bool:
        """Try to get it, see `LeaderLock`.

        Raises:
            ConfigError: The file cannot be made.
        """
        try:
            fd = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(f"{self._file}: cannot be made: {error.strerror}") from error
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if not self._is_of(fd):
                return False
            undo.pop_all()
        self._fd, self._is_lost = fd, False
        self.term = last.term + 1
        return True

    def renew(self) -> None:
        """See whether its file is still there."""
        self._is_lost = self._is_lost or self._fd < 0 or not self._is_of(self._fd)

    def is_held(self) -> bool:
        """Tell whether it is held, see `LeaderLock`."""
        return self._fd >= 0 and not self._is_lost

    def is_lost(self) -> bool:
        """Tell whether it is lost, see `LeaderLock`."""
        return self._is_lost

    def release(self) -> None:
        """Give it back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _is_of(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._file.stat())
        except FileNotFoundError:
            return False
