"""What is shown of users and keys: everything but the hashes."""

from __future__ import annotations

from typing import Self

import msgspec

from engine.access import Role
from engine.store import ApiKey, User
from engine.users.checks import check_role

__all__ = ["KeyView", "UserView"]


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A user.

    Attributes:
        id: Random.
        name: To sign in with, in lower case.
        role: What it may do.
        is_disabled: Neither password nor keys nor tokens are accepted.
        has_password: It can sign in with one; otherwise only by key.
        created_ms: When, milliseconds UTC.
        version: Raised by every change.
    """

    id: str
    name: str
    role: Role
    is_disabled: bool
    has_password: bool
    created_ms: int
    version: int

    @classmethod
    def of(cls, row: User) -> Self:
        """Return what is shown of a row."""
        return cls(
            id=row.id,
            name=row.name,
            role=check_role(row.role),
            is_disabled=row.is_disabled,
            has_password=row.password_hash is not None,
            created_ms=row.created_ms,
            version=row.version,
        )


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without its secret part.

    Attributes:
        id: The public part.
        user_id: Whose.
        name: What for.
        created_ms: When, milliseconds UTC.
        expires_ms: When it ends to be accepted; None: never.
        used_ms: When last, to about a minute; None: never.
        revoked_ms: When it was taken back; None: it was not.
    """

    id: str
    user_id: str
    name: str
    created_ms: int
    expires_ms: int | None
    used_ms: int | None
    revoked_ms: int | None

    @classmethod
    def of(cls, row: ApiKey) -> Self:
        """Return what is shown of a row."""
        return cls(
            id=row.id,
            user_id=row.user_id,
            name=row.name,
            created_ms=row.created_ms,
            expires_ms=row.expires_ms,
            used_ms=row.used_ms,
            revoked_ms=row.revoked_ms,
        )
