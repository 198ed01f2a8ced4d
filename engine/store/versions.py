"""Changes that are bound to what whoever makes them has read."""

from __future__ import annotations

from typing import Any, Protocol

from engine.errors import StaleError

__all__ = ["Versioned", "check_version"]


class Versioned(Protocol):
    """A row that counts its changes."""

    @property
    def version(self) -> Any:
        """Return how often it was changed, from 1."""
        ...


def check_version(row: Versioned, wanted: int | None, subject: str) -> None:
    """Check that nobody else has changed a row meanwhile.

    Args:
        row: As it is now, locked.
        wanted: Version it had when it was read; None: whatever it has.
        subject: What it is, for the message: ``account 'paper'``.

    Raises:
        StaleError: It has another version.
    """
    if wanted is not None and row.version != wanted:
        raise StaleError(
            f"{subject}: has version {row.version} by now, not {wanted}; read it again and repeat "
            "the change"
        )
