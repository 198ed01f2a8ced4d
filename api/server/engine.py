"""What the routes see of the engine."""

from __future__ import annotations

from typing import Protocol

from engine.report import StrategyOutcome
from engine.status import EngineStatus, StrategyStatus
from engine.trading import AccountState, TradingMode
from engine.types import Candle

__all__ = ["EngineView"]


class EngineView(Protocol):
    """The engine, as it was seen last or as it answers now.

    All methods may be called by any thread. Those that ask it raise `ServiceAwayError` when it does
    not answer.
    """

    def status(self) -> EngineStatus | None:
        """Return the engine as last seen; None before the first time."""
        ...

    def status_of(self, strategy_id: str) -> StrategyStatus | None:
        """Return a strategy as last seen; None if the engine does not know it."""
        ...

    def refusal_of(self, strategy_id: str) -> str:
        """Return why the engine does not take a strategy over; empty if it does."""
        ...

    def metrics_of(self, strategy_id: str) -> StrategyOutcome:
        """Ask for a strategy's state and metrics as of its last candle."""
        ...

    def candles(self, stream: str, *, limit: int, before_ms: int | None = None) -> list[Candle]:
        """Ask for the newest candles of a stream, oldest first."""
        ...

    def trading(self) -> dict[str, TradingMode]:
        """Ask for every mode other than ``running`` by account; an empty id stands for all."""
        ...

    def set_trading(self, mode: TradingMode, account: str | None = None) -> None:
        """Set the mode of an account, or of all; on record when it returns."""
        ...

    def account_states(self) -> list[AccountState]:
        """Ask for balance, equity and so on per account and currency."""
        ...
