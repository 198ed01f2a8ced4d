"""Whose are strategies and bots, for whoever reports what they do."""

from __future__ import annotations

import threading

from sqlalchemy import select

from engine.recording import Owner
from engine.store import Store, Strategy, Subscription

__all__ = ["Ownership"]


class Ownership:
    """Answers from memory; reads the store when something has changed, and at first.

    Deleted ones are known, too: they may still have fills. May be shared by threads: none is
    answered from what was read before a change it could know of.

    Args:
        store: Where strategies and subscriptions are on record.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._owners: dict[str, Owner] = {}
        self._change = object()
        self._read_at: object = None

    def changed(self) -> None:
        """Note that there may be more to know."""
        self._change = object()

    def of(self, instance: str) -> Owner | None:
        """Return whose a strategy or a bot is; None: nobody knows.

        Raises:
            StoreError: The store cannot be read.
        """
        if self._read_at is not self._change:
            with self._lock:
                change = self._change  # one that comes while it is read is read next time
                if self._read_at is not change:
                    self._owners = self._read()
                    self._read_at = change
        return self._owners.get(instance)

    def _read(self) -> dict[str, Owner]:
        with self._store.read() as session:
            strategies = session.execute(
                select(Strategy.id, Strategy.owner_id, Strategy.account_id, Strategy.visibility)
            ).all()
            bots = session.execute(
                select(
                    Subscription.id,
                    Subscription.strategy_id,
                    Subscription.owner_id,
                    Subscription.account_id,
                )
            ).all()
        owners = {
            row.id: Owner(
                row.id, row.owner_id, row.account_id, "" if row.visibility == "public" else None
            )
            for row in strategies
        }
        for bot in bots:
            owners[bot.id] = Owner(bot.strategy_id, bot.owner_id, bot.account_id)
        return owners
