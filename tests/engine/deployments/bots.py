"""A desk at which accounts follow strategies."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import update

from engine.deployments import NewStrategy
from engine.deployments.bots import NewSubscription
from engine.deployments.subscriptions import Subscriptions
from engine.store import Store, Strategy
from tests.engine.deployments.conftest import ANN, CATALOG, furnished

__all__ = ["BALANCE", "EMA", "BotsDesk", "a_bots_desk", "deployed", "new", "offer"]

EMA = {"symbol": "BTC/USDT", "timeframe": "15m"}
BALANCE = Decimal("1000.50")


class BotsDesk:
    """The services that have to do with bots, and who was told of changes."""

    def __init__(self, store: Store) -> None:
        desk, ticks = furnished(store), count(1_000_000)
        self.store = store
        self.accounts = desk.accounts
        self.strategies = desk.strategies
        self.changed: list[tuple[str, int | None]] = []
        self.subscriptions = Subscriptions(
            store,
            catalog=lambda: CATALOG,
            clock=lambda: next(ticks),
            on_change=lambda name, version: self.changed.append((name, version)),
        )


def deployed(name: str, **changes: Any) -> NewStrategy:
    fields = {"id": name, "definition": "builtin-ema_cross", "account": "a-ann", "config": EMA}
    return NewStrategy(**{**fields, **changes})


def offer(desk: BotsDesk, strategy: str, visibility: str) -> None:
    with desk.store.write() as session:
        session.execute(
            update(Strategy).where(Strategy.id == strategy).values(visibility=visibility)
        )


def new(**changes: Any) -> NewSubscription:
    fields = {"strategy": "open", "account": "a-bob", "capital": Decimal(100)}
    return NewSubscription(**{**fields, **changes})


def a_bots_desk(store: Store) -> BotsDesk:
    """Return a desk where ann has a public and a private strategy."""
    desk = BotsDesk(store)
    for name in ("open", "hers"):
        desk.strategies.create(deployed(name), ANN)
    offer(desk, "open", "public")
    return desk
