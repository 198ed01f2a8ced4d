"""Small runs for the tests that start actors, and profiles of how many examples there are."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from engine.config import RunConfig

pytest.register_assert_rewrite("tests.chaos.saboteur")

Strategy = dict[str, Any]

settings.register_profile("quick", max_examples=8)
settings.register_profile("thorough", max_examples=1000)


def build_strategy(number: int, **changes: Any) -> Strategy:
    """Return one of a family of strategies that all trade differently."""
    symbol, timeframe = [("AAA/USDT", "1m"), ("AAA/USDT", "5m"), ("BBB/USDT", "5m")][number % 3]
    protection = [{}, {"stopLoss": 0.01, "takeProfit": 0.015}, {"trailingStop": 0.01}][
        (number // 3) % 3
    ]
    return {
        "id": f"s{number}",
        "symbol": symbol,
        "timeframe": timeframe,
        "indicators": {"fast": {"type": "ema", "period": 4 + number}, "rsi": {"period": 14}},
        "rules": {
            "entry": {"condition": "crosses_above(close, fast) AND rsi < 70"},
            "exit": {"condition": "crosses_below(close, fast)"},
        },
        "risk": {"maxPositionSize": 0.1, **protection},
        **changes,
    }


def build_run(
    strategies: list[Strategy],
    *,
    candles: int = 3000,
    timeframes: tuple[str, str] = ("1m", "5m"),
    **changes: Any,
) -> RunConfig:
    """Return a run over two synthetic symbols with these base timeframes."""
    return RunConfig.model_validate(
        {
            "name": "test",
            "market": {
                "synthetic": {
                    "symbols": [
                        {"symbol": "AAA/USDT", "timeframe": timeframes[0]},
                        {"symbol": "BBB/USDT", "timeframe": timeframes[1]},
                    ],
                    "candles": candles,
                    "seed": 5,
                },
                **changes.pop("market", {}),
            },
            "execution": {"takerFeeBps": 5, "slippageBps": 1},
            "accounts": [{"id": "paper", "balances": {"USDT": 100_000}}],
            "strategies": strategies,
            **changes,
        }
    )


@pytest.fixture
def a_strategy() -> Callable[..., Strategy]:
    return build_strategy


@pytest.fixture
def a_run() -> Callable[..., RunConfig]:
    return build_run


def pytest_collection_finish() -> None:
    """Leave out of every garbage collection what was collected: it stays until the end."""
    gc.collect()
    gc.freeze()
