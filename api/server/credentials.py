"""The secret somebody signs in with, wherever it was found."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.access import Caller
from engine.users import Users

__all__ = ["Credential"]

_KEY = "chorus_"


class Credential(msgspec.Struct, frozen=True):
    """A key or a token; its text is never shown.

    Attributes:
        text: As it was given.
        is_key: Whether it can only be a key.
    """

    text: str
    is_key: bool = False

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Credential | None:
        """Return what the headers ``X-API-Key`` or ``Authorization`` hold; None: neither."""
        if (key := headers.get("x-api-key")) is not None:
            return cls(key, is_key=True)
        kind, _, text = headers.get("authorization", "").partition(" ")
        return cls(text) if kind.lower() == "bearer" and text else None

    def caller(self, users: Users) -> Caller:
        """Return who signs in with it. Asks the store, and takes long at times.

        Raises:
            AuthenticationError: Nobody who is let in.
            StoreError: The store is away.
        """
        if self._names_key:
            return users.authenticate_key(self.text)
        return users.caller_of_token(self.text)

    def recall(self, users: Users) -> Caller | None:
        """Return who signs in with it, quickly; None: `caller` has to say, which takes long.

        Raises:
            AuthenticationError: Nobody who is let in.
            StoreError: The store is away.
        """
        if self._names_key:
            return users.keys.recall(self.text)
        return users.caller_of_token(self.text)

    @property
    def public_id(self) -> str:
        """Return the public part of a key; empty for a token."""
        return self.text[len(_KEY) :].partition("_")[0] if self._names_key else ""

    @property
    def _names_key(self) -> bool:
        return self.is_key or self.text.startswith(_KEY)

    def __repr__(self) -> str:
        return "Credential(***)"
