"""A type that says what it is made for is used for nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.catalog import Compatibility, StrategyMetadata, default_folders, discover
from engine.config import StrategyConfig
from engine.errors import ConfigError
from engine.instance import build

PICKY = Compatibility(
    exchanges=("binance", "kraken"),
    market_types=("perpetual",),
    symbols=("*/USDT-PERP", "BTC/*"),
    timeframes=("15m", "1h"),
    min_capital=Decimal(500),
)
RULES = discover(default_folders()).get("RULES")


def a_strategy(**changes: Any) -> StrategyConfig:
    fields = {
        "id": "one",
        "symbol": "ETH/USDT:USDT",
        "timeframe": "15m",
        "rules": {"entry": {"condition": "close > open"}, "exit": {"condition": "close < open"}},
        **changes,
    }
    return StrategyConfig.model_validate(fields)


@pytest.mark.parametrize("venue", ["paper", "binance", "kraken"])
@pytest.mark.parametrize("symbol", ["ETH/USDT-PERP", "BTC-USD-PERP", "ETH/USDT:USDT"])
def test_what_it_is_made_for_is_no_problem(venue: str, symbol: str) -> None:
    config = a_strategy(venue=venue, symbol=symbol)
    assert PICKY.problems(config, capital=Decimal(500)) == []


@pytest.mark.parametrize(
    ("changes", "capital", "problem"),
    [
        ({"venue": "okx"}, 500, "venue: the type is made for binance, kraken, got okx"),
        ({"symbol": "ETH/USDT"}, 500, "symbols: .* perpetual, got ETH/USDT .spot."),
        ({"symbol": "ETH/EUR-PERP"}, 500, r"symbols: .* got ETH/EUR-PERP"),
        ({"timeframe": "1m"}, 500, "timeframes: the type is made for 15m, 1h, got 1m"),
        ({}, "499.99", "capital: the type needs 500 at least, got 499.99"),
    ],
)
def test_every_other_field_is_named(changes: dict[str, Any], capital: Any, problem: str) -> None:
    type_ = RULES.__class__(
        RULES.cls, RULES.file, RULES.code_hash, StrategyMetadata("RULES", compatibility=PICKY)
    )
    with pytest.raises(ConfigError, match=rf"^strategy 'one' \(RULES\): {problem}$"):
        build(a_strategy(**changes), type_, capital=Decimal(capital))


def test_all_problems_are_named_at_once() -> None:
    config = a_strategy(venue="okx", symbol="ETH/EUR", timeframe="1m")
    assert len(PICKY.problems(config, capital=Decimal(1))) == 4


def test_one_that_says_nothing_is_made_for_everything() -> None:
    assert Compatibility().problems(a_strategy(venue="okx"), capital=Decimal(0)) == []
