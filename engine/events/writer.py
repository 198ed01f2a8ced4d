"""The thread that brings published events to a log on a server."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence

from engine.events.errors import EventLogError
from engine.events.event import Draft
from engine.events.log import EventLogHealth
from engine.events.queue import EventQueue

__all__ = ["EventWriter", "Send"]

_BATCH = 256
_FIRST_RETRY_S = 0.05
_LAST_RETRY_S = 2.0

_log = logging.getLogger(__name__)

Send = Callable[[int, Sequence[Draft]], None]
"""Writes events whose first has this number, the others following it, or raises `EventLogError`.

It may have written them although it raises; told the same numbers again it writes nothing twice.
"""


class EventWriter:
    """Queues events and sends them in order, again and again until the server has them.

    While the server cannot be reached, out-of-date candles, metrics and log lines make room for
    newer ones and are counted (`EventQueue`). When the queue is full of what must not be lost,
    further ones are refused and counted, and the first thing told when there is room again is an
    alert that says how many. Nobody who publishes is stopped by that: trading must not depend on
    whether somebody can watch it.

    Args:
        send: Writes a batch; called by the writer's own thread.
        now_ms: Tells the time, in milliseconds since 1970.
        capacity: Events that wait at most, see `EventQueue`.
    """

    def __init__(self, send: Send, *, now_ms: Callable[[], int], capacity: int) -> None:
        self._send = send
        self._now_ms = now_ms
        self._changed = threading.Condition()
        self._queue: EventQueue[Draft] = EventQueue(capacity)
        self._batch: list[Draft] = []
        self._sent = 0
        self._refused: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()
        self._cause = ""
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="chorus-event-writer", daemon=True)
        self._thread.start()

    def put(self, draft: Draft) -> None:
        """Queue an event; neither blocks nor fails."""
        with self._changed:
            if self._closing or not self._queue.put(draft):
                if not self._untold:
                    _log.error("event log: a %r event could not be kept", draft.topic)
                self._refused[draft.topic] += 1
                self._untold[draft.topic] += 1
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is waiting. False: not within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting(), timeout_s)

    def health(self) -> EventLogHealth:
        """Return how the log is."""
        with self._changed:
            return EventLogHealth(
                available=not self._cause,
                waiting=self._waiting(),
                dropped=dict(self._queue.dropped),
                refused=dict(self._refused),
                cause=self._cause,
            )

    def close(self, timeout_s: float) -> None:
        """Send what is waiting, if that can be done within the time, then accept nothing more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting() or self._closing, timeout_s)
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        if left := self._waiting():
            _log.error("event log: closed with %d events not written: %s", left, self._cause)

    def _waiting(self) -> int:
        return len(self._queue) + len(self._batch)

    def _run(self) -> None:
        while self._await_batch():
            self._send_batch()

    def _await_batch(self) -> bool:
        """Take the next events out of the queue; False: there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if self._closing:
                return False
            self._batch, _ = self._queue.take(_BATCH)
            # Here, because here is room again: what is accepted from now on comes behind it.
            if self._untold and self._queue.put(self._confession()):
                self._untold.clear()
            return True

    def _send_batch(self) -> None:
        """Send until it succeeds; only closing ends it before."""
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                self._send(self._sent + 1, self._batch)
            except EventLogError as error:
                with self._changed:
                    if not self._cause:
                        _log.warning("%s; events wait until it is back", error)
                    self._cause = str(error)
                    if self._changed.wait_for(lambda: self._closing, pause_s):
                        return
                pause_s = min(2 * pause_s, _LAST_RETRY_S)
            else:
                break
        with self._changed:
            if self._cause:
                _log.warning("event log: back; %d events wait to be written", self._waiting())
            self._cause = ""
            self._sent += len(self._batch)
            self._batch = []
            self._changed.notify_all()

    def _confession(self) -> Draft:
        counts = dict(self._untold)
        text = ", ".join(f"{count} {topic}" for topic, count in sorted(counts.items()))
        return Draft(
            topic="alerts",
            at_ms=self._now_ms(),
            data={
                "kind": "events_lost",
                "message": f"events were lost while their log could not be reached: {text}; "
                f"the store has what was traded",
                "counts": counts,
            },
        )
