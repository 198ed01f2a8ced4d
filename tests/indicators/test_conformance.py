"""Every indicator of the catalogue keeps the contract; nothing has to be registered here.

TA-Lib's functions are held to the Function API bit for bit, ours to oracles written here from
their definitions in plain Python, to 1e-9.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import fmean, pstdev

import msgspec
import numpy as np
import pytest
import talib
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from engine.types import Candle
from indicators import (
    Array,
    Indicator,
    IndicatorError,
    IndicatorInfo,
    batch,
    catalog,
    create,
    spec,
)
from tests.examples import examples

NAMES = list(catalog())
OWN = [name for name, info in catalog().items() if info.origin == "chorus"]
TALIB = [name for name in NAMES if name not in OWN]
FIELDS = ("open", "high", "low", "close", "volume")
Markets = dict[str, list[Candle]]


def columns(bars: Sequence[Candle]) -> dict[str, Array]:
    names = (*FIELDS, "open_time")
    return {name: np.array([float(getattr(bar, name)) for bar in bars]) for name in names}


def row(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def stream(indicator: Indicator, bars: Sequence[Candle]) -> Array:
    """Return what streaming gives, one row per output."""
    values = [row(indicator.update(bar)) for bar in bars]
    return np.array(values, dtype=np.float64).T


def same_bits(a: Array, b: Array) -> bool:
    """Tell whether arrays are equal bit for bit; the one freedom is which NaN."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    equal = (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
    return a.shape == b.shape and bool(equal.all())


def direct(info: IndicatorInfo, bars: Sequence[Candle]) -> Array:
    """Call TA-Lib's Function API itself, past everything of ours."""
    given_columns = columns(bars)
    inputs = [given_columns[item.default] for item in info.inputs]
    result = getattr(talib, info.name.upper())(*inputs)
    return np.array(result if isinstance(result, tuple) else [result], dtype=np.float64)


def require_batch(name: str, markets: Markets) -> None:
    wanted = spec(name)
    for market, bars in markets.items():
        streamed = stream(create(wanted), bars)
        assert same_bits(streamed, np.array(batch(wanted, columns(bars)))), (name, market)
        # The batch of a prefix ends as the stream stood: batch looks at no later candle.
        warmup = create(wanted).warmup
        for end in {1, warmup - 1, warmup, warmup + 1, 2 * warmup, len(bars) - 1} & set(
            range(1, len(bars))
        ):
            prefix = np.array(batch(wanted, columns(bars[:end])))
            assert same_bits(prefix, streamed[:, :end]), (name, market, end)


@pytest.mark.parametrize("name", NAMES)
def test_streaming_is_bit_identical_to_batch_on_every_prefix(name: str, usual: Markets) -> None:
    require_batch(name, usual)


@pytest.mark.slow
def test_streaming_is_bit_identical_to_batch_on_every_prefix_of_any_market(
    unusual: Markets,
) -> None:
    for name in NAMES:
        require_batch(name, unusual)


def require_talib(name: str, markets: Markets) -> None:
    info = catalog()[name]
    for market, bars in markets.items():
        indicator = create(spec(name))
        streamed = stream(indicator, bars)
        assert indicator.ready
        expected = direct(info, bars)
        expected[:, : indicator.warmup - 1] = math.nan  # TA-Lib has 0 in integer outputs there
        assert same_bits(streamed, expected), (name, market)


@pytest.mark.parametrize("name", TALIB)
def test_streaming_is_bit_identical_to_talib_itself(name: str, usual: Markets) -> None:
    require_talib(name, usual)


@pytest.mark.slow
def test_streaming_is_bit_identical_to_talib_itself_on_any_market(unusual: Markets) -> None:
    for name in TALIB:
        require_talib(name, unusual)


@pytest.mark.parametrize("name", NAMES)
def test_warmup_is_when_the_first_value_comes(name: str, markets: Markets) -> None:
    indicator = create(spec(name))
    bars = markets["walk"]
    blank = (math.nan,) * len(indicator.outputs)
    assert np.isnan(row(indicator.value)).all()
    assert indicator.anchor is None
    for bar in bars[: indicator.warmup - 1]:
        assert repr(row(indicator.update(bar))) == repr(blank)
        assert not indicator.ready
    value = indicator.update(bars[indicator.warmup - 1])
    assert indicator.ready
    assert repr(indicator.value) == repr(value)
    assert indicator.anchor == bars[0].seq
    # The inverse functions are undefined (NaN) for prices above 1.
    assert name in {"acos", "asin"} or not np.isnan(row(value)).all()


