"""The one error of whoever is not let in."""

from __future__ import annotations

from typing import Final

from engine.errors import ChorusError

__all__ = ["AuthenticationError"]

_TEXT: Final = (
    "authentication: needs the name and password of a user, or a key or token that is still "
    "accepted, of a user who is not disabled; sign in again, or ask an admin for a new key"
)


class AuthenticationError(ChorusError):
    """Somebody is not who they say, or is not let in any more.

    The text is always the same: what exactly was wrong would help whoever tries names and keys.
    """

    def __init__(self, text: str = _TEXT) -> None:
        super().__init__(text)
