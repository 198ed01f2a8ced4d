"""The secret that tokens are signed with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from engine.errors import ConfigError
from engine.secret_file import LENGTH, read_or_make

__all__ = ["FILE", "LENGTH", "check_secret", "secret_of"]

FILE: Final = "token.secret"
"""Of `LENGTH` bytes: as many as the hash of HS256 has (RFC 7518, section 3.2)."""


def secret_of(folder: Path) -> bytes:
    """Return the secret of a folder; the first who asks makes it, also of several at once.

    Whoever takes the file away ends all tokens: the next start makes another.

    Args:
        folder: Where the file lies; made (mode 0700) if it is not there.

    Raises:
        ConfigError: It cannot be made or read, others may read it, or it is too short.
    """
    return read_or_make(folder / FILE, name="token secret", consequence="everybody signs in again")


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
