"""Tables of the recorder: how far each run is on record, and what has still to be told."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from engine.store.base import Base, Counter, Id, Moment

__all__ = ["Recording", "UnpublishedEvents"]


class Recording(Base):
    """How much of a run's ledger is on record; changed together with the rows its lines make.

    Attributes:
        run_id: Of which run.
        engine: Which engine it is a run of: it has one at a time.
        lines: Number of lines on record.
        last_hash: SHA-256 of the last of them, hexadecimal; empty before the first. With no lines:
            the engine left this run for another one, and its rows wait to be made anew.
        recorded_ms: When that was.
        executions: Number of lines on executions on record.
    """

    __tablename__ = "recordings"

    run_id: Mapped[Id] = mapped_column(primary_key=True)
    engine: Mapped[Id] = mapped_column(index=True)
    lines: Mapped[int] = mapped_column(BigInteger)
    last_hash: Mapped[Id]
    recorded_ms: Mapped[Moment]
    executions: Mapped[int] = mapped_column(BigInteger, default=0)


class UnpublishedEvents(Base):
    """Events of lines that are on record, and perhaps not in the event log so far.

    Attributes:
        id: In the order they have to be told.
        engine: Of which engine.
        run_id: Of which run.
        lines: Number of lines up to and including the last of theirs.
        events: As JSON.
    """

    __tablename__ = "unpublished_events"

    id: Mapped[Counter]
    engine: Mapped[Id] = mapped_column(index=True)
    run_id: Mapped[Id]
    lines: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[bytes]
