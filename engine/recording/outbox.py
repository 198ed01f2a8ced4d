"""Events on their way from the store to the event log: none is lost, some may be told twice."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from engine.events import EventLog
from engine.recording.events import Draft
from engine.store import Store, UnpublishedEvents

__all__ = ["Outbox"]

_decode = msgspec.json.Decoder(list[Draft]).decode


class Outbox:
    """Keeps events in the transaction of the rows they tell of, until the event log has them.

    One batch at a time is handed to the log, which may queue it; the next one follows when that
    has arrived. So a log that cannot be reached for a day costs room in the store and nothing else.

    Args:
        store: Where they wait.
        event_log: Where they go.
        engine: Whose they are.
    """

    def __init__(self, store: Store, event_log: EventLog, engine: str) -> None:
        self._store = store
        self._event_log = event_log
        self._engine = engine
        self._handed: tuple[str, int] | None = None

    def put(self, session: Session, run_id: str, lines: int, events: Sequence[Draft]) -> None:
        """Keep the events of a batch that ends with this number of lines."""
        if events:
            text = msgspec.json.encode(events)
            row = UnpublishedEvents(engine=self._engine, run_id=run_id, lines=lines, events=text)
            session.add(row)

    def publish(self, timeout_s: float) -> bool:
        """Hand over what waits, each batch when the one before it is in the log.

        Args:
            timeout_s: How long to wait for each batch.

        Returns:
            Nothing waits any more. False: the log could not be reached; call it again.

        Raises:
            EventLogError: The log refuses an event.
            StoreError: The store cannot be read or written.
        """
        while (batch := self._oldest()) is not None:
            name = batch.run_id, batch.lines
            if name != self._handed:
                for event in _decode(batch.events):
                    self._event_log.publish(
                        event.topic,
                        event.data,
                        strategy_id=event.strategy_id,
                        owner_id=event.owner_id,
                    )
                self._handed = name
            if not self._event_log.flush(timeout_s):
                return False
            with self._store.write() as session:
                session.execute(delete(UnpublishedEvents).where(UnpublishedEvents.id == batch.id))
            self._handed = None
        return True

    def _oldest(self) -> UnpublishedEvents | None:
        query = (
            select(UnpublishedEvents)
            .where(UnpublishedEvents.engine == self._engine)
            .order_by(UnpublishedEvents.id)
            .limit(1)
        )
        with self._store.read() as session:
            return session.scalars(query).first()
