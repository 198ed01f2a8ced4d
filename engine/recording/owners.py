"""Whose is what an instance does."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

__all__ = ["UNKNOWN", "Owner", "Whose"]


class Owner(msgspec.Struct, frozen=True):
    """Whose an instance is, and where it trades.

    Attributes:
        strategy_id: Strategy that events are about: of a subscription, the one it follows.
        owner_id: User who sees its orders and fills.
        account_id: Where it trades.
        signals_to: User who sees its signals; empty: everybody; None: its owner.
    """

    strategy_id: str
    owner_id: str
    account_id: str
    signals_to: str | None = None


Whose = Callable[[str], Owner | None]
"""Tells whose an instance is; None: nobody knows. Its answer is never kept."""

UNKNOWN = Owner("", "?", "")
"""Of what nobody knows: no user has this id, so only admins see its events."""
