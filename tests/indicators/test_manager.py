from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import Candle
from indicators import IndicatorError, IndicatorManager, IndicatorSpec, catalog, create, spec
from tests.examples import examples

Walk = Callable[..., list[Candle]]

FIELDS = ("open", "high", "low", "close", "volume", "open_time")


def columns(bars: list[Candle]) -> dict[str, Any]:
    return {name: np.array([float(getattr(bar, name)) for bar in bars]) for name in FIELDS}


def every_shape() -> dict[str, IndicatorSpec]:
    """One indicator for each way a manager reads inputs and writes outputs."""
    return {
        "macd": spec("macd"),
        "rsi": spec("rsi"),
        "pair": spec("mama"),
        "on_open": spec("ema", {"period": 5}, "open"),
        "on_hl2": spec("bb", {"period": 8}, "hl2"),
        "on_hlc3": spec("sma", {"period": 4}, "hlc3"),
        "on_ohlc4": spec("sma", {"period": 4}, "ohlc4"),
        "volumes": spec("sma", {"period": 4}, "volume"),
        "atr": spec("atr"),
        "trend": spec("supertrend"),
        "mid": spec("midprice"),
        "aroon": spec("aroon"),
        "obv": spec("obv"),
        "beta": spec("beta"),
        "flow": spec("mfi"),
        "candle": spec("cdldoji"),
        "hist": spec("sma", {"period": 3}, "macd.hist"),
        "bands": spec("bb", {"period": 5}, "rsi"),
        "doji": spec("sma", {"period": 3}, "candle"),
        "spread": spec("sub", source="on_hl2.upper,close"),
        "vwap": spec("session_vwap"),
        "cloud": spec("ichimoku", {"senkou": 30, "displacement": 5}),
    }


def test_slots_are_what_the_indicators_give_on_their_own(walk: Walk) -> None:
    bars = walk(150)
    specs = {
        name: s
        for name, s in every_shape().items()
        if name not in {"hist", "bands", "doji", "spread"}
    }
    manager = IndicatorManager(specs)
    alone = {name: create(s) for name, s in specs.items()}
    for bar in bars:
        manager.update(bar)
        for name, indicator in alone.items():
            value = indicator.update(bar)
            first = manager.slot(name)
            row = value if isinstance(value, tuple) else (value,)
            assert repr(tuple(manager.slots[first : first + len(row)])) == repr(row), name


def test_a_whole_set_is_bit_identical_to_its_batch_and_to_a_reopened_one(walk: Walk) -> None:
    bars = walk(200)
    manager = IndicatorManager(every_shape())
    batch = np.array(manager.batch(columns(bars)))
    assert len(batch) == len(manager.slots)
    reopened = IndicatorManager(every_shape())
    for i, bar in enumerate(bars):
        peeked = manager.peek(bar)
        manager.update(bar)
        assert np.array_equal(peeked, manager.slots, equal_nan=True)
        assert np.array_equal(manager.slots, batch[:, i], equal_nan=True), i
        if i in {0, 10, 11, 20, 60, 150}:
            reopened.reopen(bars[: i + 1])
            assert repr(list(map(float, reopened.slots))) == repr(list(map(float, manager.slots)))
            assert (reopened.anchor, reopened.ready) == (manager.anchor, manager.ready)
        elif i > 150:
            reopened.update(bar)
            assert reopened.slots == manager.slots
    assert manager.ready


def test_warmup_counts_the_candles_until_the_whole_set_is_ready(walk: Walk) -> None:
    manager = IndicatorManager(every_shape())
    for i, bar in enumerate(walk(120), start=1):
        manager.update(bar)
        assert manager.ready == (i >= manager.warmup)
    assert manager.warmup == 33 + 3  # MACD has lookback 33, its mean of 3 comes 2 candles later


def test_slots_are_always_the_same_list(walk: Walk) -> None:
    manager = IndicatorManager(every_shape())
    slots = manager.slots
    for bar in walk(60):
        manager.update(bar)
    manager.peek(walk(61)[-1])
    manager.reopen(walk(70))
    manager.update(walk(71)[-1])
    assert manager.slots is slots
    manager.reopen([])
    assert manager.slots is slots
    assert all(math.isnan(value) for value in slots)
    assert (manager.anchor, manager.ready) == (None, False)


