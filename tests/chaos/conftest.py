"""Tests that kill processes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.config import RunConfig

DEDICATED = (0, 5, 8)
POOLED = (1, 4, 6)
"""Together each symbol and timeframe with two of the three kinds of protection."""

CANDLES_PER_S = 100


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder starts real actors."""
    for item in items:
        if "tests/chaos" in item.path.as_posix():
            item.add_marker(pytest.mark.actors)


@pytest.fixture
def config_of(
    a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]]
) -> Callable[[int], RunConfig]:
    """Make a run of so many candles in which every strategy trades often and differently."""

    def config(candles: int) -> RunConfig:
        return a_run(
            [
                *(a_strategy(number) for number in DEDICATED),
                *(a_strategy(number, isolation="pooled") for number in POOLED),
            ],
            placement={"hosts": 2},
            candles=candles,
            timeframes=("1m", "1m"),
            market={"speed": 60 * CANDLES_PER_S},
            # A loaded machine may need longer than a second or two to start a process.
            arbitration={"windowMs": 60_000},
        )

    return config
