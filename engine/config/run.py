"""Configuration of a run: the market it plays, the accounts, the strategies."""

from __future__ import annotations

import os
from collections import Counter
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from engine.config.base import ConfigModel
from engine.config.strategy import Identifier, Isolation, StrategyConfig
from engine.errors import ConfigError
from engine.money import parse_symbol

__all__ = [
    "AccountConfig",
    "ArbitrationConfig",
    "ExecutionConfig",
    "InstrumentConfig",
    "MarketConfig",
    "PlacementConfig",
    "RunConfig",
    "SyntheticConfig",
    "SyntheticSymbol",
]

Positive = Annotated[Decimal, Field(gt=0)]
NonNegative = Annotated[Decimal, Field(ge=0)]


class InstrumentConfig(ConfigModel):
    """Trading rules of a symbol; what is left out keeps the paper venue's fine defaults."""

    symbol: str
    tick_size: Positive = Decimal("0.00000001")
    lot_size: Positive = Decimal("0.00000001")
    min_notional: NonNegative = Decimal(0)


class ExecutionConfig(ConfigModel):
    """How the paper gateway fills.

    Fees in basis points (1 bps = 0.01 %) of the notional. `slippage_bps` worsens market and stop
    fills. `latency_ms` is the time from a candle's close until an order can fill. `volume_share`
    caps each fill at that share of the candle's volume (None: no cap).
    """

    maker_fee_bps: NonNegative = Decimal(0)
    taker_fee_bps: NonNegative = Decimal(0)
    slippage_bps: NonNegative = Decimal(0)
    latency_ms: int = Field(default=0, ge=0)
    volume_share: Annotated[Decimal, Field(gt=0, le=1)] | None = None


class AccountConfig(ConfigModel):
    """A paper account: one balance per currency, shared by the strategies that trade on it.

    Limits are per account; fractions are of the starting balance; None switches one off.
    """

    id: Identifier
    balances: dict[str, Positive] = Field(min_length=1)
    max_open_positions: int | None = Field(default=None, ge=1)
    max_gross_exposure: Positive | None = None
    max_daily_loss: Annotated[Decimal, Field(gt=0, le=1)] | None = None
    max_drawdown: Annotated[Decimal, Field(gt=0, le=1)] | None = None


class ArbitrationConfig(ConfigModel):
    """How concurrent signals of one account and symbol are reconciled.

    independent: every strategy keeps its own sub-position. net: one order per symbol and slice
    for the sum of all wishes. priority: on conflict the higher priority wins. first: whoever
    holds the symbol keeps it until flat. `window_ms` bounds the wait for a strategy's answer.
    """

    policy: Literal["independent", "net", "priority", "first"] = "independent"
    window_ms: int = Field(default=5000, ge=10, le=600_000)


class PlacementConfig(ConfigModel):
    """Which processes strategies run in.

    isolation: what applies to strategies that do not say it themselves. dedicated: an actor, and
    so a process, of its own. pooled: one of `hosts` shared actors (None: one per processor core).
    """

    isolation: Isolation = "dedicated"
    hosts: int | None = Field(default=None, ge=1, le=1024)
    memory_limit_mb: int | None = Field(default=None, ge=64)

    @property
    def hosts_or_default(self) -> int:
        """Return how many shared actors there are at most."""
        return self.hosts or os.cpu_count() or 1


class SyntheticSymbol(ConfigModel):
    """A symbol of the synthetic market.

    `annual_drift` and `annual_volatility` are fractions per year of a regime-switching
    geometric random walk; `start_price` in quote currency; `base_volume` per candle.
    """

    symbol: str
    timeframe: str = "1m"
    start_price: float = Field(default=100.0, gt=0)
    annual_drift: float = 0.0
    annual_volatility: float = Field(default=0.8, gt=0, le=20)
    base_volume: float = Field(default=100.0, gt=0)
    tick_size: float = Field(default=0.01, gt=0)


class SyntheticConfig(ConfigModel):
    """The built-in seeded market: no network, the same seed gives the same candles."""

    symbols: tuple[SyntheticSymbol, ...] = Field(min_length=1)
    candles: int = Field(default=5000, ge=1, le=100_000_000)
    start: str = "2024-01-01T00:00:00Z"
    seed: int = 0


