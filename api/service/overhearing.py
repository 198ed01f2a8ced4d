"""An event log that somebody listens to who shares the thread of whoever publishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.events import Event, EventLog, EventLogHealth

__all__ = ["OverheardLog"]


class OverheardLog:
    """As an `EventLog`: passes everything on to another one.

    Args:
        log: Where to.
        listen: Called with topic, data, and strategy of each event; must be quick.
    """

    def __init__(self, log: EventLog, listen: Callable[[str, dict[str, Any], str], None]) -> None:
        self._log = log
        self._listen = listen

    def publish(
        self, topic: str, data: dict[str, Any], *, strategy_id: str = "", owner_id: str = ""
    ) -> None:
        """Append an event; see `EventLog`."""
        self._log.publish(topic, data, strategy_id=strategy_id, owner_id=owner_id)
        self._listen(topic, data, strategy_id)

    def read(self, after: str | None, limit: int) -> list[Event]:
        """Return events in order; see `EventLog`."""
        return self._log.read(after, limit)

    def newest(self) -> str:
        """Return the id of the newest event; see `EventLog`."""
        return self._log.newest()

    def wait(self, after: str, timeout_s: float) -> bool:
        """Wait for something to read; see `EventLog`."""
        return self._log.wait(after, timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all is in the log; see `EventLog`."""
        return self._log.flush(timeout_s)

    def health(self) -> EventLogHealth:
        """Return how the log is."""
        return self._log.health()

    def close(self, timeout_s: float = 5.0) -> None:
        """Close the log; see `EventLog`."""
        self._log.close(timeout_s)
