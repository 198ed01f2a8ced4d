"""The thread that brings executions, as they happen, to the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import compress
from typing import Final, Protocol

from msgspec.structs import replace

from engine.recording.attendance import Attendance
from engine.recording.errors import RecordingError
from engine.recording.executions import ExecutionRow, record_executions
from engine.recording.loop import RecordingStatus
from engine.sequencing.executions import ExecutionPage
from engine.store import Recording, Store
from engine.store.upserts import insert_new

__all__ = ["ExecutionLoop", "ExecutionRecorder", "ExecutionSource", "Locks"]

_log = logging.getLogger(__name__)

_MOST_LINES: Final = 2_000
_MOST_ROWS: Final = 5_000
"""Of one transaction, and a few more: as many as one slice has."""

_PAUSE_S: Final = 0.2
"""Between two batches, when all there is is on record: many small ones would cost more."""

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0


class ExecutionSource(Protocol):
    """Where lines come from; see `Coordinator.executions_from`."""

    def __call__(
        self, start: int, limit: int, wait_s: float, *, with_roster: bool
    ) -> ExecutionPage:
        """Return lines; where there are none yet, wait for them up to `wait_s` seconds."""
        ...


class Locks(Protocol):
    """Locks on intervals; see `engine.locks.IntervalLocks`."""

    def take(self, wanted: Sequence[tuple[str, int]]) -> list[bool]:
        """Take locks; tells for each whether it is one's own."""
        ...


class ExecutionRecorder:
    """Puts executions on record, exactly once.

    How many lines are on record is written in the transaction of their rows.

    Args:
        store: Where to.
        clock: Milliseconds UTC.
        run_id: Of the run, as for `Recorder`.
        engine: Of the engine that runs it, likewise.
        attendance: Reads lines; its roster is that of the newest line on record.
        locks: Each execution's is taken before it is put on record; None: there are none.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        *,
        run_id: str,
        attendance: Attendance,
        engine: str = "chorus",
        locks: Locks | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._run_id = run_id
        self._engine = engine
        self._attendance = attendance
        self._locks = locks

    def position(self) -> int:
        """Return how many lines are on record.

        Raises:
            StoreError: The store cannot be read or written.
        """
        fresh = {"run_id": self._run_id, "engine": self._engine, "lines": 0, "last_hash": ""}
        with self._store.write() as session:
            insert_new(
                session, Recording, [fresh | {"recorded_ms": self._clock(), "executions": 0}]
            )
            return session.get_one(Recording, self._run_id).executions

    def begin(self, before: Sequence[bytes]) -> None:
        """Take the roster there was before the next line.

        Raises:
            RecordingError: A line is damaged.
        """
        self._attendance.begin(before)

    def apply(self, first: int, lines: Sequence[bytes]) -> int:
        """Put lines on record; returns how many are.

        Args:
            first: Number of the first of them: that of the first that is not on record.
            lines: In order, without gaps.

        Raises:
            RecordingError: A line is damaged, or another recorder has done some of it.
            StoreError: The store cannot be written.
            LockUnavailableError: The locks cannot be reached.
        """
        rows: list[ExecutionRow] = []
        on_record = first
        for number, line in enumerate(lines, first + 1):
            rows += self._attendance.rows_of(line)
            if len(rows) >= _MOST_ROWS:
                self._write(on_record, number, rows)
                rows, on_record = [], number
        if on_record < first + len(lines):
            self._write(on_record, first + len(lines), rows)
        return first + len(lines)

    def _write(self, before: int, after: int, rows: list[ExecutionRow]) -> None:
        own = rows
        if self._locks is not None:
            mine = self._locks.take([(row.strategy_id, row.interval_ms) for row in rows])
            own = list(compress(rows, mine))
            if len(own) < len(rows):
                _log.warning(
                    "executions: %d were taken by another engine and are left to it",
                    len(rows) - len(own),
                )
        with self._store.write() as session:
            row = session.get_one(Recording, self._run_id, with_for_update=True)
            if row.executions >= after:
                return  # another recorder of the run has done it
            if row.executions != before:
                raise RecordingError(
                    f"run {self._run_id!r}: executions from line {before} on cannot be recorded, "
                    f"{row.executions} is the next one; fetch them from there"
                )
            record_executions(session, own, now_ms=self._clock())
            row.executions = after


class ExecutionLoop:
    """Fetches lines and has them recorded, until it is closed; what fails is tried again.

    Args:
        recorder: Puts lines on record.
        source: Where they come from.
        wait_s: How long the source may wait for new lines; `close` takes so long.
    """

    def __init__(
        self, recorder: ExecutionRecorder, source: ExecutionSource, *, wait_s: float = 1.0
    ) -> None:
        self._recorder = recorder
        self._source = source
        self._wait_s = wait_s
        self._closing = threading.Event()
        self._next: int | None = None
        self._status = RecordingStatus()
        self._thread = threading.Thread(target=self._run, name="chorus-executions", daemon=True)

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
        """Return how far it is, in lines, for health and metrics; any thread may ask."""
        return self._status

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._closing.is_set():
            try:
                is_busy = self.go_on()
            except Exception as error:  # noqa: BLE001 - the loop of a thread; all is logged
                self._fail(str(error) or type(error).__name__)
                self._closing.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            pause_s = _FIRST_PAUSE_S
            if not is_busy:
                self._closing.wait(_PAUSE_S)

    def go_on(self) -> bool:
        """Fetch and record some lines, once; returns whether there are more."""
        is_first = self._next is None
        start = self._recorder.position() if self._next is None else self._next
        page = self._source(start, _MOST_LINES, self._wait_s, with_roster=is_first)
        self._next = None
        if is_first:
            self._recorder.begin(page.before)
        self._status = replace(self._status, recorded=start, total=page.total)
        self._next = self._recorder.apply(start, page.lines)
        self._status = RecordingStatus(recorded=self._next, total=page.total)
        return self._next < page.total

    def _fail(self, text: str) -> None:
        self._next = None
        if text != self._status.error:
            _log.warning("executions: will try again: %s", text)
        failures = self._status.failures + 1
        self._status = replace(self._status, error=text, failures=failures)