def require_reopened(name: str, markets: Markets) -> None:
    wanted = spec(name)
    for market, bars in markets.items():
        whole = stream(create(wanted), bars)
        warmup = create(wanted).warmup
        for cut in (max(1, warmup - 1), warmup, 200):
            reopened = create(wanted)
            reopened.reopen(bars[:cut])
            assert reopened.anchor == bars[0].seq
            assert same_bits(np.array(row(reopened.value), np.float64), whole[:, cut - 1])
            assert same_bits(stream(reopened, bars[cut:]), whole[:, cut:]), (name, market, cut)


@pytest.mark.parametrize("name", NAMES)
def test_reopened_indicators_continue_bit_identically(name: str, markets: Markets) -> None:
    require_reopened(name, {"flat, then walk": markets["flat, then walk"]})


@pytest.mark.slow
def test_reopened_indicators_continue_bit_identically_on_other_markets(markets: Markets) -> None:
    for name in NAMES:
        require_reopened(name, {market: markets[market] for market in ("walk", "no volume")})


@pytest.mark.parametrize("name", NAMES)
def test_peek_equals_the_next_update_and_commits_nothing(name: str, markets: Markets) -> None:
    bars = markets["walk"][:160]
    strange = markets["coarse ticks"]
    indicator = create(spec(name))
    expected = stream(create(spec(name)), bars)
    for i, bar in enumerate(bars):
        before = repr(indicator.value)
        indicator.peek(strange[i])
        peeked = np.array(row(indicator.peek(bar)), np.float64)
        assert same_bits(peeked, expected[:, i]), i
        assert repr(indicator.value) == before
        indicator.update(bar)
    assert same_bits(np.array(row(indicator.value), np.float64), expected[:, -1])


@pytest.mark.parametrize("name", NAMES)
def test_non_finite_candles_are_refused_and_change_nothing(name: str, markets: Markets) -> None:
    bars = markets["walk"][:140]
    expected = stream(create(spec(name)), bars)
    indicator = create(spec(name))
    rng = random.Random(name)
    values = []
    for number, bar in enumerate(bars):
        if number % 5 == 0:
            bad = {rng.choice(FIELDS): rng.choice([math.nan, math.inf, -math.inf, 1e300])}
            spoiled = msgspec.structs.replace(bar, **bad)
            before = (repr(indicator.value), indicator.anchor, indicator.ready)
            with pytest.raises(IndicatorError, match="must be finite"):
                indicator.update(spoiled)
            with pytest.raises(IndicatorError, match="must be finite"):
                indicator.peek(spoiled)
            with pytest.raises(IndicatorError, match="must be finite"):
                indicator.reopen([bar, spoiled])
            assert (repr(indicator.value), indicator.anchor, indicator.ready) == before
        values.append(row(indicator.update(bar)))
    assert same_bits(np.array(values, np.float64).T, expected)


@pytest.mark.parametrize("name", [n for n in NAMES if catalog()[n].parameters])
def test_parameters_out_of_range_are_refused(name: str) -> None:
    info = catalog()[name]
    others = {p.name: p.maximum for p in info.parameters if p.name.startswith("max")}
    for parameter in info.parameters:
        bad: list[object] = ["no such", None, True, math.nan, [3]]
        if parameter.choices:
            bad += [-1, len(parameter.choices)]
            good: list[object] = [*parameter.choices, *parameter.numbers]
        else:
            assert parameter.minimum is not None
            assert parameter.maximum is not None
            integral = isinstance(parameter.default, int)
            step = 1 if integral else 1e-9 + abs(parameter.maximum) * 1e-9
            bad += [parameter.minimum - step, parameter.maximum + step, math.inf]
            bad += [parameter.default + 0.5] if integral else []
            good = [parameter.minimum, parameter.maximum, parameter.default]
        for value in bad:
            with pytest.raises(IndicatorError, match=rf"{info.name}.*{parameter.name} must be"):
                spec(name, {parameter.name: value})
        for value in good:
            spec(name, {**others, parameter.name: value})


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_is_draft_7_and_describes_the_defaults(name: str) -> None:
    info = catalog()[name]
    Draft7Validator.check_schema(info.schema)
    validator = Draft7Validator(info.schema)
    assert validator.is_valid(spec(name).params)
    assert validator.is_valid({})
    assert not validator.is_valid({"no_such_parameter": 1})


