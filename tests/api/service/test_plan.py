"""What a service is started with is checked before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.service.plan import FEWEST_CANDLES, ServicePlan, engine_config, make_folder
from engine.config import RunConfig
from engine.errors import ConfigError

STRATEGY = {"id": "one", "type": "EMA_CROSS", "symbol": "BTC/USDT", "timeframe": "3m"}


def plan_of(market: dict[str, object]) -> ServicePlan:
    config = RunConfig.model_validate({"market": market, "strategies": [STRATEGY]})
    return ServicePlan(config=config, folder=Path("unused"))


def test_a_made_up_market_goes_on_and_serves_what_can_be_made_of_its_candles() -> None:
    symbols = [{"symbol": "BTC/USDT", "timeframe": "1m"}, {"symbol": "ETH/BTC", "timeframe": "1h"}]
    config = engine_config(plan_of({"synthetic": {"symbols": symbols, "candles": 10}}))
    assert config.market.synthetic is not None
    assert config.market.synthetic.candles == FEWEST_CANDLES
    assert {"paper:BTC/USDT:1m", "paper:BTC/USDT:1d", "paper:ETH/BTC:1h"} <= set(
        config.market.streams
    )
    assert "paper:ETH/BTC:1m" not in config.market.streams
    assert (config.strategies, config.accounts, config.market.speed) == ((), (), 60.0)
    assert RunConfig.model_validate_json(config.model_dump_json(by_alias=True)) == config


def test_files_are_served_by_their_names() -> None:
    config = engine_config(plan_of({"replay": ["data/ETH-BTC_4h.parquet"]}))
    served = {stream for stream in config.market.streams if "ETH" in stream}
    assert {"paper:ETH/BTC:4h", "paper:ETH/BTC:1d"} <= served
    assert not served & {"paper:ETH/BTC:1m", "paper:ETH/BTC:1h"}


def test_without_a_market_nothing_starts() -> None:
    with pytest.raises(ConfigError, match="there are no candles to play"):
        engine_config(plan_of({}))


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="is a file; name a folder"):
        make_folder(file)
    with pytest.raises(ConfigError, match="cannot be made: Not a directory"):
        make_folder(file / "below")
    make_folder(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
