"""Strategy types and candle files of the runs."""

from __future__ import annotations

import random

import polars as pl
import pytest

from engine.catalog import Catalog, default_folders, discover

MINUTE = 60_000

TWO_STREAMS = """
from strategies import Strategy, StrategyMetadata


class TwoStreams(Strategy):
    metadata = StrategyMetadata(type="TWO_STREAMS")

    def on_candle(self, candle):
        symbol = candle.stream.split(":")[1]
        held = self.services.positions[symbol].quantity
        if candle.seq % 7 == 3 and not held:
            (self.services.order.buy if candle.seq % 2 else self.services.order.sell)(symbol)
        elif candle.seq % 5 == 4 and held:
            self.services.order.close(symbol)
"""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "two_streams.py").write_text(TWO_STREAMS)
    return discover([*default_folders(), folder])


@pytest.fixture(scope="module")
def two_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return a 1m and a 5m file of AAA/USDT that disagree in wicks and in missing rows."""
    rng = random.Random(5)
    small = []
    price = 100.0
    for n in range(1500):
        opened, price = price, price * (1 + rng.gauss(0, 0.0015))
        high, low = max(opened, price) * 1.002, min(opened, price) * 0.998
        small.append((n * MINUTE, opened, high, low, price, rng.uniform(5, 50)))
    large = []
    for n in range(0, len(small), 5):
        opened, closed = small[n][1], small[n + 4][4]
        large.append((n * MINUTE, opened, max(opened, closed), min(opened, closed), closed, 90.0))
    folder = tmp_path_factory.mktemp("candles")
    paths = []
    for name, rows in (("AAA-USDT_1m.parquet", small), ("AAA-USDT_5m.parquet", large)):
        kept = [row for row in rows if rng.random() > 0.03]
        columns = ["open_time", "open", "high", "low", "close", "volume"]
        pl.DataFrame(kept, schema=columns, orient="row").write_parquet(folder / name)
        paths.append(str(folder / name))
    return paths
