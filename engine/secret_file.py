"""Secrets of an installation: each in a file only its owner may read, and nowhere else."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from engine.errors import ConfigError
from engine.journal.disk import flush, flush_folder, make_folder, write_all

__all__ = ["LENGTH", "read_or_make"]

LENGTH: Final = 32
"""Bytes of a secret."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_or_make(path: Path, *, name: str, consequence: str) -> bytes:
    """Return the secret of a file; the first who asks makes it, also of several at once.

    Args:
        path: The file; its folder is made (mode 0700) if it is not there.
        name: What it is, for messages.
        consequence: What follows if it is taken away, for messages.

    Raises:
        ConfigError: It cannot be made or read, others may read it, or it is too short.
    """
    subject = f"{name} {str(path)!r}"
    try:
        with contextlib.suppress(FileNotFoundError):
            return _read(path, subject, consequence)
        _make(path)
        return _read(path, subject, consequence)
    except OSError as error:
        raise ConfigError(
            f"{subject}: must be a file that can be made and read, but: "
            f"{error.strerror or error}; check the permissions and room of its folder"
        ) from error


def _read(path: Path, subject: str, consequence: str) -> bytes:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_mode & _OTHERS:
            raise ConfigError(
                f"{subject}: only its owner may read it (mode 0600), it has mode "
                f"{stat.S_IMODE(status.st_mode):04o}; take it away, since others may know it, and "
                f"start again: a new one is made and {consequence}"
            )
        content = file.read()
    if len(content) < LENGTH:
        raise ConfigError(
            f"{subject}: must have at least {LENGTH} bytes, has {len(content)}; take it away and "
            f"start again: a new one is made and {consequence}"
        )
    return content


def _make(path: Path) -> None:
    """Put a new secret there, whole and for good, unless somebody else was first."""
    make_folder(path.parent, sync=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            write_all(fd, secrets.token_bytes(LENGTH))
            flush(fd)
        finally:
            os.close(fd)
        # A link, unlike a renamed file, never replaces the secret somebody has begun to use.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    flush_folder(path.parent)
