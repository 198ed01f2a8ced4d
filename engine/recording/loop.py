"""The thread that brings a ledger, as it grows, to the recorder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

import msgspec

from engine.recording.errors import RecordingError
from engine.recording.recorder import MAX_LINES, Recorder

__all__ = ["RecordingLoop", "RecordingStatus", "Source"]

Source = Callable[[int, int, float], tuple[int, list[bytes]]]
"""``source(start, limit, wait_s)`` returns how many lines a ledger has, and those from `start` on,
at most `limit`; where there are none yet, it may wait for them up to `wait_s` seconds."""

IDLE_PAUSE_S: Final = 0.02
"""After an answer without lines: a source that does not wait is not asked without a break."""

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0

_log = logging.getLogger(__name__)


class RecordingStatus(msgspec.Struct, frozen=True):
    """How far recording has come.

    Attributes:
        recorded: Lines on record.
        total: Lines there are, as last heard.
        is_told: The event log has the events of all lines on record.
        error: Why it does not go on; empty while it does.
        failures: Attempts since it went on last.
    """

    recorded: int = 0
    total: int = 0
    is_told: bool = True
    error: str = ""
    failures: int = 0

    @property
    def lag(self) -> int:
        """Return how many lines are not on record yet."""
        return max(0, self.total - self.recorded)


class RecordingLoop:
    """Fetches lines and has them recorded, until it is closed.

    Whatever fails is tried again, after pauses that grow from 0.1 to 10 s: an order manager that
    starts anew, a store that is locked or full, a damaged line. None of that stops who trades.

    Args:
        recorder: Puts lines on record.
        source: Where they come from.
        wait_s: How long the source may wait for new lines; `close` takes so long.
        wait: Waits some seconds, or until `close`, and tells whether it was closed; a test brings
            its own.
    """

    def __init__(
        self,
        recorder: Recorder,
        source: Source,
        *,
        wait_s: float = 1.0,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._recorder = recorder
        self._source = source
        self._wait_s = wait_s
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait
        self._next: int | None = None
        self._status = RecordingStatus()
        self._thread = threading.Thread(target=self._run, name="chorus-recorder", daemon=True)

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and wait for it. What is not on record is recorded by the next one."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def status(self) -> RecordingStatus:
        """Return how far it is, for health and metrics; any thread may ask."""
        return self._status

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._closing.is_set():
            try:
                found = self._go_on()
            except Exception as error:  # noqa: BLE001 - the loop of a thread; all is logged and told
                self._fail(error)
                found = None
            if found is None:
                self._wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            pause_s = FIRST_PAUSE_S
            if not found:
                self._wait(IDLE_PAUSE_S)

    def _go_on(self) -> int | None:
        """Fetch and record some lines; returns how many were fetched.

        None: the ledger is behind what is on record. So it is for a moment when an order manager
        died, and its successor repeats what it did.
        """
        if self._next is None:
            # The last line on record is fetched again: it tells whether the ledger is the same.
            recorded = self._recorder.position()
            self._next = max(0, recorded - 1)
            self._status = msgspec.structs.replace(self._status, recorded=recorded)
        total, lines = self._source(self._next, MAX_LINES, self._wait_s)
        if not lines and total > self._next:
            raise RecordingError(
                f"ledger: has {total} lines, but none were given from {self._next} on"
            )
        recorded = self._status.recorded
        if lines:
            recorded = self._next = self._recorder.apply(self._next, lines)
        is_told = self._recorder.publish()
        if self._status.error:
            _log.info("recorder: goes on at line %d", recorded)
        self._status = RecordingStatus(recorded=recorded, total=total, is_told=is_told)
        if total < recorded:
            self._next = None
            return None
        return len(lines)

    def _fail(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if text != self._status.error:
            _log.warning("recorder: will try again: %s", text)
        self._next = None
        self._status = msgspec.structs.replace(
            self._status, error=text, failures=self._status.failures + 1
        )
