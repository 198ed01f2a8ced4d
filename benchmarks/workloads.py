"""The strategies benchmarks run: equal ones, so that their number is all that changes."""

from __future__ import annotations

from typing import Any, Literal

from engine.config import RunConfig

__all__ = ["equal_strategies", "macd_rsi"]

SYMBOL = "BTC/USDT"


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
