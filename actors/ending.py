"""How a service tells its supervisor that its loop has ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Ending"]


class Ending:
    """Lets one caller at a time wait for the end of a loop.

    Whoever supervises may itself die and be replaced; its call would then occupy a thread of the
    service for ever. So a later call ends the one before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest = threading.Event()
        self._has_ended = False
        self._cause: BaseException | None = None

    def wait(self) -> None:
        """Return when the loop has ended, or when somebody else waits.

        Raises:
            BaseException: What ended it.
        """
        own = threading.Event()
        with self._lock:
            self._latest.set()
            self._latest = own
            if self._has_ended:
                own.set()
        own.wait()
        if self._cause is not None:
            raise self._cause

    @contextmanager
    def of(self) -> Iterator[None]:
        """Be the end of what the block does, however it ends."""
        cause: BaseException | None = None
        try:
            yield
        except BaseException as error:  # whatever it is, it goes on as well
            cause = error
            raise
        finally:
            with self._lock:
                self._has_ended, self._cause = True, cause
                self._latest.set()
