"""What can go wrong while a ledger is recorded."""

from __future__ import annotations

from engine.errors import ChorusError

__all__ = ["RecordingError"]


class RecordingError(ChorusError):
    """A ledger is damaged, is another one than was recorded, or has a gap; nothing was recorded."""
