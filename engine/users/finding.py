"""Finding a user for somebody who asks: whom they may not see is not there for them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.access import Caller
from engine.errors import NotFoundError
from engine.store import User

__all__ = ["find_user"]


def find_user(session: Session, user_id: str, caller: Caller, *, locks: bool = False) -> User:
    """Return a user: any for admins, for others only themselves.

    Args:
        session: In a transaction.
        user_id: Who.
        caller: Who asks.
        locks: Whoever else means to change it waits until the transaction ends.

    Raises:
        NotFoundError: There is none of that id, or not for the caller.
    """
    # No text the database cannot even compare with: PostgreSQL knows no NUL.
    if user_id.isprintable() and (caller.is_admin or caller.user_id == user_id):
        query = select(User).where(User.id == user_id)
        found = session.scalars(query.with_for_update() if locks else query).first()
        if found is not None:
            return found
    raise NotFoundError(f"user {user_id[:80]!r}: there is none; look at the list of users")