def test_equal_indicators_are_computed_once() -> None:
    manager = IndicatorManager(
        {
            "fast": spec("ema", {"period": 5}),
            "quick": spec("EMA", {"timeperiod": 5}, "close"),
            "other": spec("ema", {"period": 6}),
            "a": spec("rsi", source="fast"),
            "b": spec("rsi", source="quick.value"),
        }
    )
    assert manager.slot("fast") == manager.slot("quick")
    assert manager.slot("a") == manager.slot("b")
    assert len(manager.slots) == 3


def test_a_source_may_come_later_in_the_mapping(walk: Walk) -> None:
    manager = IndicatorManager(
        {"outer": spec("sma", {"period": 2}, "inner"), "inner": spec("sma", {"period": 3})}
    )
    for bar in walk(10):
        manager.update(bar)
    closes = [bar.close for bar in walk(10)]
    inner = [math.fsum(closes[i - 2 : i + 1]) / 3 for i in (8, 9)]
    assert manager.slots[manager.slot("outer")] == pytest.approx(sum(inner) / 2)
    assert manager.warmup == 4


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({"a": spec("sma", source="a")}, "'a': reads itself: a -> a"),
        (
            {
                "a": spec("sma", source="b"),
                "b": spec("add", source="close,c"),
                "c": spec("sma", source="a"),
            },
            "'a': reads itself: a -> b -> c -> a",
        ),
        ({"a": spec("sma", source="clsoe")}, "source 'clsoe' is neither.*did you mean 'close'"),
        ({"m": spec("macd"), "a": spec("sma", source="m.hits")}, "no output 'hits'.*'hist'"),
        ({"close": spec("sma")}, "a price has this name"),
        ({"a.b": spec("sma")}, "must not be empty or hold"),
    ],
)
def test_sets_that_make_no_sense_are_refused(specs: dict[str, IndicatorSpec], message: str) -> None:
    with pytest.raises(IndicatorError, match=message):
        IndicatorManager(specs)


def test_unknown_slots_are_refused_with_the_nearest_name() -> None:
    manager = IndicatorManager({"macd": spec("macd"), "rsi": spec("rsi")})
    assert manager.slot("macd") == manager.slot("macd", "macd")
    assert manager.slot("macd", "hist") == manager.slot("macd", "histogram")
    assert manager.outputs("macd") == ("macd", "signal", "hist")
    with pytest.raises(IndicatorError, match=r"'mcd': not in this set \(did you mean 'macd'\?\)"):
        manager.slot("mcd")
    with pytest.raises(IndicatorError, match=r"no output 'signl' \(did you mean 'signal'\?\)"):
        manager.slot("macd", "signl")


@pytest.mark.parametrize("at", [0, 20, 100])
@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
def test_a_bad_candle_moves_no_indicator_of_the_set(walk: Walk, field: str, at: int) -> None:
    bars = walk(140)
    manager = IndicatorManager(every_shape())
    undisturbed = IndicatorManager(every_shape())
    for i, bar in enumerate(bars):
        if i == at:
            for bad in (math.nan, math.inf, -math.inf):
                before = repr(manager.slots)
                with pytest.raises(IndicatorError, match=f"bar {bar.seq} .*{field} must be finite"):
                    manager.update(msgspec.structs.replace(bar, **{field: bad}))
                assert repr(manager.slots) == before
        manager.update(bar)
        undisturbed.update(bar)
        assert repr(manager.slots) == repr(undisturbed.slots)


def test_infinities_that_cancel_are_seen(walk: Walk) -> None:
    bars = walk(60)
    manager = IndicatorManager({"rsi": spec("rsi")})
    for bar in bars[:50]:
        manager.update(bar)
    with pytest.raises(IndicatorError, match="open must be finite"):
        manager.update(msgspec.structs.replace(bars[50], open=math.inf, close=-math.inf))


sane = st.floats(-1e100, 1e100)
too_large = st.floats().filter(lambda x: not -1e100 <= x <= 1e100)


@examples(60)
@given(
    prices=st.tuples(sane, sane, sane, sane, sane),
    bad=st.none() | st.tuples(st.integers(0, 4), too_large),
)
def test_exactly_the_candles_with_a_field_out_of_range_are_refused(
    prices: tuple[float, ...], bad: tuple[int, float] | None
) -> None:
    for warm in (False, True):
        manager = IndicatorManager({"sma": spec("sma", {"period": 2})})
        for seq in range(3 if warm else 0):
            manager.update(Candle("s", seq, 0, 1, 1.0, 1.0, 1.0, 1.0, 1.0))
        fields = list(prices)
        if bad is not None:
            fields[bad[0]] = bad[1]
        candle = Candle("s", 3, 0, 1, *fields)
        if bad is None:
            manager.update(candle)
        else:
            with pytest.raises(IndicatorError, match="must be finite"):
                manager.update(candle)


