"""The strategy in the documentation works as it stands."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from engine.catalog import LoadedType, discover
from engine.config import RunConfig
from engine.config.load import load_run
from engine.instance import build
from engine.instance.testing import Desk, random_candles
from engine.types import Action

PAGE = Path(__file__).parents[2] / "docs" / "write-a-strategy.md"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedType:
    (tmp_path / "dip_buyer.py").write_text(block("python"), encoding="utf-8")
    catalog = discover([tmp_path])
    assert [str(broken) for broken in catalog.broken] == []
    return catalog.types["DIP_BUYER"]


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    file = tmp_path / "my-run.yaml"
    file.write_text(block("yaml"), encoding="utf-8")
    return load_run(file)


def test_the_documented_strategy_trades_what_it_says(loaded: LoadedType, run: RunConfig) -> None:
    instance = build(run.strategies[0], loaded, capital=Decimal(1000))
    candles = random_candles(500, seed=7)
    decisions = Desk(instance).play(candles)
    closes = [candle.close for candle in candles]
    assert len(decisions) > 20
    for decision in decisions:
        (signal,) = decision.intents
        mean = sum(closes[decision.seq - 29 : decision.seq + 1]) / 30
        if signal.action is Action.BUY:
            assert closes[decision.seq] < mean * 0.999
            assert signal.stop_loss == Decimal("0.02")
        else:
            assert signal.action is Action.CLOSE
            assert closes[decision.seq] > mean
    assert instance.errors == 0


def test_the_documented_state_survives_a_restart(loaded: LoadedType, run: RunConfig) -> None:
    candles = random_candles(300, seed=7)
    first = build(run.strategies[0], loaded, capital=Decimal(1000))
    Desk(first).play(candles)
    second = build(run.strategies[0], loaded, capital=Decimal(1000))
    second.restore(first.snapshot(), candles)
    assert second.snapshot() == first.snapshot()
