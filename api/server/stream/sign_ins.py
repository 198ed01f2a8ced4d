"""Asking again whether those who have signed in are still let in."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from api.server.credentials import Credential
from engine.access import Caller
from engine.users import Users

__all__ = ["SignIns"]


class SignIns:
    """Who holds which key or token, asked by one thread.

    Many clients share one key, and to verify a key takes long on purpose: each is asked for once
    in a while, and the other clients are told the same.

    Args:
        fresh_s: How old an answer may be.
    """

    def __init__(self, fresh_s: float) -> None:
        self._fresh_s = fresh_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chorus-sign-ins")
        self._answers: dict[Credential, tuple[float, Caller]] = {}

    async def recheck(self, credential: Credential, users: Users) -> Caller:
        """Return who holds a key or token now.

        Raises:
            AuthenticationError: Nobody who is let in.
            StoreError: The store is away.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._ask, credential, users)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)

    def _ask(self, credential: Credential, users: Users) -> Caller:
        oldest = time.monotonic() - self._fresh_s
        while self._answers and next(iter(self._answers.values()))[0] < oldest:
            del self._answers[next(iter(self._answers))]
        if (known := self._answers.get(credential)) is not None:
            return known[1]
        caller = credential.caller(users)
        self._answers[credential] = (time.monotonic(), caller)
        return caller