class MarketConfig(ConfigModel):
    """Where candles come from when no file is named on the command line.

    `speed`: `max`, or how many times real time (60 plays an hour in a minute). `streams`: ids of
    streams the feed serves whether a strategy of the run wants them or not, for those that come
    later.
    """

    synthetic: SyntheticConfig | None = None
    replay: tuple[str, ...] = ()
    speed: Literal["max"] | Annotated[float, Field(gt=0)] = "max"
    venue: str = "paper"
    streams: tuple[str, ...] = ()


class RunConfig(ConfigModel):
    """A whole run, as read from a YAML or JSON file."""

    name: str = "run"
    market: MarketConfig = MarketConfig()
    execution: ExecutionConfig = ExecutionConfig()
    arbitration: ArbitrationConfig = ArbitrationConfig()
    placement: PlacementConfig = PlacementConfig()
    instruments: tuple[InstrumentConfig, ...] = ()
    accounts: tuple[AccountConfig, ...] = (
        AccountConfig(id="paper", balances={"USDT": Decimal(1_000_000), "BTC": Decimal(100)}),
    )
    strategies: tuple[StrategyConfig, ...]
    plugin_folders: tuple[str, ...] = ()

    @field_validator("strategies")
    @classmethod
    def _something_is_to_run(
        cls, value: tuple[StrategyConfig, ...], info: ValidationInfo
    ) -> tuple[StrategyConfig, ...]:
        market: MarketConfig | None = info.data.get("market")
        if not value and (market is None or not market.streams):
            raise ValueError("needs at least one strategy")
        return value

    @model_validator(mode="before")
    @classmethod
    def _one_strategy_alone_is_a_run(cls, data: Any) -> Any:
        """A file that holds just one strategy (the documented schema) runs as it stands."""
        if isinstance(data, dict) and "strategies" not in data and "id" in data:
            return {"name": data.get("id"), "strategies": [data]}
        return data

    @model_validator(mode="after")
    def _ids_are_unique_and_accounts_exist(self) -> Self:
        counts = Counter(strategy.id for strategy in self.strategies)
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise ValueError(f"strategy ids must be unique; twice: {', '.join(twice)}")
        accounts = [account.id for account in self.accounts]
        if len(set(accounts)) != len(accounts):
            raise ValueError("account ids must be unique")
        for strategy in self.strategies:
            if strategy.account and strategy.account not in accounts:
                raise ValueError(
                    f"strategy {strategy.id!r}: account {strategy.account!r} is not defined "
                    f"(defined: {', '.join(accounts)})"
                )
        return self

    @property
    def wanted_streams(self) -> tuple[str, ...]:
        """Return the ids of the streams of all enabled strategies, then those served anyway."""
        wanted = (
            stream
            for strategy in self.strategies
            if strategy.enabled
            for stream in strategy.streams
        )
        return tuple(dict.fromkeys((*wanted, *self.market.streams)))

    def isolation_of(self, strategy: StrategyConfig) -> Isolation:
        """Return the placement of a strategy: its own, else that of the run."""
        return strategy.isolation or self.placement.isolation

    def account_of(self, strategy: StrategyConfig) -> AccountConfig:
        """Return the account a strategy trades on: the named one, without a name the first.

        Raises:
            ConfigError: There is no account of that name; possible for a strategy that was not
                part of the file.
        """
        if not strategy.account:
            return self.accounts[0]
        for account in self.accounts:
            if account.id == strategy.account:
                return account
        raise ConfigError(
            f"strategy {strategy.id!r}: account {strategy.account!r} is not defined "
            f"(defined: {', '.join(account.id for account in self.accounts)})"
        )

    def capital_of(self, strategy: StrategyConfig, account: AccountConfig | None = None) -> Decimal:
        """Return a strategy's capital: its own, else its account's balance of the quote currency.

        Args:
            strategy: The strategy.
            account: Its account; None: the one of the run that it names.

        Raises:
            ConfigError: The account is not defined, or has no balance of that currency.
        """
        if strategy.capital is not None:
            return strategy.capital
        account = account or self.account_of(strategy)
        _, quote = parse_symbol(strategy.symbol)
        try:
            return account.balances[quote]
        except KeyError:
            raise ConfigError(
                f"strategy {strategy.id!r}: {strategy.symbol} is paid in {quote}, but account "
                f"{account.id!r} holds only {', '.join(account.balances)}; "
                f"add a {quote} balance to it"
            ) from None
