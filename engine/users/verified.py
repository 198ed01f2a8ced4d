"""Which keys argon2 has verified lately: for every request it takes too long."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from threading import Lock
from typing import Final, NamedTuple

__all__ = ["VerifiedKeys"]

_LIFE_MS: Final = 60_000
_MOST: Final = 1_000


class _Entry(NamedTuple):
    digest: bytes
    secret_hash: str
    at_ms: int


class VerifiedKeys:
    """Remembers keys for a short time, by the SHA-256 of their text. May be shared by threads.

    It says that the text of a key is right, not that the key is still accepted.

    Args:
        life_ms: How long one is remembered.
        most: How many; the one not used for longest is forgotten first.
    """

    def __init__(self, *, life_ms: int = _LIFE_MS, most: int = _MOST) -> None:
        self._life_ms = life_ms
        self._most = most
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = Lock()

    def add(self, text: str, key_id: str, secret_hash: str, now_ms: int) -> None:
        """Remember that a key was verified.

        Args:
            text: The full key.
            key_id: Its public part.
            secret_hash: What it was verified against.
            now_ms: Milliseconds UTC.
        """
        with self._lock:
            self._entries[key_id] = _Entry(_digest(text), secret_hash, now_ms)
            self._entries.move_to_end(key_id)
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)

    def has(self, text: str, key_id: str, secret_hash: str, now_ms: int) -> bool:
        """Tell whether this very key was verified lately, against this hash; arguments as `add`."""
        with self._lock:
            entry = self._entries.get(key_id)
            if entry is None:
                return False
            # A clock that was set back must not make anything last longer.
            if not 0 <= now_ms - entry.at_ms < self._life_ms or entry.secret_hash != secret_hash:
                del self._entries[key_id]
                return False
            if not hmac.compare_digest(entry.digest, _digest(text)):
                return False
            self._entries.move_to_end(key_id)
            return True

    def __len__(self) -> int:
        return len(self._entries)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
