"""Waiting for what another thread or process does: it is looked at again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["until"]

T = TypeVar("T")

_WITHIN_S: Final = 60.0
"""No machine needs that long, however busy; a process of its own takes seconds to start."""


def until(
    condition: Callable[[], T],
    said: Callable[[], object] | str = "",
    *,
    within_s: float = _WITHIN_S,
    every_s: float = 0.01,
) -> T:
    """Wait until something is so; where there is an event to wait for, that is the better way.

    Args:
        condition: Returns something true when it is so.
        said: What to say if it is not; a function is called then.
        within_s: The test fails when it is not so after that long, seconds.
        every_s: Pause between two looks, seconds; 0 if the condition waits itself.

    Returns:
        What the condition returned.

    Raises:
        AssertionError: It was not so in time.
    """
    deadline, pause = time.monotonic() + within_s, threading.Event()
    while not (found := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(
                f"not so within {within_s:g} s: {said() if callable(said) else said}"
            )
        pause.wait(every_s)
    return found
