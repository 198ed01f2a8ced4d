"""An engine and a service that answer what a test has told them."""

from __future__ import annotations

from dataclasses import dataclass, field

from api.server.system import Check, SystemStatus
from engine.config import MarketConfig, SyntheticConfig, SyntheticSymbol
from engine.errors import DataError, LifecycleError
from engine.market import Market, open_market
from engine.report import StrategyOutcome
from engine.status import EngineStatus, StrategyStatus
from engine.trading import AccountState, TradingMode
from engine.types import Candle

STREAMS = ("paper:BTC/USDT:1m", "paper:BTC/USDT:15m")


def a_market() -> Market:
    """Return a market of a hundred minutes."""
    synthetic = SyntheticConfig(symbols=(SyntheticSymbol(symbol="BTC/USDT"),), candles=100)
    return open_market(MarketConfig(synthetic=synthetic), STREAMS)


@dataclass
class FakeEngine:
    """As an `EngineView`."""

    market: Market = field(default_factory=a_market)
    statuses: dict[str, StrategyStatus] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, StrategyOutcome] = field(default_factory=dict)
    modes: dict[str, TradingMode] = field(default_factory=dict)
    states: list[AccountState] = field(default_factory=list)
    newest: EngineStatus | None = None

    def status(self) -> EngineStatus | None:
        return self.newest

    def status_of(self, strategy_id: str) -> StrategyStatus | None:
        return self.statuses.get(strategy_id)

    def refusal_of(self, strategy_id: str) -> str:
        return self.refusals.get(strategy_id, "")

    def metrics_of(self, strategy_id: str) -> StrategyOutcome:
        if strategy_id not in self.outcomes:
            raise LifecycleError(f"strategy {strategy_id!r} is created; restart it first")
        return self.outcomes[strategy_id]

    def candles(self, stream: str, *, limit: int, before_ms: int | None = None) -> list[Candle]:
        if stream not in self.market.streams:
            raise DataError(f"stream {stream!r} is not played")
        published = self.market.total_slices - 1
        return self.market.newest(stream, limit, published=published, before_ms=before_ms)

    def trading(self) -> dict[str, TradingMode]:
        return {account: mode for account, mode in self.modes.items() if mode != "running"}

    def set_trading(self, mode: TradingMode, account: str | None = None) -> None:
        self.modes[account or ""] = mode

    def account_states(self) -> list[AccountState]:
        return self.states


@dataclass
class FakeSystem:
    """As a `SystemView`."""

    seen: SystemStatus = field(
        default_factory=lambda: SystemStatus(started_ms=1_700_000_000_000, uptime_s=12.5)
    )
    problems: dict[str, str] = field(default_factory=dict)

    def status(self) -> SystemStatus:
        return self.seen

    def checks(self) -> list[Check]:
        names = ("store", "engine", "feed", "recording")
        return [Check(name, self.problems.get(name, "")) for name in names]
