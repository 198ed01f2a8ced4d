"""A lock that is had for some time only, and has to be renewed.

Who keeps it counts the time from when a request arrives; who holds it, from when it was sent, and
a tenth less. So a holder knows that it has lost the lock before anybody else can get it, without a
word from anybody: after a break of the network, and after it was stopped for a while itself.

That does not hold where who keeps the lock forgets. A grant therefore says whether it is *sure*
that nobody else can hold the lock. One that is not is good only when a lease has gone by: whoever
held the lock then has noticed.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from engine.locks.lock import Claim

__all__ = ["Grant", "LeaseLock", "LeaseRegistry", "running_time"]

_DRIFT: Final = 0.1
"""Share of a lease that two clocks may differ by."""


def running_time() -> float:
    """Return seconds on a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Grant(msgspec.Struct, frozen=True):
    """A lock was given to somebody.

    Attributes:
        term: Number of this time.
        is_sure: Nobody who had it before can still believe to have it.
    """

    term: int
    is_sure: bool


class LeaseRegistry(Protocol):
    """Who keeps the lock. Each call blocks for a few seconds at most.

    Each may raise `LockUnavailableError`; the request may have arrived then, or arrive later.
    """

    def take(self, token: str, lease_s: float, last: Claim) -> Grant | None:
        """Give the lock to whoever has this token, if it is free; None if it is not."""
        ...

    def renew(self, token: str, term: int, lease_s: float) -> bool:
        """Let the lease begin again; False if it is not this holder's any more."""
        ...

    def release(self, token: str) -> None:
        """Free the lock if it is this holder's."""
        ...


class LeaseLock:
    """As `LeaderLock`, kept by a `LeaseRegistry`.

    Args:
        registry: Who keeps it.
        lease_s: How long it is had without being renewed.
        clock: Seconds that go by.
        token: Tells this holder from any other.
    """

    def __init__(
        self,
        registry: LeaseRegistry,
        *,
        lease_s: float,
        clock: Callable[[], float] = running_time,
        token: str = "",
    ) -> None:
        self.term = 0
        self._registry = registry
        self._lease_s = lease_s
        self._clock = clock
        self._token = token or secrets.token_hex(16)
        self._since = math.inf
        self._until = -math.inf

    def take(self, last: Claim) -> bool:
        """Try to get it, see `LeaderLock`."""
        self._since, self._until = math.inf, -math.inf
        sent = self._clock()
        grant = self._registry.take(self._token, self._lease_s, last)
        if grant is None:
            return False
        now = self._clock()
        self.term = grant.term
        self._since = now if grant.is_sure else now + self._lease_s
        self._until = sent + self._lease_s * (1.0 - _DRIFT)
        return True

    def renew(self) -> None:
        """Keep it, see `LeaderLock`."""
        if self.is_lost():
            return  # somebody else may have it
        sent = self._clock()
        if not self._registry.renew(self._token, self.term, self._lease_s):
            self._until = -math.inf
        elif not self.is_lost():  # a late answer does not bring back what was lost meanwhile
            self._until = sent + self._lease_s * (1.0 - _DRIFT)

    def is_held(self) -> bool:
        """Tell whether it is held, see `LeaderLock`."""
        return self._since <= self._clock() < self._until

    def is_lost(self) -> bool:
        """Tell whether it is lost, see `LeaderLock`."""
        return self._clock() >= self._until

    def release(self) -> None:
        """Give it back, see `LeaderLock`."""
        if not self.is_lost():
            self._until = -math.inf
            self._registry.release(self._token)
