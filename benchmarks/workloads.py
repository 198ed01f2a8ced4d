"""The strategies benchmarks run: equal ones, so that their number is all that changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from engine.config import RunConfig

__all__ = [
    "KINDS",
    "equal_strategies",
    "macd_rsi",
    "one_of_many",
    "pooled_strategies",
    "run_of",
]

SYMBOL = "BTC/USDT"

SMALL_BUFFER = 100
"""Candles each of 10,000 instances keeps; the default of 1,000 takes 54 KB an instance."""

KINDS = ("idle", "same", "own")
"""What pooled strategies do: never act, all act at the same time, each at its own time."""

STRETCHES = 50
"""How many lengths of indicators there are among strategies that act at their own time."""


def macd_rsi(strategy_id: str, *, idle: bool = False, **fields: Any) -> dict[str, Any]:
    """Return a MACD + RSI strategy that acts on about 8 % of its candles.

    Args:
        strategy_id: Its id.
        idle: It evaluates the same indicators and a rule of the same size, and never acts.
        fields: Further fields of the configuration.
    """
    never = " AND rsi > 101" if idle else ""
    return {
        "id": strategy_id,
        "symbol": SYMBOL,
        "timeframe": "1m",
        "indicators": {"macd": {}, "rsi": {"period": 14}},
        "rules": {
            "entry": {"condition": f"macd_crossover_bullish AND rsi < 70{never}"},
            "exit": {"condition": "macd_crossover_bearish OR rsi > 80"},
        },
        **fields,
    }


def equal_strategies(
    count: int, *, candles: int, speed: Literal["max"] | float = "max", idle: bool = False
) -> RunConfig:
    """Return a run of equal strategies on one synthetic symbol.

    Args:
        count: Strategies.
        candles: One-minute candles of the market.
        speed: Pace of the feed.
        idle: None of them ever acts.
    """
    small = {"maxPositionSize": 0.001}
    return RunConfig.model_validate(
        {
            "name": "equal-strategies",
            "market": {
                "synthetic": {"symbols": [{"symbol": SYMBOL}], "candles": candles, "seed": 7},
                "speed": speed,
            },
            "strategies": [macd_rsi(f"s{n:04d}", idle=idle, risk=small) for n in range(count)],
        }
    )


def one_of_many(name: str, symbol: str, *, idle: bool, stretch: int = 0) -> dict[str, Any]:
    """Return a MACD + RSI strategy; `stretch` makes its indicators slower than the usual ones."""
    macd = {"fastPeriod": 12, "slowPeriod": 26 + stretch, "signalPeriod": 9}
    return macd_rsi(
        name,
        idle=idle,
        symbol=symbol,
        indicators={"macd": macd, "rsi": {"period": 14}},
        sizing={"mode": "fixed_quantity", "value": 1},
        bufferCandles=SMALL_BUFFER,
        capital=1_000_000,
    )


def run_of(
    strategies: Sequence[dict[str, Any]],
    symbols: Sequence[str],
    candles: int,
    *,
    speed: Literal["max"] | float = "max",
    **fields: Any,
) -> RunConfig:
    """Return a run of strategies over synthetic symbols, one slice per minute of the market.

    Args:
        strategies: Of any kind.
        symbols: Of the market.
        candles: One-minute candles of each.
        speed: Pace of the feed.
        fields: Further fields of the configuration.
    """
    quoted = [{"symbol": symbol, "startPrice": 40000} for symbol in symbols]
    synthetic = {"symbols": quoted, "candles": candles, "seed": 3}
    return RunConfig.model_validate(
        {
            "market": {"synthetic": synthetic, "speed": speed},
            "accounts": [{"id": "paper", "balances": {"USDT": 10_000_000_000}}],
            "strategies": list(strategies),
            **fields,
        }
    )


def pooled_strategies(
    count: int,
    *,
    symbols: int,
    candles: int,
    hosts: int,
    kind: str,
    speed: Literal["max"] | float = "max",
    window_ms: int = 60_000,
) -> RunConfig:
    """Return a run of pooled strategies, spread evenly over synthetic symbols.

    Args:
        count: Strategies.
        symbols: Symbols of the market; each strategy has one.
        candles: One-minute candles of each symbol.
        hosts: Shared actors.
        kind: One of `KINDS`.
        speed: Pace of the feed.
        window_ms: How long an answer is waited for; nobody is to fall out of a measurement
            because the machine was busy.
    """
    names = [f"S{n:03d}/USDT" for n in range(symbols)]
    strategies = [
        one_of_many(
            f"s{n:05d}",
            names[n % symbols],
            idle=kind == "idle",
            stretch=n % STRETCHES if kind == "own" else 0,
        )
        for n in range(count)
    ]
    return run_of(
        strategies,
        names,
        candles,
        speed=speed,
        placement={"isolation": "pooled", "hosts": hosts},
        arbitration={"windowMs": window_ms},
    )
