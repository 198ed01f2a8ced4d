"""Looks after the service as a whole, for health, metrics and alerts."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import text

from actors.processes import processor_time, unique_memory
from api.server.system import Check, Recorded, SystemStatus, Use
from api.service.watch import Watch
from engine.errors import ChorusError, StoreError
from engine.events import EventLog
from engine.recording import RecordingStatus
from engine.status import EngineHealth
from engine.store import Store

__all__ = ["Observer"]

_EVERY_S: Final = 5.0
_SILENT_AFTER_S: Final = 30.0
"""An engine that has not answered for so long does not: one look may take half of it."""


class Observer(Watch):
    """Looks at everything now and then, as a `SystemView`.

    Args:
        store: Asked whether it is there.
        events: The event log.
        health: Asks the engine.
        recording: Tells how far recording is.
        executions: Tells how far recording executions is.
        recorded: Tells what was recorded.
        folder: Where the data are.
        now_ms: Milliseconds UTC.
        monotonic: Seconds, from anywhere; never goes back.
        on_look: Called after each look.
    """

    def __init__(
        self,
        store: Store,
        events: EventLog,
        health: Callable[[], EngineHealth],
        *,
        recording: Callable[[], RecordingStatus],
        executions: Callable[[], RecordingStatus],
        recorded: Callable[[], Recorded],
        folder: Path,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
        on_look: Callable[[SystemStatus], None] = lambda _: None,
    ) -> None:
        super().__init__("chorus-observer")
        self._store = store
        self._events = events
        self._health = health
        self._recording = recording
        self._executions = executions
        self._recorded = recorded
        self._folder = folder
        self._started_ms = now_ms()
        self._monotonic = monotonic
        self._began = self._heard_at = monotonic()
        self._engine: EngineHealth | None = None
        self._engine_error = "has not been heard of so far"
        self._service = self._children = Use()
        self._on_look = on_look

    def look(self) -> float:
        """Look once."""
        before = self._monotonic()
        try:
            self._engine = self._health()
        except ChorusError as error:
            self._engine_error = str(error)
        else:
            self._engine_error, self._heard_at = "", self._monotonic()
        own = os.getpid()
        self._service = _use_of([own])
        self._children = _use_of(_descendants(own))
        self._on_look(self.status())
        return max(_EVERY_S, 10 * (self._monotonic() - before))

    def status(self) -> SystemStatus:
        """Return how it is, without asking anybody."""
        return SystemStatus(
            started_ms=self._started_ms,
            uptime_s=self._monotonic() - self._began,
            engine=self._engine,
            engine_error=self._silence(),
            recording=self._recording(),
            executions=self._executions(),
            recorded=self._recorded(),
            events=self._events.health(),
            service=self._service,
            children=self._children,
            free_bytes=shutil.disk_usage(self._folder).free,
        )

    def checks(self) -> list[Check]:
        """Return how each thing it needs is; asks the store."""
        engine, recording = self._engine, self._recording()
        feed = "has not begun" if engine is None or engine.published < 0 else ""
        if engine is not None and engine.is_feed_over:
            feed = "has come to its end"
        return [
            Check("store", self._store_problem()),
            Check("engine", self._silence() or (engine.failure if engine else "")),
            Check("feed", feed),
            Check("recording", recording.error),
        ]

    def _silence(self) -> str:
        """Return why the engine does not answer; one look that fails says nothing yet."""
        silent_s = self._monotonic() - self._heard_at
        if self._engine is not None and silent_s < _SILENT_AFTER_S:
            return ""
        return self._engine_error or f"has not been heard of for {silent_s:.0f} s"

    def _store_problem(self) -> str:
        try:
            with self._store.read() as session:
                session.execute(text("SELECT 1"))
        except StoreError as error:
            return str(error)
        return ""


def _use_of(processes: list[int]) -> Use:
    return Use(
        processes=len(processes),
        memory_bytes=sum(map(unique_memory, processes)),
        cpu_s=sum(map(processor_time, processes)),
    )


def _descendants(process: int) -> list[int]:
    """Return all processes a process has started, and those they have."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc") if Path("/proc").is_dir() else ():
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text()
            except OSError:
                continue  # it has ended meanwhile
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [process]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
