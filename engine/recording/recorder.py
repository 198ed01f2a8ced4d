"""The recorder: what an order manager has done goes on record exactly once, then out as events."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.orm import Session

from engine.errors import ConfigError
from engine.events import EventLog
from engine.recording.batch import Batch, instances_of, orders_of, positions_of
from engine.recording.errors import RecordingError
from engine.recording.lines import Line, parse_line
from engine.recording.outbox import Outbox
from engine.recording.owners import UNKNOWN, Whose
from engine.recording.tables import (
    clear_run,
    leave_other_runs,
    load_orders,
    load_positions,
    write,
)
from engine.store import Recording, Store
from engine.store.upserts import insert_new

__all__ = ["MAX_LINES", "Recorder"]

MAX_LINES: Final = 1_000
"""Lines in one transaction: larger ones hold up others who write, and are hardly faster."""

_LONGEST_ID: Final = 64


class Recorder:
    """Records the ledger of a run, line by line, in the store.

    How many lines are on record is written in the transaction of the rows they make, so a crash
    leaves both or neither, and whoever comes next goes on from there. What the rows tell goes out
    as events after that, again and again until the event log has it.

    Ids in a ledger derive from strategies, streams and numbers of candles, and repeat when an
    engine begins a new run; ids on record begin with the id of their run. An engine has one run at
    a time: when it begins another one, positions of the one before are gone and orders that were
    open are canceled; fills and signals stay.

    Any thread may call it. Two recorders of one run do no harm: the second finds all done.

    Args:
        store: Where to.
        event_log: Who is told.
        whose: Tells whose an instance is; must not write to the store.
        clock: Milliseconds UTC.
        run_id: Of the run: another one for each ledger that begins at zero.
        engine: Of the engine that runs it.
        flush_s: How long to wait for the event log, seconds.

    Attributes:
        recorded: How many ``signals``, ``orders`` and ``fills`` it has put on record itself.

    Raises:
        ConfigError: An id is empty or too long.
    """

    def __init__(
        self,
        store: Store,
        event_log: EventLog,
        whose: Whose,
        clock: Callable[[], int],
        *,
        run_id: str,
        engine: str = "chorus",
        flush_s: float = 1.0,
    ) -> None:
        for name, value in (("run_id", run_id), ("engine", engine)):
            if not 1 <= len(value) <= _LONGEST_ID or "|" in value:
                raise ConfigError(
                    f"{name}: needs 1 to {_LONGEST_ID} characters without '|', got {value[:80]!r}"
                )
        self._store = store
        self._whose = whose
        self._clock = clock
        self._run_id = run_id
        self._engine = engine
        self._flush_s = flush_s
        self._outbox = Outbox(store, event_log, engine)
        self.recorded: Counter[str] = Counter()

    def position(self) -> int:
        """Return how many lines are on record; the first call of a new run leaves the one before.

        Raises:
            StoreError: The store cannot be read or written.
        """
        with self._store.write() as session:
            leave_other_runs(session, self._engine, self._run_id)
            return self._row(session).lines

    def apply(self, first: int, lines: Sequence[bytes]) -> int:
        """Put lines on record, and tell of them; those that are on record already are left out.

        Args:
            first: Number of the first of them in the ledger, from 0.
            lines: In order, without gaps.

        Returns:
            How many lines are on record now.

        Raises:
            RecordingError: A line is damaged or unknown, there is a gap before the first one, or
                the lines are not those of the ledger that is on record; nothing was written.
            StoreError: The store cannot be written; nothing was. (Of more than `MAX_LINES` lines,
                those of earlier batches were, in both cases.)
            EventLogError: The event log refuses an event; the lines are on record.
        """
        for start in range(0, len(lines), MAX_LINES):
            recorded = self._apply(first + start, lines[start : start + MAX_LINES])
            self.publish()
        return recorded if lines else self.position()

    def publish(self) -> bool:
        """Tell what is on record and was not told so far. False: the event log cannot be reached.

        Raises:
            EventLogError: The event log refuses an event.
            StoreError: The store cannot be read or written.
        """
        return self._outbox.publish(self._flush_s)

    def _apply(self, first: int, lines: Sequence[bytes]) -> int:
        parsed = [self._parse(first + place, line) for place, line in enumerate(lines)]
        owners = {name: self._whose(name) or UNKNOWN for name in instances_of(parsed)}
        with self._store.write() as session:
            row = self._row(session)
            self._check(row, first, lines)
            new = parsed[row.lines - first :]
            if not new:
                return row.lines
            batch = Batch(
                self._run_id,
                self._clock(),
                owners=owners,
                orders=(orders := load_orders(session, orders_of(self._run_id, new))),
                positions=load_positions(session, positions_of(owners, new)),
            )
            known = len(orders)
            for number, line in enumerate(new, start=row.lines):
                batch.take(number, line)
            write(session, batch)
            row.lines += len(new)
            row.last_hash = _hash(lines[-1])
            row.recorded_ms = self._clock()
            self._outbox.put(session, self._run_id, row.lines, batch.events)
            lines_on_record = row.lines
        self.recorded.update(
            signals=len(batch.signals), orders=len(batch.orders) - known, fills=len(batch.fills)
        )
        return lines_on_record

    def _row(self, session: Session) -> Recording:
        """Return how far the run is on record, locked until the end of the transaction."""
        fresh = {
            "run_id": self._run_id,
            "engine": self._engine,
            "lines": 0,
            "last_hash": "",
            "recorded_ms": self._clock(),
        }
        insert_new(session, Recording, [fresh])
        row = session.get_one(Recording, self._run_id, with_for_update=True)
        if row.last_hash and not row.lines:  # it was left for another run, and is taken up again
            clear_run(session, self._run_id)
            row.last_hash = ""
        return row

    def _parse(self, number: int, line: bytes) -> Line:
        try:
            return parse_line(line)
        except RecordingError as error:
            raise RecordingError(f"run {self._run_id!r}, line {number}: {error}") from error

    def _check(self, row: Recording, first: int, lines: Sequence[bytes]) -> None:
        if first > row.lines:
            raise RecordingError(
                f"run {self._run_id!r}: lines from {first} on cannot be recorded, {row.lines} is "
                f"the next one; fetch the ledger from there"
            )
        last = row.lines - 1 - first
        if 0 <= last < len(lines) and _hash(lines[last]) != row.last_hash:
            raise RecordingError(
                f"run {self._run_id!r}: line {row.lines - 1} is not the one on record; the ledger "
                "is that of another run, which needs an id of its own"
            )


def _hash(line: bytes) -> str:
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()
