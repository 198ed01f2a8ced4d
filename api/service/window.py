"""The engine as the routes see it."""

from __future__ import annotations

from actors.client import EngineClient
from api.service.deployer import Deployer
from api.service.watch import StatusWatch
from engine.report import StrategyOutcome
from engine.status import EngineStatus, StrategyStatus
from engine.trading import AccountState, TradingMode
from engine.types import Candle

__all__ = ["EngineWindow"]


class EngineWindow:
    """As an `EngineView`: what is looked at often comes from the watch, the rest is asked for."""

    def __init__(self, client: EngineClient, watch: StatusWatch, deployer: Deployer) -> None:
        self._client = client
        self._watch = watch
        self._deployer = deployer

    def status(self) -> EngineStatus | None:
        """Return the engine as last seen; None before the first time."""
        return self._watch.newest

    def status_of(self, strategy_id: str) -> StrategyStatus | None:
        """Return a strategy as last seen; None if the engine does not know it."""
        return self._watch.of(strategy_id)

    def refusal_of(self, strategy_id: str) -> str:
        """Return why the engine does not take a strategy over; empty if it does."""
        return self._deployer.refusal(strategy_id)

    def metrics_of(self, strategy_id: str) -> StrategyOutcome:
        """Ask for a strategy's state and metrics as of its last candle."""
        return self._client.metrics(strategy_id)

    def candles(self, stream: str, *, limit: int, before_ms: int | None = None) -> list[Candle]:
        """Ask for the newest candles of a stream, oldest first."""
        return self._client.candles(stream, limit=limit, before_ms=before_ms)

    def trading(self) -> dict[str, TradingMode]:
        """Ask for every mode other than ``running`` by account; an empty id stands for all."""
        return self._client.trading()

    def set_trading(self, mode: TradingMode, account: str | None = None) -> None:
        """Set the mode of an account, or of all; on record when it returns."""
        self._client.set_trading(mode, account)

    def account_states(self) -> list[AccountState]:
        """Ask for balance, equity and so on per account and currency."""
        return self._client.account_states()
