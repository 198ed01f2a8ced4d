"""Whole-number arithmetic against Decimal, at sizes where float64 and int64 give up."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import ExecutionConfig
from engine.errors import MoneyError
from engine.market import CandleColumns
from engine.money import Instrument, to_decimal
from engine.vectorised.prices import fill_prices
from engine.vectorised.units import fitting, halves_to_even, to_amount, to_floats

sizes = st.sampled_from([10, 10**9, 2**53 - 1, 2**60, 10**24])


@given(st.data(), sizes, st.integers(0, 12))
def test_units_become_the_floats_that_decimals_become(
    data: st.DataObject, size: int, decimals: int
) -> None:
    values = data.draw(st.lists(st.integers(-size, size), max_size=5))
    units = np.array(values, dtype=np.int64 if size < 2**62 else object)
    assert to_floats(units, decimals).tolist() == [float(to_amount(v, decimals)) for v in values]


@given(st.data(), sizes, st.sampled_from([1, 2, 10, 10**4, 10**9]))
def test_halves_are_rounded_to_even(data: st.DataObject, size: int, divisor: int) -> None:
    near = st.integers(0, size // divisor).map(lambda n: n * divisor + divisor // 2)
    values = data.draw(st.lists(st.one_of(st.integers(0, size), near), min_size=1, max_size=5))
    units = fitting(np.array(values, dtype=object), 2 * max(values) + 2 * divisor)
    expected = [int((Decimal(v) / divisor).quantize(Decimal(1), ROUND_HALF_EVEN)) for v in values]
    assert halves_to_even(units, divisor).tolist() == expected


@given(
    st.lists(
        st.one_of(
            st.floats(0.01, 1e12),
            st.integers(1, 10**7).map(lambda n: n / 8),
            st.integers(1, 10**7).map(lambda n: n / 100 + 0.005),
            st.floats(1e12, 9e12),
        ),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(["0.00000001", "0.01", "0.25", "0.5", "0.0003", "0.01"]),
    st.sampled_from(["0", "1", "7.25"]),
)
def test_prices_are_rounded_and_worsened_as_the_paper_gateway_does(
    opens: list[float], tick: str, slippage: str
) -> None:
    instrument = Instrument("A/B", "A", "B", tick_size=Decimal(tick))
    execution = ExecutionConfig(slippage_bps=Decimal(slippage))
    prices = np.array([max(value, float(tick) * 2) for value in opens])
    flat = np.zeros(len(prices))
    numbers = np.arange(len(prices))
    candles = CandleColumns(1, numbers, prices, prices, prices, prices, flat, numbers * 0)
    found = fill_prices(candles, instrument, execution)
    slip = Decimal(slippage) / 10_000
    exact = [instrument.price(value) for value in prices.tolist()]
    bought = [instrument.price_up(price * (1 + slip)) for price in exact]
    sold = [instrument.price_down(price * (1 - slip)) for price in exact]
    assert [to_amount(int(v), found.decimals) for v in found.buy] == bought
    assert [to_amount(int(v), found.decimals) for v in found.sell] == sold


def test_a_price_that_has_no_place_in_ticks_is_refused() -> None:
    prices = np.array([1e25])
    number = np.zeros(1, dtype=np.int64)
    candles = CandleColumns(1, number, prices, prices, prices, prices, prices, number)
    assert to_decimal(1e25) == Decimal("1e25")
    with pytest.raises(MoneyError, match="cannot be expressed in steps"):
        fill_prices(candles, Instrument("A/B", "A", "B"), ExecutionConfig())
