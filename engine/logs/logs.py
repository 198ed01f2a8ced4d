"""Keeping, publishing and reading strategies' logs."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from engine.access import Caller
from engine.errors import ConfigError, NotFoundError
from engine.events import EventLog
from engine.logs.line import LEVELS, LONGEST, SOURCES, Level, Line, Source
from engine.recording import Whose
from engine.recording.events import shown
from engine.redaction import redacted
from engine.store import LogLine, Store, Strategy
from engine.store.paging import Order, Page, take_page

__all__ = ["KEEP_LINES", "StrategyLogs"]

KEEP_LINES: Final = 10_000
"""Of one strategy."""

_MOST_WAITING: Final = 20_000
_AT_ONCE: Final = 500
_TRIM_AFTER: Final = 1_000
"""New lines of a strategy after which it is looked whether it has too many."""

_TOLD: Final = ("id", "at_ms", "level", "source", "text", "candle_ms")


class StrategyLogs:
    """Takes lines from any thread, and puts them on record a batch at a time.

    The only one who writes their table. Whoever has something to say waits for nothing: while the
    store is away lines wait, and beyond 20,000 the oldest go.

    Args:
        store: Where they are kept.
        events: Where each is published under ``logs``, once it is on record.
        whose: Tells whose a strategy is.
        clock: Milliseconds UTC.
        keep_lines: Of one strategy; the newest.

    Attributes:
        lost: How many lines there was no room for.
    """

    def __init__(
        self,
        store: Store,
        events: EventLog,
        whose: Whose,
        clock: Callable[[], int],
        *,
        keep_lines: int = KEEP_LINES,
    ) -> None:
        self._store = store
        self._events = events
        self._whose = whose
        self._clock = clock
        self._keep_lines = keep_lines
        self._lock = threading.Lock()
        self._waiting: deque[dict[str, Any]] = deque()
        self._since_trim: Counter[str] = Counter()
        self.lost = 0

    def add(self, line: Line) -> None:
        """Take a line; secrets are taken out of it, and it is cut where it is too long."""
        # No database takes half a surrogate pair, and PostgreSQL no NUL.
        # Cut before, since it takes its time, but far enough to see where a secret ends.
        text = (
            redacted(line.text[: 2 * LONGEST]).encode(errors="replace").decode().replace("\0", "�")
        )
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}…"
        row = {**msgspec.structs.asdict(line), "text": text, "at_ms": self._clock()}
        with self._lock:
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(row)

    def say(self, strategy_id: str, level: Level, text: str, *, source: Source = "engine") -> None:
        """Take a line, see `add`."""
        self.add(Line(strategy_id=strategy_id, level=level, source=source, text=text))

    def write(self) -> int:
        """Put what waits on record, and publish it; by one thread at a time.

        Returns:
            How many lines.

        Raises:
            StoreError: The store cannot be written; what waits goes on waiting.
        """
        written = 0
        while True:
            with self._lock:
                batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            if not batch:
                return written
            try:
                rows = self._put(batch)
            except BaseException:  # whatever it is, it goes on; what was not written waits again
                with self._lock:
                    self._waiting.extendleft(reversed(batch))
                raise
            for row in rows:
                self._publish(row)
            written += len(batch)

    def _put(self, batch: list[dict[str, Any]]) -> list[LogLine]:
        rows = [LogLine(**row) for row in batch]
        with self._store.write() as session:
            session.add_all(rows)
            session.flush()
            self._since_trim.update(row.strategy_id for row in rows)
            for name, count in list(self._since_trim.items()):
                if count >= min(_TRIM_AFTER, self._keep_lines):
                    self._trim(session, name)
                    del self._since_trim[name]
        return rows

    def _trim(self, session: Session, strategy_id: str) -> None:
        """Delete the oldest lines of a strategy that has too many."""
        mine = LogLine.strategy_id == strategy_id
        last = (
            select(LogLine.id)
            .where(mine)
            .order_by(LogLine.id.desc())
            .offset(self._keep_lines)
            .limit(1)
        )
        if (oldest := session.scalars(last).first()) is not None:
            session.execute(delete(LogLine).where(mine, LogLine.id <= oldest))

    def _publish(self, row: LogLine) -> None:
        owner = self._whose(row.strategy_id)
        if owner is None:
            return
        data = shown({name: getattr(row, name) for name in _TOLD})
        self._events.publish("logs", data, strategy_id=row.strategy_id, owner_id=owner.owner_id)

    def page(
        self,
        strategy_id: str,
        caller: Caller,
        *,
        level: Level | None = None,
        source: Source | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        is_reversed: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[LogLine]:
        """Return some lines of a strategy, the newest first; also of a deleted one.

        Args:
            strategy_id: Which.
            caller: Who asks.
            level: This one and what is worse.
            source: Only from there.
            since_ms: From this moment on, milliseconds UTC.
            until_ms: Until before this moment.
            is_reversed: The oldest first: a list that is followed while lines come.
            after: As for `take_page`.
            limit: As for `take_page`.

        Raises:
            NotFoundError: There is no such strategy, or not for the caller.
            ConfigError: An argument is not usable.
        """
        query = select(LogLine).where(LogLine.strategy_id == strategy_id)
        if level is not None:
            query = query.where(LogLine.level.in_(_from(level)))
        if source is not None:
            if source not in SOURCES:
                raise ConfigError(f"source: must be one of {', '.join(SOURCES)}, got {source!r}")
            query = query.where(LogLine.source == source)
        if since_ms is not None:
            query = query.where(LogLine.at_ms >= since_ms)
        if until_ms is not None:
            query = query.where(LogLine.at_ms < until_ms)
        order = [Order(LogLine.id, is_descending=not is_reversed)]
        with self._store.read() as session:
            _check_seen(session, strategy_id, caller)
            return take_page(session, query, order, after=after, limit=limit)


def _from(level: Level) -> tuple[Level, ...]:
    """Return a level and those that are worse.

    Raises:
        ConfigError: There is no such level.
    """
    if level not in LEVELS:
        raise ConfigError(f"level: must be one of {', '.join(LEVELS)}, got {level!r}")
    return LEVELS[LEVELS.index(level) :]


def _check_seen(session: Session, strategy_id: str, caller: Caller) -> None:
    query = select(Strategy.id).where(Strategy.id == strategy_id)
    if not caller.is_admin:
        query = query.where(Strategy.owner_id == caller.user_id)
    if session.scalars(query).first() is None:
        raise NotFoundError(f"strategy {strategy_id!r}: there is none")
