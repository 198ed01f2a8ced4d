"""What one user may ask for."""

from __future__ import annotations

import msgspec

__all__ = ["BacktestLimits"]


class BacktestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of backtests, so that one user leaves room for the others.

    Attributes:
        unfinished: Backtests of a user that wait or run.
        kept: Backtests of a user altogether; their reports take room in the store.
        strategies: Of one backtest.
        streams: Of all strategies of one backtest together.
        candles: Of the synthetic market, all symbols together. Data sets are the operator's.
        config_bytes: Of the configuration, as JSON.
        attempts: How often a backtest is begun whose worker dies each time.
    """

    unfinished: int = 10
    kept: int = 200
    strategies: int = 50
    streams: int = 200
    candles: int = 2_000_000
    config_bytes: int = 256 * 1024
    attempts: int = 3
