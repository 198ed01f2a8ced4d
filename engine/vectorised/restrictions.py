"""What the vectorised backtest does not cover, refused by name before anything is computed.

It plays one strategy alone whose orders all fill whole, one candle after their signal. Whatever
could make an order wait, fill in parts, be refused, or appear without a rule is not covered:
protective orders, limits, cool-downs, sizes that follow the equity, other strategies on the
account. Limits that depend on the course of trading (capital, smallest notional) are checked
afterwards, trade by trade, see `engine.vectorised.funds`.
"""

from __future__ import annotations

from engine.config import RunConfig, StrategyConfig
from engine.errors import ConfigError
from engine.market import CandleColumns
from engine.timeframes import timeframe_ms

__all__ = ["INSTEAD", "require_covered", "require_fitting"]

INSTEAD = "use the event-driven backtest"

_RISK = (
    "stop_loss",
    "take_profit",
    "trailing_stop",
    "time_limit_candles",
    "max_order_notional",
    "max_daily_loss",
    "max_drawdown",
    "max_trades_per_day",
    "max_signals_per_minute",
)
_ACCOUNT = ("max_gross_exposure", "max_daily_loss", "max_drawdown")


def require_covered(strategy: StrategyConfig, run: RunConfig) -> None:
    """Refuse what would make the trades differ from those of the event-driven backtest.

    Raises:
        ConfigError: Names the field, its value and what to do.
    """
    who = f"strategy {strategy.id!r}"
    if strategy.rules is None or strategy.type != "RULES":
        raise ConfigError(f"{who}: type {strategy.type!r} is code, not rules; {INSTEAD}")
    if len(strategy.streams) > 1:
        raise ConfigError(
            f"{who}: rules read one symbol and one timeframe, got {', '.join(strategy.streams)}; "
            "write one strategy for each"
        )
    if strategy.sizing.mode != "fixed_quantity":
        raise ConfigError(
            f"{who}: sizing.mode must be 'fixed_quantity', is {strategy.sizing.mode!r}: other "
            f"sizes follow the price or the equity; set a fixed quantity, or {INSTEAD}"
        )
    for name in _RISK:
        value = getattr(strategy.risk, name)
        if value is not None:
            raise _not_covered(f"{who}: risk.{name}", value)
    if strategy.risk.cooldown_candles:
        raise _not_covered(f"{who}: risk.cooldown_candles", strategy.risk.cooldown_candles)
    _require_covered_run(strategy, run)


def _require_covered_run(strategy: StrategyConfig, run: RunConfig) -> None:
    execution, length = run.execution, timeframe_ms(strategy.timeframe)
    if execution.volume_share is not None:
        raise _not_covered("execution.volume_share", execution.volume_share)
    if execution.latency_ms >= length:
        raise ConfigError(
            f"execution.latency_ms must be below the length of a candle, {length} ms, is "
            f"{execution.latency_ms}; lower it, or {INSTEAD}"
        )
    if run.arbitration.policy == "net":
        raise _not_covered("arbitration.policy", run.arbitration.policy)
    account = run.account_of(strategy)
    for name in _ACCOUNT:
        value = getattr(account, name)
        if value is not None:
            raise _not_covered(f"account {account.id!r}: {name}", value)
    others = [
        other.id
        for other in run.strategies
        if other.enabled and other.id != strategy.id and run.account_of(other) is account
    ]
    if others:
        raise ConfigError(
            f"strategy {strategy.id!r}: shares account {account.id!r} and its capital with "
            f"{', '.join(others)}; give it an account of its own, or {INSTEAD}"
        )


def _not_covered(field: str, value: object) -> ConfigError:
    return ConfigError(
        f"{field} is {value}; the vectorised backtest does not cover it, leave it out or {INSTEAD}"
    )


def require_fitting(strategy: StrategyConfig, candles: CandleColumns) -> None:
    """Refuse candles of another length than the strategy's.

    Raises:
        ConfigError: Their timeframes differ.
    """
    wanted = timeframe_ms(strategy.timeframe)
    if candles.timeframe_ms != wanted:
        raise ConfigError(
            f"strategy {strategy.id!r}: timeframe is {strategy.timeframe}, {wanted} ms, the "
            f"candles are of {candles.timeframe_ms} ms; aggregate them first"
        )
