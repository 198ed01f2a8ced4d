"""What is said of subscriptions: by who makes or changes one, to its owner, and to the engine."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import msgspec

from engine.config import RiskConfig
from engine.store import Account, Strategy, Subscription

__all__ = [
    "Bot",
    "Followers",
    "Following",
    "NewSubscription",
    "Status",
    "SubscriptionChange",
    "shown",
]

Status = Literal["active", "paused"]


class NewSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription to be made.

    Attributes:
        strategy: Id of the strategy it follows.
        account: Id of the account it follows with.
        capital: What it may use, in the strategy's quote currency.
        leverage: At most, from 1 to 125.
        risk: Its limits; the strategy's own do not apply to it.
    """

    strategy: str
    account: str
    capital: Decimal
    leverage: Decimal = Decimal(1)
    risk: RiskConfig = RiskConfig()


class SubscriptionChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be different; None: as it is. New limits replace all the old ones."""

    capital: Decimal | None = None
    leverage: Decimal | None = None
    risk: RiskConfig | None = None


class Bot(msgspec.Struct, frozen=True, kw_only=True):
    """What its owner sees of a subscription.

    Attributes:
        strategy_status: What the strategy's owner wants of it, ``deleted`` if it is gone: nothing
            is followed then.

    The rest is as in the table.
    """

    id: str
    owner_id: str
    strategy_id: str
    strategy_status: str
    account_id: str
    capital: Decimal
    leverage: Decimal
    risk: dict[str, Any]
    status: str
    created_ms: int
    version: int


class Followers(msgspec.Struct, frozen=True):
    """How many follow a strategy; its owner is not told who."""

    active: int
    paused: int


class Following(msgspec.Struct, frozen=True):
    """What the engine needs to know of a subscription."""

    subscription: Subscription
    strategy: Strategy
    account: Account


def shown(row: Subscription, strategy: Strategy) -> Bot:
    """Return what its owner sees of a subscription.

    Args:
        row: The subscription.
        strategy: What it follows.
    """
    return Bot(
        id=row.id,
        owner_id=row.owner_id,
        strategy_id=row.strategy_id,
        strategy_status=strategy.desired if strategy.deleted_ms is None else "deleted",
        account_id=row.account_id,
        capital=row.capital,
        leverage=row.leverage,
        risk=row.risk,
        status=row.status,
        created_ms=row.created_ms,
        version=row.version,
    )
