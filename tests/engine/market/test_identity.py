"""What candles a run plays."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import MarketConfig, SyntheticConfig, SyntheticSymbol
from engine.errors import DataError
from engine.market.identity import market_identity


def test_a_file_is_what_it_holds_and_for_which_stream(tmp_path: Path) -> None:
    here, there = tmp_path / "a.csv", tmp_path / "b.csv"
    here.write_text("open_time,open\n1,2\n")
    there.write_text("open_time,open\n1,2\n")
    first = market_identity(MarketConfig(), [f"BTC/USDT:1m={here}"])
    assert market_identity(MarketConfig(speed=60), [f"BTC/USDT:1m={there}"]) == first
    assert market_identity(MarketConfig(), [f"ETH/USDT:1m={here}"]) != first
    assert market_identity(MarketConfig(), [f"BTC/USDT:5m={here}"]) != first
    assert market_identity(MarketConfig(replay=(f"BTC/USDT:1m={here}",))) == first
    there.write_text("open_time,open\n1,3\n")
    assert market_identity(MarketConfig(), [f"BTC/USDT:1m={there}"]) != first


def test_a_synthetic_market_is_its_settings() -> None:
    def market(seed: int) -> MarketConfig:
        symbols = (SyntheticSymbol(symbol="BTC/USDT"),)
        return MarketConfig(synthetic=SyntheticConfig(symbols=symbols, seed=seed))

    assert market_identity(market(1)) == market_identity(market(1))
    assert market_identity(market(1)) != market_identity(market(2))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv"):
        market_identity(MarketConfig(), [f"BTC/USDT:1m={tmp_path / 'gone.csv'}"])