@pytest.mark.parametrize("name", NAMES)
def test_entries_describe_themselves(name: str) -> None:
    info = catalog()[name]
    assert info.name == name == name.lower()
    assert info.title
    assert info.description.endswith(".")
    assert info.group
    assert len(set(info.outputs)) == len(info.outputs) > 0
    assert spec(name, source=info.default_source) == spec(name)


# --- data made by hypothesis -------------------------------------------------------------------

MAGNITUDES = (1e-8, 0.1, 1.0, 100.0, 1e12)


@st.composite
def made_candles(draw: st.DrawFn, size: int) -> list[Candle]:
    """Valid candles: runs of flat prices, jumps, zero volume, one magnitude."""
    scale = draw(st.sampled_from(MAGNITUDES))
    steps = st.one_of(st.just(0), st.integers(-3, 3), st.integers(-1000, 1000))
    rows = draw(
        st.lists(
            st.tuples(steps, steps, st.integers(0, 50), st.integers(0, 50), st.integers(0, 9)),
            min_size=size,
            max_size=size,
        )
    )
    bars = []
    for i, (first, last, above, below, volume) in enumerate(rows):
        o, c = 5000 + first, 5000 + last
        prices = [scale * x / 1000 for x in (o, max(o, c) + above, min(o, c) - below, c)]
        bars.append(Candle("paper:X:1h", i, i * 3_600_000, (i + 1) * 3_600_000, *prices, volume))
    return bars


@examples(15, suppress_health_check=list(HealthCheck))
@given(bars=made_candles(80))
def test_streaming_equals_batch_on_any_candles(bars: list[Candle]) -> None:
    arrays = columns(bars)
    for name in NAMES:
        wanted = spec(name)
        assert same_bits(stream(create(wanted), bars), np.array(batch(wanted, arrays))), name


