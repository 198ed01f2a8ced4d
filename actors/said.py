"""The newest lines of strategies' code, for whoever asks for them."""

from __future__ import annotations

import threading
import time
from collections import deque
from itertools import islice
from typing import Final

from engine.instance import SaidLine

__all__ = ["SaidLines"]

_KEPT: Final = 20_000


class SaidLines:
    """Numbers lines and keeps the newest 20,000. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[SaidLine] = deque(maxlen=_KEPT)
        # Numbers go up from one life of the manager to the next, too.
        self._next = time.time_ns()

    def append(self, line: SaidLine) -> None:
        """Take a line."""
        with self._lock:
            self._lines.append(line)
            self._next += 1

    def since(self, after: int, limit: int) -> tuple[int, list[SaidLine]]:
        """Return the lines from a number on, and the number to ask with the next time.

        Args:
            after: As the time before; 0: from the oldest that is kept.
            limit: Lines at most.
        """
        with self._lock:
            oldest = self._next - len(self._lines)
            start = min(max(after, oldest), self._next)
            found = list(islice(self._lines, start - oldest, start - oldest + limit))
            return start + len(found), found
