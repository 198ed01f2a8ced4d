"""A lane of its own for what is slow on purpose, so that it cannot block the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from api.server.guard_errors import TooManyError

__all__ = ["Lane"]

T = TypeVar("T")


class Lane:
    """Runs work in a few threads of its own.

    Passwords and keys are checked with argon2, which takes long, and anybody can make us do it.
    In the threads of the routes, some dozens of wrong passwords would keep everybody waiting.

    Args:
        at_once: How much runs at the same time.
        waiting: How much may wait; more is refused.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="chorus-passwords")
        self._most = at_once + waiting
        self._count = 0
        self._lock = Lock()

    async def run(self, work: Callable[[], T]) -> T:
        """Run something, and return what it returns.

        Raises:
            TooManyError: Too many wait already.
        """
        with self._lock:
            if self._count >= self._most:
                raise TooManyError("sign-in: too many sign in at the same time", 1)
            self._count += 1
        future = self._pool.submit(work)
        future.add_done_callback(self._leave)  # also if nobody waits for it any more
        return await asyncio.wrap_future(future)

    def _leave(self, _: Future[T]) -> None:
        with self._lock:
            self._count -= 1