@examples(150, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_streaming_equals_batch_with_any_parameters(data: st.DataObject) -> None:
    info = catalog()[data.draw(st.sampled_from([n for n in NAMES if catalog()[n].parameters]))]
    params: dict[str, object] = {}
    for p in info.parameters:
        if p.choices:
            params[p.name] = data.draw(st.sampled_from(p.choices), p.name)
        elif isinstance(p.default, int):
            params[p.name] = data.draw(st.integers(int(p.minimum or 0), 20), p.name)
        else:
            low, high = max(p.minimum or 0.0, -5.0), min(p.maximum or 0.0, 5.0)
            params[p.name] = data.draw(st.floats(low, high), p.name)
    if info.name == "mavp":
        params["maxperiod"] = params["minperiod"] + 10  # type: ignore[operator]
    wanted = spec(info.name, params)
    bars = data.draw(made_candles(60))
    assert same_bits(stream(create(wanted), bars), np.array(batch(wanted, columns(bars))))
    reopened = create(wanted)
    reopened.reopen(bars[:40])
    assert same_bits(stream(reopened, bars[40:]), stream(create(wanted), bars)[:, 40:])


# --- oracles for our own -----------------------------------------------------------------------

Rows = list[tuple[float, ...]]


def ema_of(values: list[float], period: int) -> list[float]:
    out = [math.nan] * len(values)
    for i in range(period - 1, len(values)):
        if i == period - 1:
            out[i] = fmean(values[:period])
        else:
            out[i] = out[i - 1] + (values[i] - out[i - 1]) * 2.0 / (period + 1)
    return out


def wilder_of(values: list[float], period: int, first: int) -> list[float]:
    """Average the `period` values from `first` on, then move 1/period of the way to each new."""
    out = [math.nan] * len(values)
    for i in range(first + period - 1, len(values)):
        if i == first + period - 1:
            out[i] = fmean(values[first : first + period])
        else:
            out[i] = (out[i - 1] * (period - 1) + values[i]) / period
    return out


def sma_of(values: list[float], period: int) -> list[float]:
    return [
        fmean(values[i - period + 1 : i + 1]) if i >= period - 1 else math.nan
        for i in range(len(values))
    ]


def keltner_oracle(bars: list[Candle]) -> Rows:
    ranges = [0.0] + [
        max(b.high - b.low, abs(b.high - a.close), abs(b.low - a.close)) for a, b in pairwise(bars)
    ]
    atr = wilder_of(ranges, 10, 1)
    middle = ema_of([bar.close for bar in bars], 20)
    return [(m + 2 * a, m, m - 2 * a) for m, a in zip(middle, atr, strict=True)]


def ichimoku_oracle(bars: list[Candle]) -> Rows:
    def midpoint(i: int, period: int) -> float:
        window = bars[i - period + 1 : i + 1]
        return (max(b.high for b in window) + min(b.low for b in window)) / 2

    rows: Rows = []
    for i in range(len(bars)):
        if i < 52 - 1 + 26:
            rows.append((math.nan,) * 6)
            continue
        tenkan, kijun, before = midpoint(i, 9), midpoint(i, 26), i - 26
        span_a = (midpoint(before, 9) + midpoint(before, 26)) / 2
        lead_a = (tenkan + kijun) / 2
        rows.append((tenkan, kijun, span_a, midpoint(before, 52), lead_a, midpoint(i, 52)))
    return rows


def session_vwap_oracle(bars: list[Candle]) -> Rows:
    rows: Rows = []
    for i, bar in enumerate(bars):
        day = bar.open_time - bar.open_time % 86_400_000
        session = [b for b in bars[: i + 1] if b.open_time >= day]
        volume = math.fsum(b.volume for b in session)
        traded = math.fsum((b.high + b.low + b.close) / 3 * b.volume for b in session)
        rows.append((traded / volume if volume else math.nan,))
    return rows


def rolling_vwap_oracle(bars: list[Candle]) -> Rows:
    rows: Rows = [(math.nan,)] * 19
    for i in range(19, len(bars)):
        window = bars[i - 19 : i + 1]
        volume = math.fsum(b.volume for b in window)
        traded = math.fsum((b.high + b.low + b.close) / 3 * b.volume for b in window)
        rows.append((traded / volume if volume else math.nan,))
    return rows


def smooth_stochrsi_oracle(bars: list[Candle]) -> Rows:
    closes = [bar.close for bar in bars]
    moves = [0.0] + [b - a for a, b in pairwise(closes)]
    up = wilder_of([max(move, 0.0) for move in moves], 14, 1)
    down = wilder_of([max(-move, 0.0) for move in moves], 14, 1)
    rsi = [100 * u / (u + d) if u + d else 0.0 for u, d in zip(up, down, strict=True)][14:]
    raw = []
    for i in range(13, len(rsi)):
        low, high = min(rsi[i - 13 : i + 1]), max(rsi[i - 13 : i + 1])
        raw.append(100 * (rsi[i] - low) / (high - low) if high - low > 1e-9 else 0.0)
    k = sma_of(raw, 3)
    d = [math.nan] * 2 + sma_of(k[2:], 3)
    blank: Rows = [(math.nan, math.nan)] * (14 + 13)
    return blank + [(b if math.isnan(b) else a, b) for a, b in zip(k, d, strict=True)]


def zscore_oracle(values: list[float]) -> Rows:
    rows: Rows = [(math.nan,)] * 19
    for i in range(19, len(values)):
        window = values[i - 19 : i + 1]
        flat = max(window) == min(window)
        rows.append((math.nan if flat else (values[i] - fmean(window)) / pstdev(window),))
    return rows


def streak_oracle(bars: list[Candle]) -> Rows:
    rows: Rows = [(math.nan,)]
    closes = [bar.close for bar in bars]
    for i in range(1, len(closes)):
        sign = (closes[i] > closes[i - 1]) - (closes[i] < closes[i - 1])
        length = 0
        while sign and i - length > 0:
            a, b = closes[i - length - 1], closes[i - length]
            if (b > a) - (b < a) != sign:
                break
            length += 1
        rows.append((float(sign * length),))
    return rows


ORACLES: dict[str, Callable[[list[Candle]], Rows]] = {
    "keltner": keltner_oracle,
    "ichimoku": ichimoku_oracle,
    "session_vwap": session_vwap_oracle,
    "rolling_vwap": rolling_vwap_oracle,
    "smooth_stochrsi": smooth_stochrsi_oracle,
    "zscore": lambda bars: zscore_oracle([bar.close for bar in bars]),
    "volume_zscore": lambda bars: zscore_oracle([bar.volume for bar in bars]),
    "streak": streak_oracle,
}


RANGES = {"smooth_stochrsi": 100.0}
"""What 1e-9 relates to where an output passes through 0: the range of the output."""


@pytest.mark.parametrize("name", OWN)
def test_our_own_agree_with_an_independent_oracle(name: str, markets: Markets) -> None:
    for market, bars in markets.items():
        expected = np.array(ORACLES[name](bars)).T
        streamed = stream(create(spec(name)), bars)
        assert np.array_equal(np.isnan(streamed), np.isnan(expected)), market
        atol = 1e-9 * RANGES.get(name, 0.0)
        close = np.isclose(streamed, expected, rtol=1e-9, atol=atol, equal_nan=True)
        assert close.all(), (market, np.flatnonzero(~close.all(axis=0))[:5])
