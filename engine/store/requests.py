"""Table of requests that are carried out once, however often they are sent."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from engine.store.base import Base, Document, Id, Moment

__all__ = ["IdempotencyKey"]


class IdempotencyKey(Base):
    """A request with a key of its sender's choice, and what it was answered; kept for a day.

    Attributes:
        id: Made from user, method, path and key.
        user_id: Whose.
        request_hash: Of everything else that was sent.
        claim: Who carries it out: random for every attempt.
        lease_ms: Until when it is believed to be carried out; whoever comes later tries again.
        status: What it was answered; None: it is carried out, or whoever did has died.
        headers: Of the answer, those that matter.
        body: Of the answer; None where that is never to be had again.
        created_ms: When it was sent first.
    """

    __tablename__ = "idempotency_keys"

    id: Mapped[Id] = mapped_column(primary_key=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id"))
    request_hash: Mapped[Id]
    claim: Mapped[Id]
    lease_ms: Mapped[Moment]
    status: Mapped[int | None]
    headers: Mapped[Document]
    body: Mapped[bytes | None]
    created_ms: Mapped[Moment] = mapped_column(index=True)
