"""Runs whose strategies trade often, with every kind of order."""

from __future__ import annotations

from engine.config import RunConfig

LATE = ("late", "later")
"""Strategies of `a_run` that may as well come later."""


def ma(period: int) -> dict[str, object]:
    return {
        "indicators": {"ma": {"type": "ema", "period": period}},
        "rules": {
            "entry": {"condition": "crosses_above(close, ma)"},
            "shortEntry": {"condition": "crosses_below(close, ma)"},
        },
    }


MACD = {
    "indicators": {"macd": {}, "rsi": {"period": 14}},
    "rules": {
        "entry": {"condition": "macd_crossover_bullish AND rsi < 70", "confidence": 0.7},
        "exit": {"condition": "macd_crossover_bearish OR rsi > 80"},
    },
}
STOPS = {"stopLoss": 0.004, "takeProfit": 0.006, "maxPositionSize": 0.5}
TRAIL = {"trailingStop": 0.003, "maxPositionSize": 0.4, "timeLimitCandles": 20}


def a_run(policy: str) -> RunConfig:
    one = {"symbol": "AAA/USDT", "timeframe": "1m"}
    return RunConfig.model_validate(
        {
            "market": {
                "synthetic": {
                    "symbols": [
                        {"symbol": "AAA/USDT", "timeframe": "1m", "annualVolatility": 2.0},
                        {"symbol": "BBB/USDT", "timeframe": "5m", "annualVolatility": 2.0},
                    ],
                    "candles": 400,
                    "seed": 11,
                }
            },
            "execution": {"takerFeeBps": 5, "makerFeeBps": 2, "slippageBps": 1, "volumeShare": 0.5},
            "arbitration": {"policy": policy},
            "accounts": [{"id": "paper", "balances": {"USDT": 3000}}],
            "strategies": [
                {"id": "plain", **one, **MACD},
                {"id": "stops", **one, "priority": 3, **ma(9), "risk": STOPS},
                {"id": "fast", **one, **ma(5), "risk": STOPS},
                {
                    "id": "slow",
                    "symbol": "AAA/USDT",
                    "timeframe": "15m",
                    **ma(3),
                    "risk": {**STOPS, "cooldownCandles": 1},
                },
                {
                    "id": "trail",
                    "symbol": "BBB/USDT",
                    "timeframe": "5m",
                    **ma(9),
                    "risk": TRAIL,
                },
                {
                    "id": "two_streams",
                    "type": "TWO_STREAMS",
                    "symbols": ["BBB/USDT", "AAA/USDT"],
                    "timeframes": ["5m", "15m"],
                    "risk": STOPS,
                },
                {"id": "late", **one, **ma(7), "risk": STOPS},
                {
                    "id": "later",
                    "symbol": "BBB/USDT",
                    "timeframe": "5m",
                    **ma(4),
                    "risk": TRAIL,
                },
            ],
        }
    )


def a_run_on_files(files: list[str]) -> RunConfig:
    five = {"symbol": "AAA/USDT", "timeframe": "5m"}
    return RunConfig.model_validate(
        {
            "market": {"replay": files},
            "execution": {"takerFeeBps": 5, "makerFeeBps": 2, "volumeShare": 0.5},
            "accounts": [{"id": "paper", "balances": {"USDT": 3000}}],
            "strategies": [
                {"id": "stops", **five, **ma(9), "risk": STOPS},
                {"id": "trail", **five, **ma(9), "risk": TRAIL},
                {"id": "fine", **five, **ma(9), "timeframe": "1m", "risk": STOPS},
                {"id": "coarse", **five, **ma(9), "timeframe": "15m", "risk": STOPS},
                {
                    "id": "two_streams",
                    "type": "TWO_STREAMS",
                    "symbols": ["AAA/USDT"],
                    "timeframes": ["5m", "15m"],
                    "risk": STOPS,
                },
            ],
        }
    )
