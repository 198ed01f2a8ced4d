"""Small files and a way to call the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

import actors
from api.cli import app

START_MS = 1_704_067_200_000
Chorus = Callable[..., Result]


@pytest.fixture
def chorus() -> Chorus:
    """Call `chorus` in this process."""

    def call(*args: object, **env: str) -> Result:
        settings = {"COLUMNS": "160", "TERM": "dumb", "NO_COLOR": "1", "CHORUS_DEBUG": "", **env}
        return CliRunner(env=settings).invoke(app, [str(arg) for arg in args])

    return call


def candle_frame(rows: int = 400, *, minutes: int = 1, seed: int = 1) -> pl.DataFrame:
    """Return a random walk around 100 as candles."""
    random = Random(seed)
    close = 100.0
    table: dict[str, list[float]] = {
        name: [] for name in ("open_time", "open", "high", "low", "close", "volume")
    }
    for n in range(rows):
        start, close = close, round(close * (1 + random.gauss(0, 0.004)), 2)
        table["open_time"].append(START_MS + n * minutes * 60_000)
        table["open"].append(start)
        table["high"].append(round(max(start, close) + 0.05, 2))
        table["low"].append(round(min(start, close) - 0.05, 2))
        table["close"].append(close)
        table["volume"].append(float(random.randint(10, 500)))
    return pl.DataFrame(table).with_columns(pl.col("open_time").cast(pl.Int64))


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    """Return a Parquet file with 400 one-minute candles of BTC/USDT."""
    path = tmp_path / "BTC-USDT_1m.parquet"
    candle_frame().write_parquet(path)
    return path


def build_strategy(**changes: Any) -> dict[str, Any]:
    """Return a RULES strategy that trades a few times on `candles`."""
    return {
        "id": "macd",
        "symbol": "BTC/USDT",
        "timeframe": "1m",
        "indicators": {"macd": {"fastPeriod": 12, "slowPeriod": 26, "signalPeriod": 9}},
        "rules": {
            "entry": {"condition": "macd_crossover_bullish"},
            "exit": {"condition": "macd_crossover_bearish"},
        },
        "sizing": {"mode": "fixed_quantity", "value": 1},
        **changes,
    }


@pytest.fixture
def strategy() -> Callable[..., dict[str, Any]]:
    """Return a maker of strategies that trade on `candles`."""
    return build_strategy


@pytest.fixture
def replace_actors(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Put something else in the place of `actors.engine`, so that no cluster starts."""

    def put(fake: object) -> None:
        monkeypatch.setitem(sys.modules, "actors.engine", fake)
        monkeypatch.setattr(actors, "engine", fake, raising=False)

    return put


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a configuration, from text or from data."""

    def put(content: Any, name: str = "run.yaml") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return path

    return put
