"""What is drawn is what the strategy computes."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from engine.catalog import default_folders, discover
from engine.config import MarketConfig, StrategyConfig, SyntheticConfig, SyntheticSymbol
from engine.errors import ConfigError
from engine.instance.chart import chart, warmup_of
from engine.market import open_market
from indicators import IndicatorManager

STREAM = "paper:BTC/USDT:1m"


def test_each_value_is_that_of_an_indicator_that_began_with_the_same_candle() -> None:
    config = StrategyConfig.model_validate(
        {
            "id": "one",
            "symbol": "BTC/USDT",
            "timeframe": "1m",
            "indicators": {"fast": {"type": "ema", "period": 5}, "macd": {}},
            "rules": {"entry": {"condition": "fast > close"}},
        }
    )
    loaded = discover(default_folders()).types["RULES"]
    synthetic = SyntheticConfig(symbols=(SyntheticSymbol(symbol="BTC/USDT"),), candles=80)
    market = open_market(MarketConfig(synthetic=synthetic), [STREAM])
    candles = [candle for _, candle in market.history(STREAM)]
    drawn = chart(config, loaded, candles)
    manager = IndicatorManager(loaded.cls.indicator_specs(config, {}))
    assert drawn.keys() == {"fast", *(f"macd.{name}" for name in manager.outputs("macd"))}
    for n, candle in enumerate(candles):
        manager.update(candle)
        value = manager.slots[manager.slot("fast")]
        assert drawn["fast"][n] == (None if value != value else value)  # noqa: PLR0124 - NaN
    assert warmup_of(config, loaded) == manager.warmup > 30
    assert chart(config, loaded, []) == {}


@pytest.mark.parametrize("error", [KeyError("gone"), SystemExit(3)])
def test_what_its_code_raises_is_said_to_whoever_looks(error: BaseException) -> None:
    loaded = discover(default_folders()).types["EMA_CROSS"]

    class Edited(loaded.cls):  # type: ignore[misc, name-defined]  # found at run time
        @classmethod
        def indicator_specs(cls, config: StrategyConfig, parameters: Any) -> Any:
            raise error

    config = StrategyConfig.model_validate(
        {"id": "one", "type": "EMA_CROSS", "symbol": "BTC/USDT", "timeframe": "1m"}
    )
    with pytest.raises(ConfigError, match=f"'one': the code of .* {type(error).__name__}"):
        warmup_of(config, replace(loaded, cls=Edited))
