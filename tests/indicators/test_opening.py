"""Opened on whole arrays, a set is the one that streamed: every indicator, wherever it is cut."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import Candle
from indicators import (
    Array,
    IndicatorError,
    IndicatorManager,
    IndicatorSpec,
    Prices,
    catalog,
    spec,
)
from tests.examples import examples

FIELDS = ("open", "high", "low", "close", "volume", "open_time")
AFTER = 25


def columns(bars: Sequence[Candle]) -> dict[str, Array]:
    return {name: np.array([float(getattr(bar, name)) for bar in bars]) for name in FIELDS}


def seen(manager: IndicatorManager) -> str:
    """Everything a strategy can see, the difference between 100 and 100.0 included."""
    return repr((manager.slots, manager.ready, manager.anchor))


def told(specs: dict[str, IndicatorSpec], bars: Sequence[Candle]) -> list[str]:
    """Return what there is to see before the first candle and after each."""
    manager = IndicatorManager(specs)
    states = [seen(manager)]
    for bar in bars:
        manager.update(bar)
        states.append(seen(manager))
    return states


def require_the_same(
    specs: dict[str, IndicatorSpec], bars: list[Candle], cuts: Sequence[int]
) -> None:
    states = told(specs, bars[: max(cuts) + AFTER])
    prices = Prices(columns(bars))
    for cut in cuts:
        opened = IndicatorManager(specs)
        opened.open(prices.cut(0, cut), anchor=bars[0].seq)
        assert seen(opened) == states[cut], cut
        if cut < len(bars):
            state = states[cut + 1]
            assert repr(opened.peek(bars[cut])) == state[1 : state.index("]") + 1], cut
        for bar, state in zip(bars[cut : cut + AFTER], states[cut + 1 :], strict=False):
            opened.update(bar)
            assert seen(opened) == state, cut


def require_opened(name: str, bars: list[Candle], *cuts: int) -> None:
    # Chained as well: to one that is undefined where nothing moves, and to one that never is.
    free = catalog()[name].inputs[0].free
    specs = {
        "gaps": spec("zscore", {"period": 5}),
        "mean": spec("ema", {"period": 4}),
        "it": spec(name),
        "of_gaps": spec(name, None, "gaps") if free else spec(name),
        "of_mean": spec(name, None, "mean") if free else spec(name),
        "mean_of_it": spec("sma", {"period": 3}, "it"),
    }
    warmup = IndicatorManager({"it": spec(name)}).warmup
    require_the_same(specs, bars, (warmup - 1, warmup, *cuts))


@pytest.mark.parametrize("name", list(catalog()))
def test_an_opened_indicator_goes_on_as_the_one_that_streamed(
    name: str, markets: dict[str, list[Candle]]
) -> None:
    require_opened(name, markets["flat, then walk"], 0, 77)


@pytest.mark.slow
@pytest.mark.parametrize("market", ["walk", "coarse ticks", "flat, then walk"])
def test_an_opened_indicator_goes_on_as_the_one_that_streamed_wherever_it_is_cut(
    market: str, markets: dict[str, list[Candle]]
) -> None:
    for name in catalog():
        require_opened(name, markets[market], 0, 1, 77, 200)


@examples(60)
@given(
    name=st.sampled_from([name for name in catalog() if catalog()[name].origin == "chorus"]),
    steps=st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 2)), min_size=60, max_size=120),
    cut=st.integers(0, 120),
    minutes=st.sampled_from([1, 240, 1440]),
)
def test_our_own_are_exact_on_prices_that_rest_and_volume_that_stops(
    name: str, steps: list[tuple[int, int]], cut: int, minutes: int
) -> None:
    close, bars, length = 50.0, [], minutes * 60_000
    for seq, (step, volume) in enumerate(steps):
        before, close = close, close + step / 4
        high, low = max(before, close) + 0.25, min(before, close)
        prices = (before, high, low, close, float(volume))
        bars.append(Candle("paper:X:1m", seq, seq * length, (seq + 1) * length, *prices))
    small = {"timeperiod": 3, "tenkan": 2, "kijun": 3, "senkou": 5, "displacement": 4}
    params = {p.name: small[p.name] for p in catalog()[name].parameters if p.name in small}
    require_the_same({"it": spec(name, params)}, bars, [min(cut, len(bars))])


def test_an_index_counts_from_the_anchor(markets: dict[str, list[Candle]]) -> None:
    bars = markets["walk"]
    opened = IndicatorManager({"it": spec("maxindex", {"period": 5})})
    opened.open(Prices(columns(bars)).cut(100, 150), anchor=bars[100].seq)
    streamed = IndicatorManager({"it": spec("maxindex", {"period": 5})})
    for bar in bars[100:150]:
        streamed.update(bar)
    assert seen(opened) == seen(streamed)


def test_all_cuts_share_what_is_derived(markets: dict[str, list[Candle]]) -> None:
    prices = Prices(columns(markets["walk"]))
    one, other = prices.cut(10, 20), prices.cut(5, 30).cut(5, 15)
    assert (one.size, other.size) == (10, 10)
    for price in ("close", "hlc3", "open_time"):
        assert np.shares_memory(one.of(price), other.of(price))
        assert one.of(price).tolist() == prices.of(price)[10:20].tolist()


def test_prices_have_to_be_whole_and_finite(markets: dict[str, list[Candle]]) -> None:
    good = columns(markets["walk"])
    with pytest.raises(IndicatorError, match=r"columns: 'open_time' is needed"):
        Prices({name: good[name] for name in FIELDS[:-1]})
    with pytest.raises(IndicatorError, match=r"must have one length, have \[299, 300\]"):
        Prices({**good, "low": good["low"][1:]})
    spoiled = good["high"].copy()
    spoiled[3] = math.inf
    with pytest.raises(IndicatorError, match=r"'high': must be finite.* row 3 is inf"):
        Prices({**good, "high": spoiled})
