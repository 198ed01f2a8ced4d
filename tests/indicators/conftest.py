"""Seeded candles with the shape of real ones, and extreme ones."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from engine.types import Candle

MINUTE_MS = 60_000
START_MS = 1_704_067_200_000 - 120 * MINUTE_MS  # two hours before a UTC midnight

Rows = list[tuple[float, float, float, float, float]]


def candles_of(rows: Rows, minutes: int = 1) -> list[Candle]:
    step = minutes * MINUTE_MS
    return [
        Candle("paper:X:1m", 7 + i, START_MS + i * step, START_MS + (i + 1) * step, *row)
        for i, row in enumerate(rows)
    ]


def walk_rows(
    size: int, seed: int, *, price: float = 100.0, volume: float = 10.0, tick: float = 0.0
) -> Rows:
    rng = random.Random(seed)
    rows: Rows = []
    last = price
    for _ in range(size):
        first = last
        last = first * (1.0 + rng.gauss(0.0, 0.004))
        high = max(first, last) * (1.0 + abs(rng.gauss(0.0, 0.002)))
        low = min(first, last) * (1.0 - abs(rng.gauss(0.0, 0.002)))
        prices = (first, high, low, last)
        if tick:
            prices = tuple(round(p / tick) * tick for p in prices)
        rows.append((*prices, volume * rng.expovariate(1.0)))
    return rows


def flat_rows(size: int, price: float, volume: float) -> Rows:
    return [(price, price, price, price, volume)] * size


def market_rows(size: int) -> dict[str, Rows]:
    half = size // 2
    silent = [(*row[:4], 0.0) for row in walk_rows(size, 5)]
    return {
        "walk": walk_rows(size, 1),
        "coarse ticks": walk_rows(size, 2, tick=0.5),
        "huge": walk_rows(size, 3, price=1e12, volume=1e9),
        "tiny": walk_rows(size, 4, price=1e-8, volume=1e-8),
        "flat": flat_rows(size, 0.1, 0.3),
        "no volume": silent,
        "flat, then walk": flat_rows(half, 100.0, 0.0) + walk_rows(half, 6),
        "walk, then flat": walk_rows(half, 7) + flat_rows(half, 50.1, 0.0),
    }


@pytest.fixture(scope="session")
def markets() -> dict[str, list[Candle]]:
    """Markets by name, 300 candles each, long enough for every default warm-up."""
    return {name: candles_of(rows) for name, rows in market_rows(300).items()}


@pytest.fixture(scope="session")
def usual(markets: dict[str, list[Candle]]) -> dict[str, list[Candle]]:
    """Those that tell most: one that moves all the time, and one that rests first."""
    return {name: markets[name] for name in ("walk", "flat, then walk")}


@pytest.fixture(scope="session")
def unusual(
    markets: dict[str, list[Candle]], usual: dict[str, list[Candle]]
) -> dict[str, list[Candle]]:
    """All the others, for tests that are given more time."""
    return {name: bars for name, bars in markets.items() if name not in usual}


@pytest.fixture(scope="session")
def walk() -> Callable[..., list[Candle]]:
    """Make a random walk: ``walk(size, seed)``."""
    return lambda size, seed=1, minutes=1: candles_of(walk_rows(size, seed), minutes)


@pytest.fixture(scope="session")
def candles() -> Callable[[Rows], list[Candle]]:
    """Make candles from rows of open, high, low, close, volume."""
    return candles_of
