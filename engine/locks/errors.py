"""What can go wrong with locks."""

from __future__ import annotations

from engine.errors import ChorusError

__all__ = ["LockUnavailableError"]


class LockUnavailableError(ChorusError):
    """Whoever keeps a lock cannot be reached; whether the call did anything is not known."""
