"""Money: float64 to Decimal, ticks, lots, symbols."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import InstrumentConfig
from engine.errors import ConfigError, MoneyError
from engine.money import (
    UNIT,
    Instrument,
    canonical_symbol,
    find_instrument,
    instruments_by_symbol,
    money,
    money_up,
    parse_symbol,
    plain,
)

STEPS = ["0.01", "0.00000001", "1", "10", "0.25", "0.5", "3", "1E-2", "0.100"]
steps = st.sampled_from([Decimal(step) for step in STEPS])
floats = st.floats(0, 1e12, allow_nan=False)


def instrument(tick: Any = "0.01", lot: Any = "0.001") -> Any:
    return Instrument("BTC/USDT", "BTC", "USDT", Decimal(tick), Decimal(lot))


@given(floats, steps)
def test_price_is_the_nearest_tick(value: Any, tick: Any) -> None:
    price = instrument(tick).price(value)
    exact = Decimal(repr(value))
    assert price % tick == 0
    assert abs(price - exact) <= tick / 2
    assert instrument(tick).price(exact) == price


@given(floats, steps)
def test_quantity_is_rounded_down_to_a_lot(value: Any, lot: Any) -> None:
    quantity = instrument(lot=lot).quantity(value)
    assert quantity % lot == 0
    assert 0 <= Decimal(repr(value)) - quantity < lot


@given(floats, steps)
def test_price_up_and_down_enclose_the_value(value: Any, tick: Any) -> None:
    exact = Decimal(repr(value))
    some = instrument(tick)
    up, down = some.price_up(exact), some.price_down(exact)
    assert down <= exact <= up
    assert up - down in {0, tick}
    assert up % tick == down % tick == 0


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 1e29, Decimal("NaN"), Decimal("1E+30")]
)
@pytest.mark.parametrize("step", ["0.01", "0.25"])
def test_what_cannot_be_expressed_is_a_clear_error(value: Any, step: Any) -> None:
    some = instrument(step, step)
    for convert in (some.price, some.quantity):
        with pytest.raises(MoneyError, match=r"'BTC/USDT'.*steps of"):
            convert(value)


@pytest.mark.parametrize("value", ["1e20", "-1e20", "Infinity"])
def test_amount_of_money_too_large_to_count_is_a_clear_error(value: Any) -> None:
    for convert in (money, money_up):
        with pytest.raises(MoneyError, match="below 1e20"):
            convert(Decimal(value))


@given(st.decimals(-(10**15), 10**15, places=12))
def test_money_is_rounded_to_units(amount: Any) -> None:
    assert abs(money(amount) - amount) <= UNIT / 2
    assert 0 <= money_up(amount) - amount < UNIT


@given(st.decimals(-(10**15), 10**15), st.integers(0, 5))
def test_equal_amounts_have_one_text(amount: Any, zeros: Any) -> None:
    text = plain(amount)
    assert Decimal(text) == amount
    assert "E" not in text
    longer = amount * Decimal(1).scaleb(0).quantize(Decimal(1).scaleb(-zeros))
    if longer == amount:
        assert plain(longer) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1E+3", "1000"),
        ("0E-8", "0"),
        ("-0.0", "0"),
        ("-1.50", "-1.5"),
        ("1E-8", "0.00000001"),
        ("100", "100"),
    ],
)
def test_plain_text(amount: Any, text: Any) -> None:
    assert plain(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("symbol", "parts", "canonical"),
    [
        ("BTC/USDT", ("BTC", "USDT"), "BTC/USDT"),
        ("BTC-USDT", ("BTC", "USDT"), "BTC/USDT"),
        ("btc/usdt", ("BTC", "USDT"), "BTC/USDT"),
        ("BTC/USDT-PERP", ("BTC", "USDT"), "BTC/USDT-PERP"),
        ("BTC-USDT-PERP", ("BTC", "USDT"), "BTC/USDT-PERP"),
        ("BTC/USDT:USDT", ("BTC", "USDT"), "BTC/USDT-PERP"),
        ("1000PEPE/USDT", ("1000PEPE", "USDT"), "1000PEPE/USDT"),
        ("GAPPY-BTC", ("GAPPY", "BTC"), "GAPPY/BTC"),
    ],
)
def test_symbol_spellings(symbol: Any, parts: Any, canonical: Any) -> None:
    assert parse_symbol(symbol) == parts
    assert canonical_symbol(symbol) == canonical


@pytest.mark.parametrize(
    "symbol", ["", "BTCUSDT", "BTC/", "/USDT", "BTC-PERP", "BTC USDT", "A/B/C"]
)
def test_what_is_no_symbol_is_a_clear_error(symbol: Any) -> None:
    with pytest.raises(ConfigError, match="BASE/QUOTE"):
        parse_symbol(symbol)


def test_instrument_is_found_by_any_spelling_or_gets_fine_steps() -> None:
    configured = instruments_by_symbol(
        [InstrumentConfig(symbol="BTC-USDT", tick_size=Decimal("0.1"))]
    )
    assert find_instrument("BTC/USDT", configured).tick_size == Decimal("0.1")
    other = find_instrument("ETH/BTC", configured)
    assert (other.base, other.quote, other.tick_size, other.lot_size) == ("ETH", "BTC", UNIT, UNIT)
    assert find_instrument("BTC/USDT-PERP", configured).tick_size == UNIT


def test_instrument_configured_twice_is_an_error() -> None:
    twice = [InstrumentConfig(symbol="BTC/USDT"), InstrumentConfig(symbol="BTC-USDT")]
    with pytest.raises(ConfigError, match="'BTC-USDT' is configured twice"):
        instruments_by_symbol(twice)


@pytest.mark.parametrize("step", ["0", "-1", "NaN"])
def test_step_must_be_above_zero(step: Any) -> None:
    with pytest.raises(ConfigError, match="tick_size must be above 0"):
        instrument(step)
