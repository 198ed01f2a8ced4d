"""Batches say what a manager says: the same values, ready at the same candle, however shared."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import Candle
from indicators import (
    Array,
    Batches,
    IndicatorError,
    IndicatorManager,
    IndicatorSpec,
    catalog,
    spec,
)
from indicators.batches import _ready_row
from indicators.nodes import Node
from tests.examples import examples

FIELDS = ("open", "high", "low", "close", "volume", "open_time")


def columns(bars: Sequence[Candle]) -> dict[str, Array]:
    return {name: np.array([float(getattr(bar, name)) for bar in bars]) for name in FIELDS}


def streamed_ready(specs: dict[str, IndicatorSpec], bars: Sequence[Candle]) -> int:
    manager = IndicatorManager(specs)
    for row, bar in enumerate(bars):
        manager.update(bar)
        if manager.ready:
            return row
    return len(bars)


def same(a: Sequence[Array], b: Sequence[Array]) -> bool:
    return np.array_equal(np.array(a), np.array(b), equal_nan=True)


def require_ready(name: str, markets: dict[str, list[Candle]]) -> None:
    # Chained to RSI too: undefined values before the first one, and inside where nothing moves.
    for market, bars in markets.items():
        chained = spec(name, None, "base") if catalog()[name].inputs[0].free else spec(name)
        specs = {"base": spec("zscore", {"period": 5}), "it": spec(name), "chained": chained}
        batch = Batches(columns(bars)).of(specs)
        assert batch.ready == streamed_ready(specs, bars), (name, market)
        assert same(batch.slots, IndicatorManager(specs).batch(columns(bars))), (name, market)


@pytest.mark.parametrize("name", list(catalog()))
def test_a_set_is_ready_at_the_candle_at_which_its_manager_is(
    name: str, usual: dict[str, list[Candle]]
) -> None:
    require_ready(name, usual)


@pytest.mark.slow
def test_a_set_is_ready_at_the_candle_at_which_its_manager_is_on_any_market(
    unusual: dict[str, list[Candle]],
) -> None:
    for name in catalog():
        require_ready(name, unusual)


@examples(60)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 90),
    periods=st.lists(st.integers(2, 40), min_size=1, max_size=4),
    period=st.integers(2, 12),
)
def test_ready_holds_for_candles_that_end_early(
    seed: int, rows: int, periods: list[int], period: int
) -> None:
    rng = np.random.default_rng(seed)
    closes = np.round(rng.uniform(1.0, 3.0, rows)).tolist()
    bars = [
        Candle("paper:X:1m", i, i * 60_000, (i + 1) * 60_000, c, c, c, c, 1.0)
        for i, c in enumerate(closes)
    ]
    batches = Batches(columns(bars))
    for number, one in enumerate(periods):
        specs = {
            f"ema{number}": spec("ema", {"period": one}),
            "streak": spec("streak"),
            "z": spec("zscore", {"period": period}),
            "of_z": spec("sma", {"period": period}, "z"),
        }
        batch = batches.of(specs)
        assert batch.ready == streamed_ready(specs, bars)
        assert same(batch.slots, IndicatorManager(specs).batch(columns(bars)))


def test_equal_calculations_are_done_once_whatever_they_are_called() -> None:
    closes = np.linspace(1.0, 9.0, 50)
    batches = Batches({"close": closes})
    one = batches.of({"a": spec("ema", {"period": 3}), "b": spec("sma", {"period": 2}, "a")})
    other = batches.of({"x": spec("ema", {"period": 3}), "y": spec("sma", {"period": 2}, "x")})
    assert [id(array) for array in one.slots] == [id(array) for array in other.slots]


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    closes = np.linspace(1.0, 9.0, 50)
    batches = Batches({"close": closes}, max_bytes=2 * closes.nbytes)
    sets = [{"it": spec("ema", {"period": period})} for period in (2, 3, 4)]
    first, second = (batches.of(one).slots[0] for one in sets[:2])
    assert batches.of(sets[0]).slots[0] is first
    batches.of(sets[2])
    assert batches.of(sets[0]).slots[0] is first
    again = batches.of(sets[1]).slots[0]
    assert again is not second
    assert same([again], [second])


def test_an_empty_set_is_ready_at_once() -> None:
    batch = Batches({"close": np.ones(3)}).of({})
    assert (batch.slots, batch.ready) == ([], 0)


def test_columns_of_several_lengths_are_refused() -> None:
    with pytest.raises(IndicatorError, match=r"must have one length, have \[2, 3\]"):
        Batches({"close": np.ones(3), "high": np.ones(2)})


class LateKernel:
    """Stands for a handle whose seeding wants more bars than the lookback says."""

    def __init__(self, needs: int) -> None:
        self.needs = needs
        self.ready = False

    def fill(self, arrays: Sequence[Array]) -> list[Array]:
        self.ready = len(arrays[0]) >= self.needs
        return []


@given(rows=st.integers(0, 60), needs=st.integers(1, 70), warmup=st.integers(1, 70))
def test_readiness_that_comes_later_than_announced_is_found(
    rows: int, needs: int, warmup: int
) -> None:
    needs = max(needs, warmup)
    maker = SimpleNamespace(kernel=lambda _: LateKernel(needs), warmup=lambda _: warmup)
    node = Node(SimpleNamespace(maker=maker), (), (-4,), 0, 1, warmup)
    assert _ready_row(node, [np.ones(rows)]) == (needs - 1 if needs <= rows else rows)
