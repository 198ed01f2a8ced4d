"""Waiting for new lines of the ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["MOST_WAIT", "News"]

MOST_WAIT = 2
"""Who may wait at the same time."""


class News:
    """Wakes who waits for lines; each of them keeps one of the actor's threads, so they are few."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines = self._executions = 0
        self._may_wait = threading.BoundedSemaphore(MOST_WAIT)

    def tell(self, lines: int, executions: int) -> None:
        """Say how many lines there are, of the ledger and on executions; the loop does."""
        if lines != self._lines or executions != self._executions:
            with self._changed:
                self._lines, self._executions = lines, executions
                self._changed.notify_all()

    def await_line(self, number: int, wait_s: float) -> None:
        """Wait for a line of the ledger; not at all if `MOST_WAIT` others do."""
        self._await(lambda: self._lines > number, wait_s)

    def await_execution(self, number: int, wait_s: float) -> None:
        """Wait for a line on executions; not at all if `MOST_WAIT` others do."""
        self._await(lambda: self._executions > number, wait_s)

    def _await(self, is_there: Callable[[], bool], wait_s: float) -> None:
        if self._may_wait.acquire(blocking=False):
            try:
                with self._changed:
                    self._changed.wait_for(is_there, wait_s)
            finally:
                self._may_wait.release()
