"""Hashing of passwords and keys: argon2id, so that a stolen table is of little use."""

from __future__ import annotations

import logging
import secrets
from threading import BoundedSemaphore
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

__all__ = ["Hasher"]

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 4


class Hasher:
    """Hashes secrets and checks them. May be shared by threads.

    Args:
        argon2: With which parameters; None: those the library recommends (64 MiB, 3 passes).
        at_once: How many are computed at the same time; the rest wait. Every one takes the memory
            of the parameters, and anybody can make us try passwords.
    """

    def __init__(self, argon2: PasswordHasher | None = None, *, at_once: int = _AT_ONCE) -> None:
        self._argon2 = argon2 or PasswordHasher()
        self._turn = BoundedSemaphore(at_once)
        self._nobodys = self.hash(secrets.token_hex(32))

    def hash(self, secret: str) -> str:
        """Return the hash of a secret, with its salt and parameters; takes long on purpose."""
        with self._turn:
            return self._argon2.hash(secret)

    def verify(self, hashed: str | None, secret: str) -> bool:
        """Tell whether a secret is the one that was hashed; takes long on purpose.

        Args:
            hashed: What `hash` returned; None, where there is none, takes just as long.
            secret: As given.
        """
        with self._turn:
            try:
                self._argon2.verify(self._nobodys if hashed is None else hashed, secret)
            except VerifyMismatchError:
                return False
            except (VerificationError, InvalidHashError) as error:
                # Damaged, or no memory: not the fault of whoever signs in, so somebody must know.
                _log.warning("a stored hash could not be checked: %s", error)
                return False
        return hashed is not None

    def is_outdated(self, hashed: str) -> bool:
        """Tell whether a hash was made with other parameters than those of now."""
        return self._argon2.check_needs_rehash(hashed)
