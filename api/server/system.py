"""What the routes see of the service itself."""

from __future__ import annotations

from typing import Protocol

import msgspec

from engine.events import EventLogHealth
from engine.recording import RecordingStatus
from engine.status import EngineHealth

__all__ = ["Check", "Recorded", "SystemStatus", "SystemView", "Use"]


class Use(msgspec.Struct, frozen=True):
    """What processes use.

    Attributes:
        processes: How many there are.
        memory_bytes: Unique memory of all of them together.
        cpu_s: Processor time they have used, seconds.
    """

    processes: int = 0
    memory_bytes: int = 0
    cpu_s: float = 0.0


class Recorded(msgspec.Struct, frozen=True):
    """What has been put on record since this process began."""

    signals: int = 0
    orders: int = 0
    fills: int = 0


class SystemStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The service at one moment, as last looked at.

    Attributes:
        started_ms: When this process began, milliseconds UTC.
        uptime_s: For how long it has run.
        engine: The engine; None before it was heard of.
        engine_error: Why it does not answer; empty while it does.
        recording: How far its ledger is on record.
        executions: How far executions are, which come beside the ledger.
        recorded: What was put on record of the ledger.
        events: The event log.
        service: What this process uses.
        children: What the processes it has started use, the engine's among them.
        free_bytes: Room where the data folder is.
    """

    started_ms: int
    uptime_s: float
    engine: EngineHealth | None = None
    engine_error: str = ""
    recording: RecordingStatus = RecordingStatus()
    executions: RecordingStatus = RecordingStatus()
    recorded: Recorded = Recorded()
    events: EventLogHealth = EventLogHealth()
    service: Use = Use()
    children: Use = Use()
    free_bytes: int = 0


class Check(msgspec.Struct, frozen=True):
    """One thing the service needs to do its work.

    Attributes:
        name: ``store``, ``engine``, ``feed`` or ``recording``.
        problem: What is wrong with it; empty: nothing.
    """

    name: str
    problem: str = ""


class SystemView(Protocol):
    """The service as it was seen last. All methods may be called by any thread."""

    def status(self) -> SystemStatus:
        """Return how it is, without asking anybody."""
        ...

    def checks(self) -> list[Check]:
        """Return how each thing it needs is; asks the store."""
        ...
