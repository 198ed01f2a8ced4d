"""Small seeded candle files for the market tests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.timeframes import timeframe_ms

START = 1_704_067_200_000  # 2024-01-01T00:00:00Z

MakeFrame = Callable[..., pl.DataFrame]
WriteCandles = Callable[..., Path]


@pytest.fixture
def make_frame() -> MakeFrame:
    """Return a maker of valid candles; `rows` are numbers of intervals from `START`."""

    def make(timeframe: str = "1m", rows: int | list[int] = 30, seed: int = 0) -> pl.DataFrame:
        indices = np.arange(rows) if isinstance(rows, int) else np.array(rows)
        rng = np.random.default_rng(seed)
        prices = np.sort(rng.uniform(90.0, 110.0, (len(indices), 4)), axis=1)
        return pl.DataFrame(
            {
                "open_time": START + indices * timeframe_ms(timeframe),
                "open": prices[:, 1],
                "high": prices[:, 3],
                "low": prices[:, 0],
                "close": prices[:, 2],
                "volume": rng.exponential(10.0, len(indices)),
            },
            schema_overrides={"open_time": pl.Int64},
        )

    return make


@pytest.fixture
def write_candles(tmp_path: Path, make_frame: MakeFrame) -> WriteCandles:
    """Return a writer of ``SYMBOL_TF.parquet`` (or .csv) files; the frame is made if not given."""

    def write(
        name: str,
        rows: int | list[int] = 30,
        *,
        frame: pl.DataFrame | None = None,
        seed: int = 0,
    ) -> Path:
        path = tmp_path / name
        if frame is None:
            frame = make_frame(name.partition(".")[0].rpartition("_")[2], rows, seed)
        if path.suffix == ".csv":
            frame.write_csv(path)
        else:
            frame.write_parquet(path)
        return path

    return write
