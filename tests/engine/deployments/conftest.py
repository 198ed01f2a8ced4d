"""A store with three users, an account each, and the definitions that come with Chorus."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest

from engine.access import Caller
from engine.catalog import default_folders, discover
from engine.catalog.built_ins import seed_built_ins
from engine.catalog.definitions import Definitions
from engine.changes import OnChange, nobody_listens
from engine.credentials import Vault
from engine.deployments import Accounts, Served, Strategies
from engine.store import Store, User
from tests.stores import an_empty_store

ANN, BOB = Caller("u-ann", "trader"), Caller("u-bob", "trader")
EVE, ADMIN = Caller("u-eve", "viewer"), Caller("u-admin", "admin")
CATALOG = discover(default_folders())
STREAMS = frozenset({"paper:BTC/USDT:1m", "paper:BTC/USDT:15m", "paper:ETH/BTC:1m"})


class Desk:
    """The services, and a clock that goes on by itself."""

    def __init__(self, store: Store) -> None:
        ticks = count(1_000)
        self.store = store
        self.served = Served(STREAMS, {})
        self.definitions = Definitions(store, lambda: CATALOG, lambda: next(ticks))
        self.accounts = Accounts(store, lambda: next(ticks), Vault(b"k" * 32))
        self._clock = lambda: next(ticks)
        self.strategies = self.strategies_telling(nobody_listens)

    def strategies_telling(self, on_change: OnChange) -> Strategies:
        return Strategies(
            self.store,
            self.definitions,
            catalog=lambda: CATALOG,
            served=lambda: self.served,
            clock=self._clock,
            on_change=on_change,
        )


def furnished(store: Store) -> Desk:
    """Return a desk over an empty store, with users, an account each, and definitions."""
    with store.write() as session:
        for caller in (ANN, BOB, EVE, ADMIN):
            session.add(
                User(id=caller.user_id, name=caller.user_id, role=caller.role, created_ms=0)
            )
    desk = Desk(store)
    seed_built_ins(desk.definitions, CATALOG)
    for caller in (ANN, BOB, ADMIN):
        name = str(caller.user_id)
        desk.accounts.create(name, {"USDT": Decimal("1000.50")}, caller, account_id=f"a-{name[2:]}")
    return desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with an_empty_store(tmp_path / "chorus.db") as store:
        yield furnished(store)
