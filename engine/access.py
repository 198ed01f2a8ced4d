"""Who asks: every service that shows or changes what users own is told."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from engine.errors import ForbiddenError

__all__ = ["CHORUS", "Caller", "Role"]

Role = Literal["viewer", "trader", "admin"]
"""Sees its own, changes its own, sees and changes everything."""

_RANKS: Final = {"viewer": 0, "trader": 1, "admin": 2}


class Caller(msgspec.Struct, frozen=True):
    """A user, or Chorus itself.

    Attributes:
        user_id: Who; None: Chorus itself.
        role: What it may do.
    """

    user_id: str | None
    role: Role

    @property
    def is_admin(self) -> bool:
        """Tell whether it may see and change what others own."""
        return self.role == "admin"

    def may(self, role: Role) -> bool:
        """Tell whether it may do what this role may."""
        return _RANKS[self.role] >= _RANKS[role]

    def require(self, role: Role, what: str) -> None:
        """Check that it may do what this role may.

        Args:
            role: The least of the roles that may.
            what: What it would do, for the message.

        Raises:
            ForbiddenError: It may not.
        """
        if not self.may(role):
            raise ForbiddenError(
                f"{what}: needs the role {role} or more, you have {self.role}; ask an admin"
            )

    def owner_of(self, what: str, doing: str) -> str:
        """Return the id of the user that is to own something, or to change what it owns.

        Args:
            what: In the plural, like ``strategies``.
            doing: What it would do, for the message.

        Raises:
            ForbiddenError: It may only look, or is Chorus itself.
        """
        self.require("trader", doing)
        if self.user_id is None:
            raise ForbiddenError(f"{what}: belong to users, not to Chorus itself")
        return self.user_id


CHORUS: Final = Caller(None, "admin")
"""Chorus itself, where nobody asks: at start, by the clock."""
