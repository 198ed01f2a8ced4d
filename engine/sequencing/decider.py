"""What decides slices; the coordinator says when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.trading.modes import TradingMode
from engine.trading.registration import Registration
from engine.trading.tally import Tally
from engine.types import Decision, MarketSlice, OrderEvent

__all__ = ["SliceDecider"]


class SliceDecider(Protocol):
    """What the coordinator drives; see `engine.trading.OrderManager`."""

    def match(self, market_slice: MarketSlice, /) -> list[OrderEvent]:
        """Match working orders against the slice."""
        ...

    def decide(
        self, market_slice: MarketSlice, decisions: Sequence[Decision], /
    ) -> list[OrderEvent]:
        """Turn decisions into orders."""
        ...

    def register(self, registration: Registration, /) -> None:
        """Let a strategy or a follower take part."""
        ...

    def withdraw(self, instance: str, reason: str, /) -> list[OrderEvent]:
        """Take a strategy or a follower out."""
        ...

    def set_trading(self, mode: TradingMode, account: str, /) -> None:
        """Let an account, or all (empty), trade, only get out, or do nothing."""
        ...

    @property
    def strategies(self) -> tuple[str, ...]:
        """Return the ids of all strategies and followers ever registered."""
        ...

    def tally(self) -> Tally:
        """Count the orders that the newest decisions brought, by strategy."""
        ...

    @property
    def lines(self) -> int:
        """Return how many lines the ledger has."""
        ...
