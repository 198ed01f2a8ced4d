"""The contract of every event log."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from engine.events.event import Event

__all__ = ["EventLog", "EventLogHealth"]


class EventLogHealth(msgspec.Struct, frozen=True):
    """How a log is, as seen by one process.

    Attributes:
        available: Whether the last attempt to write to it succeeded.
        waiting: Published events that are not in the log yet.
        dropped: Events of each topic that made room for newer ones before they were written.
        refused: Events of each topic that must not be lost and could not be kept.
        cause: Why it is not available; empty otherwise.
    """

    available: bool = True
    waiting: int = 0
    dropped: dict[str, int] = {}
    refused: dict[str, int] = {}
    cause: str = ""


class EventLog(Protocol):
    """One sequence of events for everybody. All methods may be called by any thread."""

    def publish(
        self, topic: str, data: dict[str, Any], *, strategy_id: str = "", owner_id: str = ""
    ) -> None:
        """Append an event, now or soon; what one thread publishes keeps its order.

        Does not wait for servers, and does not fail because of them: who trades must not be held
        up by who looks on. `flush` tells whether all of it arrived, `health` what did not.

        Args:
            topic: One of `TOPICS`, or ``candles:<stream>``.
            data: What JSON can hold, at most `MAX_EVENT_BYTES`.
            strategy_id: The strategy it is about; empty: about none.
            owner_id: The user who may see it; empty: everybody.

        Raises:
            EventError: The topic is unknown, or the data are not usable.
        """

    def read(self, after: str | None, limit: int) -> list[Event]:
        """Return events in order, without gaps.

        Args:
            after: Id of the event before; None: from the oldest that is kept.
            limit: How many at most; fewer are returned only at the end of the log.

        Raises:
            EventError: `after` is no id.
            EventsLostError: `after` is older than what is kept, or not of this log.
            EventLogUnavailableError: The log cannot be reached.
        """

    def newest(self) -> str:
        """Return the id to read on from to see only what is yet to come.

        Raises:
            EventLogUnavailableError: The log cannot be reached.
        """

    def wait(self, after: str, timeout_s: float) -> bool:
        """Wait until `read` with this id would return something or raise `EventsLostError`.

        A log that cannot be reached is waited for, too. False: not within the time.

        Raises:
            EventError: `after` is no id.
        """

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was published before is in the log. False: not within the time."""

    def health(self) -> EventLogHealth:
        """Return how the log is, without asking a server."""

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is waiting, if that can be done within the time, and let go of the log."""
