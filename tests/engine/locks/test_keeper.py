"""A lock that is lost is noticed, whatever renewing it does."""

from __future__ import annotations

import threading
from collections.abc import Callable

from engine.locks import Claim, LeaderKeeper


class Lock:
    """A lock whose renewal is what a test makes of it."""

    def __init__(self, renew: Callable[[], None]) -> None:
        self.term = 1
        self.lost = False
        self._renew = renew

    def take(self, last: Claim) -> bool:
        raise NotImplementedError

    def renew(self) -> None:
        self._renew()

    def is_held(self) -> bool:
        return not self.lost

    def is_lost(self) -> bool:
        return self.lost

    def release(self) -> None:
        raise NotImplementedError


def test_a_renewal_that_hangs_hides_no_loss() -> None:
    hangs, go_on, told = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        go_on.wait(60.0)

    lock = Lock(hang)
    keeper = LeaderKeeper(lock, every_s=0.01, on_lost=told.set)
    keeper.start()
    assert hangs.wait(30.0)
    lock.lost = True
    assert told.wait(30.0)
    go_on.set()
    keeper.close()


def test_it_goes_on_whatever_renewing_raises() -> None:
    calls, again = [], threading.Event()

    def fail() -> None:
        calls.append("renew")
        if len(calls) == 2:
            again.set()
        raise PermissionError("nobody expects that")

    keeper = LeaderKeeper(Lock(fail), every_s=0.01, on_lost=lambda: None)
    keeper.start()
    assert again.wait(30.0)
    keeper.close()
