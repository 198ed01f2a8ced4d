"""Tables of who may do what: users and their keys."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from engine.store.base import Base, Id, Moment, Words

__all__ = ["ROLES", "ApiKey", "User"]

ROLES = ("viewer", "trader", "admin")
"""What a user may do, each more than the one before."""


class User(Base):
    """Somebody who signs in.

    Attributes:
        id: Random.
        name: To sign in with; unique whatever the case.
        password_hash: argon2; None: only by key.
        role: One of `ROLES`.
        is_disabled: Neither password nor keys are accepted.
        created_ms: When.
        version: Raised by every change.
    """

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('viewer', 'trader', 'admin')", name="role"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[Id] = mapped_column(unique=True)
    password_hash: Mapped[Words | None]
    role: Mapped[Id]
    is_disabled: Mapped[bool] = mapped_column(default=False)
    created_ms: Mapped[Moment]
    version: Mapped[int] = mapped_column(default=1)


class ApiKey(Base):
    """A key of a user. Its secret part is shown once and never stored.

    Attributes:
        id: The public part, with which a key is found.
        user_id: Whose.
        name: What for.
        secret_hash: Of the secret part.
        created_ms: When.
        expires_ms: When it ends to be accepted; None: never.
        used_ms: When last, to about a minute; None: never.
        revoked_ms: When it was taken back; None: it was not.
    """

    __tablename__ = "api_keys"

    id: Mapped[Id] = mapped_column(primary_key=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[Id]
    secret_hash: Mapped[Words]
    created_ms: Mapped[Moment]
    expires_ms: Mapped[Moment | None]
    used_ms: Mapped[Moment | None]
    revoked_ms: Mapped[Moment | None]
