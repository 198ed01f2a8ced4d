"""A thread that goes its rounds: something is brought from where it is on record to the engine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from api.service.watch import failure_of

__all__ = ["Rounds"]

_log = logging.getLogger(__name__)


class Rounds:
    """Calls some functions again and again: when something has changed, and now and then.

    One that fails, however it does, is called again, and does not hold up the others.

    Args:
        calls: What to call, in this order.
        changed: Set by whoever has changed something.
        every_s: Longest time between two rounds; another process may have changed something.
    """

    def __init__(
        self,
        calls: Sequence[Callable[[], None]],
        changed: threading.Event,
        *,
        every_s: float = 5.0,
    ) -> None:
        self._calls = tuple(calls)
        self._changed = changed
        self._every_s = every_s
        self._failing: dict[int, str] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="chorus-rounds", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; waits for what is under way."""
        self._closing = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            # Before the look: what changes from here on is looked at in the next round.
            self._changed.clear()
            for number, call in enumerate(self._calls):
                self._try(number, call)
            if not self._closing:  # else this may have forgotten that it was woken for it
                self._changed.wait(self._every_s)

    def _try(self, number: int, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the loop of a thread; all is logged
            text = failure_of(error)
            if self._failing.get(number) != text:
                _log.warning("not brought to the engine yet: %s", text)
            self._failing[number] = text
        else:
            self._failing.pop(number, None)
