"""What a lock is that one of several engines holds."""

from __future__ import annotations

from typing import Protocol

import msgspec

__all__ = ["Claim", "LeaderLock"]


class Claim(msgspec.Struct, frozen=True):
    """What is on record of the leader before.

    Attributes:
        term: Its number; 0 if there was none.
        is_released: It has ended in an orderly way, and leads for certain no more.
    """

    term: int = 0
    is_released: bool = True


class LeaderLock(Protocol):
    """A lock with a number for each time it is had. Its methods may be called by any thread.

    Attributes:
        term: Number of this time: larger than any before.
    """

    term: int

    def take(self, last: Claim) -> bool:
        """Try to get it, once; blocks for a few seconds at most.

        Args:
            last: What is known of who had it before.

        Returns:
            Whether it was got. It may have to be renewed for a while before it `is_held`.

        Raises:
            LockUnavailableError: Whoever keeps it cannot be reached.
        """
        ...

    def renew(self) -> None:
        """Keep it; blocks for a few seconds at most. `is_held` tells whether that went well.

        Raises:
            LockUnavailableError: Whoever keeps it cannot be reached. It may be held for some time.
        """
        ...

    def is_held(self) -> bool:
        """Tell whether nobody else can have it at this moment. Never blocks."""
        ...

    def is_lost(self) -> bool:
        """Tell whether it was got and is gone for good. Never blocks."""
        ...

    def release(self) -> None:
        """Give it back, if that is possible; nothing happens if it is lost.

        Raises:
            LockUnavailableError: Whoever keeps it cannot be reached; it will be free in a while.
        """
        ...
