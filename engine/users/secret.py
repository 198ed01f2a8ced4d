"""The secret that tokens are signed with: in a file only its owner may read, and nowhere else."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from engine.errors import ConfigError
from engine.journal.disk import flush, flush_folder, make_folder, write_all

__all__ = ["FILE", "LENGTH", "check_secret", "secret_of"]

FILE: Final = "token.secret"
LENGTH: Final = 32
"""Bytes: as many as the hash of HS256 has (RFC 7518, section 3.2)."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def secret_of(folder: Path) -> bytes:
    """Return the secret of a folder; the first who asks makes it, also of several at once.

    Whoever takes the file away ends all tokens: the next start makes another.

    Args:
        folder: Where the file lies; made (mode 0700) if it is not there.

    Raises:
        ConfigError: It cannot be made or read, others may read it, or it is too short.
    """
    path = folder / FILE
    try:
        with contextlib.suppress(FileNotFoundError):
            return _read(path)
        _make(path)
        return _read(path)
    except OSError as error:
        raise ConfigError(
            f"token secret {str(path)!r}: must be a file that can be made and read, but: "
            f"{error.strerror or error}; check the permissions and room of its folder"
        ) from error


def check_secret(secret: bytes) -> bytes:
    """Return a secret that is long enough.

    Raises:
        ConfigError: It is not.
    """
    if len(secret) < LENGTH:
        raise ConfigError(
            f"token secret: must have at least {LENGTH} random bytes, got {len(secret)}; use "
            "`secret_of` a folder"
        )
    return secret


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_mode & _OTHERS:
            raise ConfigError(
                f"token secret {str(path)!r}: only its owner may read it (mode 0600), it has mode "
                f"{stat.S_IMODE(status.st_mode):04o}; take it away, since others may know it, and "
                "start again: a new one is made and everybody signs in again"
            )
        content = file.read()
    if len(content) < LENGTH:
        raise ConfigError(
            f"token secret {str(path)!r}: must have at least {LENGTH} bytes, has {len(content)}; "
            "take it away and start again: a new one is made and everybody signs in again"
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