def test_a_source_that_is_undefined_on_a_candle_is_skipped(
    candles: Callable[[list[tuple[float, ...]]], list[Candle]],
) -> None:
    # ln of a price at or below zero is NaN or -inf; the mean of three leaves such candles out.
    closes = [-1.0, 0.0, 1.0, math.e, -5.0, math.e**2, 0.0, math.e**3, math.e**4]
    specs = {
        "ln": spec("ln"),
        "mean": spec("sma", {"period": 3}, "ln"),
        "bands": spec("bb", {"period": 3}, "ln"),
        "both": spec("add", source="ln,close"),
    }
    bars = candles([(c, c, c, c, 1.0) for c in closes])
    manager = IndicatorManager(specs)
    seen = []
    rows = []
    for bar in bars:
        peeked = manager.peek(bar)
        manager.update(bar)
        assert np.array_equal(peeked, manager.slots, equal_nan=True)
        seen.append(manager.slots[manager.slot("mean")])
        rows.append(list(manager.slots))
    expected = [math.nan] * 5 + [1.0, math.nan, 2.0, 3.0]
    assert seen == pytest.approx(expected, nan_ok=True)
    batch = np.array(manager.batch(columns(bars)))
    assert np.array_equal(np.array(rows).T, batch, equal_nan=True)
    reopened = IndicatorManager(specs)
    reopened.reopen(bars[:-1])
    reopened.update(bars[-1])
    assert reopened.slots == manager.slots


def test_an_index_counts_the_candles_its_source_had_no_value_on_as_batch_does(walk: Walk) -> None:
    bars = walk(60)
    specs = {"ema": spec("ema", {"period": 10}), "at": spec("maxindex", {"period": 5}, "ema")}
    manager = IndicatorManager(specs)
    for bar in bars:
        manager.update(bar)
    ema = [math.nan] * 9 + [x for x in manager.batch(columns(bars))[0].tolist() if x == x]  # noqa: PLR0124 - NaN
    recent = ema[-5:]
    assert manager.slots[manager.slot("at")] == 55 + recent.index(max(recent))


def test_batch_refuses_columns_that_do_not_fit(walk: Walk) -> None:
    manager = IndicatorManager({"atr": spec("atr")})
    good = columns(walk(50))
    with pytest.raises(IndicatorError, match="'low' is needed"):
        manager.batch({name: good[name] for name in ("high", "close")})
    with pytest.raises(IndicatorError, match="must have one length"):
        manager.batch({**good, "low": good["low"][1:]})
    with pytest.raises(IndicatorError, match="'low': must have one dimension, has 2"):
        manager.batch({**good, "low": good["low"].reshape(2, 25)})
    spoiled = good["close"].copy()
    spoiled[7] = math.nan
    with pytest.raises(IndicatorError, match=r"'close': must be finite.* row 7 is nan"):
        manager.batch({**good, "close": spoiled})


@pytest.mark.parametrize("size", [0, 1, 5])
def test_batch_and_reopen_take_histories_shorter_than_the_warmup(walk: Walk, size: int) -> None:
    bars = walk(120)
    for name in catalog():
        specs = {"it": spec(name)}
        manager = IndicatorManager(specs)
        arrays = manager.batch(columns(bars[:size]))
        assert [array.size for array in arrays] == [size] * len(manager.slots)
        manager.reopen(bars[:size])
        whole = IndicatorManager(specs)
        for bar in bars[:size]:
            whole.update(bar)
        for bar in bars[size:]:
            manager.update(bar)
            whole.update(bar)
        assert repr(manager.slots) == repr(whole.slots), name


def test_an_empty_set_is_ready_after_one_candle(walk: Walk) -> None:
    manager = IndicatorManager({})
    manager.update(walk(1)[0])
    assert (manager.ready, manager.slots, manager.anchor) == (True, [], 7)


def test_a_single_indicator_cannot_read_another() -> None:
    with pytest.raises(IndicatorError, match=r"source 'macd\.hist' is not a price"):
        create(spec("rsi", source="macd.hist"))
