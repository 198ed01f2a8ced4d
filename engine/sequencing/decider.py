"""What decides slices; the coordinator says when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.config import StrategyConfig
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

    def register(self, strategy: StrategyConfig, /) -> None:
        """Let a strategy take part."""
        ...

    def withdraw(self, instance: str, reason: str, /) -> list[OrderEvent]:
        """Take a strategy out."""
        ...

    @property
    def strategies(self) -> tuple[str, ...]:
        """Return the ids of all strategies ever registered."""
        ...
