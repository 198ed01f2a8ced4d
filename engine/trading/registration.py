"""What the order manager is told of whoever is to take part."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

import msgspec

from engine.config.run import AccountConfig
from engine.config.strategy import RiskConfig, StrategyConfig

__all__ = ["Registration"]


class Registration(msgspec.Struct, frozen=True):
    """A strategy or a follower, and the account it trades with.

    Attributes:
        strategy: Its configuration. Of a follower only `id`, `account`, `capital`, `leverage` and
            `risk` count; everything else is the followed strategy's.
        account: Opened if it is not there; None: one of the run, or opened earlier, by its name.
        follows: The strategy whose wishes it has; empty: its own.
    """

    strategy: StrategyConfig
    account: AccountConfig | None = None
    follows: str = ""

    @classmethod
    def of_follower(
        cls,
        follower_id: str,
        followed: StrategyConfig,
        account: AccountConfig,
        *,
        capital: Decimal | None = None,
        leverage: Decimal = Decimal(1),
        risk: RiskConfig | None = None,
    ) -> Self:
        """Return the registration of an account that follows a strategy.

        Args:
            follower_id: Of the subscription; unique among strategies and followers.
            followed: The strategy.
            account: Where the follower trades; not the strategy's own.
            capital: Part of the account's balance it may use, quote currency; None: all of it.
            leverage: At least 1.
            risk: Its limits; none by default.
        """
        own = {
            "id": follower_id,
            "account": account.id,
            "capital": capital,
            "leverage": leverage,
            "risk": risk or RiskConfig(),
        }
        return cls(followed.model_copy(update=own), account, followed.id)
