from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import pytest

from engine.types import Candle
from indicators import create, spec

Walk = Callable[..., list[Candle]]

DAY_MS = 86_400_000


def test_keltner_is_blank_until_both_its_parts_are_ready(walk: Walk) -> None:
    slow_atr = create(spec("keltner", {"timeperiod": 2, "atrperiod": 9}))
    for i, bar in enumerate(walk(20), start=1):
        value = slow_atr.update(bar)
        assert isinstance(value, tuple)
        assert [math.isnan(x) for x in value] == [i < 10] * 3
        assert slow_atr.ready == (i >= 10 == slow_atr.warmup)
    upper, middle, lower = value
    assert upper - middle == pytest.approx(middle - lower)


def test_keltner_reads_the_price_it_is_told(walk: Walk) -> None:
    on_open = create(spec("keltner", {"period": 5}, "open"))
    ema = create(spec("ema", {"period": 5}, "open"))
    for bar in walk(30):
        value, expected = on_open.update(bar), ema.update(bar)
    assert isinstance(value, tuple)
    assert value[1] == expected


def test_an_undisplaced_cloud_is_its_own_lead(walk: Walk) -> None:
    here = create(spec("ichimoku", {"displacement": 0}))
    for bar in walk(60):
        peeked = here.peek(bar)
        value = here.update(bar)
    assert isinstance(value, tuple)
    assert value == peeked
    assert value[2:4] == value[4:6]
    assert here.warmup == 52


def test_a_cloud_is_drawn_as_many_candles_ahead_as_displaced(walk: Walk) -> None:
    cloud = create(spec("ichimoku", {"displacement": 4}))
    values = [cloud.update(bar) for bar in walk(80)]
    for before, now in zip(values[55:], values[59:], strict=False):
        assert isinstance(before, tuple)
        assert isinstance(now, tuple)
        assert now[2:4] == before[4:6]


def test_a_session_begins_at_midnight_utc(
    candles: Callable[[list[tuple[float, ...]]], list[Candle]],
) -> None:
    made = candles(
        [(1.0, 1.0, 1.0, 1.0, 1.0), (4.0, 4.0, 4.0, 4.0, 3.0), (9.0, 9.0, 9.0, 9.0, 2.0)]
    )
    times = [DAY_MS - 2, DAY_MS - 1, DAY_MS]
    bars = [
        msgspec.structs.replace(bar, open_time=time) for bar, time in zip(made, times, strict=True)
    ]
    vwap = create(spec("session_vwap"))
    assert [vwap.update(bar) for bar in bars] == [1.0, (1.0 + 12.0) / 4.0, 9.0]


def test_averages_weighted_by_volume_are_undefined_without_volume(
    candles: Callable[[list[tuple[float, ...]]], list[Candle]],
) -> None:
    rows = [(5.0, 5.0, 5.0, 5.0, volume) for volume in (0.0, 0.1, 0.7, 0.0, 0.0, 0.0)]
    session, rolling = create(spec("session_vwap")), create(spec("rolling_vwap", {"period": 2}))
    seen = [(session.update(bar), rolling.update(bar)) for bar in candles(rows)]
    assert [math.isnan(value) for value, _ in seen] == [True] + [False] * 5  # type: ignore[arg-type]
    # 0.1 + 0.7 - 0.1 - 0.7 is not 0 in floats; nothing of it may remain.
    assert [math.isnan(value) for _, value in seen] == [True, False, False, False, True, True]  # type: ignore[arg-type]


def test_smooth_stochrsi_rests_on_flat_prices(
    candles: Callable[[list[tuple[float, ...]]], list[Candle]], walk: Walk
) -> None:
    flat = [(50.1, 50.1, 50.1, 50.1, 1.0)] * 40
    rows = [(b.open, b.high, b.low, b.close, b.volume) for b in walk(60)]
    stochrsi = create(spec("smooth_stochrsi"))
    for bar in candles(rows + flat):
        value = stochrsi.update(bar)
    assert value == pytest.approx((0.0, 0.0), abs=1e-9)


def test_a_streak_counts_moves_in_one_direction(
    candles: Callable[[list[tuple[float, ...]]], list[Candle]],
) -> None:
    closes = [3.0, 4.0, 5.0, 5.0, 6.0, 5.0, 4.0, 3.0, 4.0]
    streak = create(spec("streak"))
    seen = [streak.update(bar) for bar in candles([(c, c, c, c, 1.0) for c in closes])]
    assert math.isnan(float(seen[0]))  # type: ignore[arg-type]
    assert seen[1:] == [1, 2, 0, 1, -1, -2, -3, 1]
    assert streak.warmup == 2
