"""How many callers of an actor may wait at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from actors.services import ServiceAwayError

__all__ = ["WaitingRoom"]


class WaitingRoom:
    """Lets few callers wait, for each keeps one of the actor's threads; others have to come back.

    Args:
        places: How many may wait.
        purpose: What they wait for, for messages.
    """

    def __init__(self, places: int, purpose: str) -> None:
        self._places = places
        self._purpose = purpose
        self._free = threading.BoundedSemaphore(places)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Be one of them for the length of a `with` block.

        Raises:
            ServiceAwayError: There is no place, at this moment.
        """
        if not self._free.acquire(blocking=False):
            raise ServiceAwayError(
                f"strategy manager: {self._places} others wait {self._purpose}, and it lets no "
                "more of them wait; ask again in a moment"
            )
        try:
            yield
        finally:
            self._free.release()
