"""The documented MACD/RSI strategy against TA-Lib's arrays and a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import talib

from engine.config import StrategyConfig
from engine.rules import compile_rules
from engine.types import Candle
from indicators import IndicatorManager

CONFIG = StrategyConfig.model_validate(
    {
        "id": "macd_btc_15m",
        "name": "MACD BTC 15m Strategy",
        "symbol": "BTC/USDT",
        "timeframe": "15m",
        "indicators": {
            "macd": {"fastPeriod": 12, "slowPeriod": 26, "signalPeriod": 9},
            "rsi": {"period": 14, "overbought": 70, "oversold": 30},
        },
        "rules": {
            "entry": {"condition": "macd_crossover_bullish AND rsi < 70", "confidence": 0.75},
            "exit": {"condition": "macd_crossover_bearish OR rsi > 80", "confidence": 0.8},
        },
        "risk": {"maxPositionSize": 0.1, "stopLoss": 0.02, "takeProfit": 0.04},
    }
)
Trade = tuple[int, int]


def candles(rows: int, seed: int) -> list[Candle]:
    random = Random(seed)
    result = []
    close = 100.0
    for seq in range(rows):
        opened = close
        close = opened * (1 + random.gauss(0.0, 0.003)) if seq % 50 > 3 else opened
        high, low = max(opened, close), min(opened, close)
        result.append(
            Candle("paper:BTC/USDT:15m", seq, seq, seq + 1, opened, high, low, close, 1.0)
        )
    return result


def trades(rows: int, entry: Callable[[int], bool], exit_: Callable[[int], bool]) -> list[Trade]:
    """Return (entry row, exit row) of every round trip, long only."""
    found = []
    opened: int | None = None
    for row in range(rows):
        if opened is None and entry(row):
            opened = row
        elif opened is not None and exit_(row):
            found.append((opened, row))
            opened = None
    return found


def independent(closes: np.ndarray) -> list[Trade]:
    _, _, hist = talib.MACD(closes, 12, 26, 9)
    rsi = talib.RSI(closes, 14)

    def entry(row: int) -> bool:
        return bool(row > 0 and hist[row - 1] <= 0 and hist[row] > 0 and rsi[row] < 70)

    def exit_(row: int) -> bool:
        return bool((row > 0 and hist[row - 1] >= 0 and hist[row] < 0) or rsi[row] > 80)

    return trades(len(closes), entry, exit_)


def test_the_bound_rules_trade_as_talib_and_a_plain_loop_do() -> None:
    market = candles(6000, seed=5)
    expected = independent(np.array([candle.close for candle in market]))
    assert len(expected) > 150

    assert CONFIG.rules is not None
    program = compile_rules(CONFIG.id, CONFIG.indicators, CONFIG.rules, CONFIG.parameters)
    manager = IndicatorManager(program.specs)
    rules = program.bind(manager)
    entries, exits = [], []
    for candle in market:
        manager.update(candle)
        rules.observe(candle)
        entries.append(rules.entry())
        exits.append(rules.exit())
    assert trades(len(market), entries.__getitem__, exits.__getitem__) == expected

    fields = ("open", "high", "low", "close", "volume")
    arrays = program.evaluate_arrays(
        {name: np.array([getattr(candle, name) for candle in market]) for name in fields}
    )
    assert arrays["entry"].tolist() == entries
    assert arrays["exit"].tolist() == exits
