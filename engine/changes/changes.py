"""How changes are told and heard, wherever those who hear are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.changes.change import Change, Kind

__all__ = ["Changes", "Listening", "OnChange", "nobody_listens"]

OnChange = Callable[[str, int | None], None]
"""Called with the id and the version of something once a change of it is on record."""


def nobody_listens(_id: str, _version: int | None) -> None:
    """Tell nobody; an `OnChange`."""


class Listening(Protocol):
    """Somebody listens."""

    def close(self) -> None:
        """Listen no more; a call that is under way may still end."""
        ...


class Changes(Protocol):
    """Tells changes that are on record to those who listen. May be shared by threads.

    Told changes are hints: one may come twice, or late, or not at all; what is on record counts.
    Where some may have been missed, those who listen are told that everything may have changed.
    """

    def publish(self, kind: Kind, object_id: str = "", version: int | None = None) -> None:
        """Tell a change that is on record. Neither waits nor fails.

        Whoever listens in this process has been told when it returns.

        Args:
            kind: Of what.
            object_id: Which.
            version: That it has now; None: it has none.
        """
        ...

    def listen(self, heard: Callable[[Change], None]) -> Listening:
        """Have changes told, until it is closed; from then on none is missed without a word.

        Args:
            heard: Called with each, by any thread, also by the one that publishes. It only makes a
                note for somebody else: it neither waits nor fails.
        """
        ...

    def close(self) -> None:
        """Tell what waits to be told, if that can be done now, and end."""
        ...
