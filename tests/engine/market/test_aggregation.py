"""Aggregation: exact against a naive oracle, streaming and columnar bit-equal."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError, DataError
from engine.market.aggregation import CandleAggregator, aggregate_columns
from engine.market.columns import CandleColumns
from engine.timeframes import TIMEFRAMES, divides, timeframe_ms
from engine.types import Candle
from tests.examples import examples

PAIRS = [
    (small, large)
    for small in TIMEFRAMES
    for large in TIMEFRAMES
    if small != large and divides(small, large)
]


def candles_at(indices: list[int], small: str, seed: int) -> list[Candle]:
    rng = np.random.default_rng(seed)
    length = timeframe_ms(small)
    result = []
    for seq, index in enumerate(indices):
        low, middle, other, high = np.sort(rng.uniform(0.001, 1000.0, 4)).tolist()
        open_, close = (middle, other) if rng.random() < 0.5 else (other, middle)
        volume = float(rng.exponential(10.0 ** float(rng.integers(-6, 7))))
        start = index * length
        result.append(
            Candle(f"p:A/B:{small}", seq, start, start + length, open_, high, low, close, volume)
        )
    return result


def as_columns(candles: list[Candle], small: str) -> CandleColumns:
    def column(name: str, dtype: Any) -> Any:
        return np.array([getattr(candle, name) for candle in candles], dtype=dtype)

    return CandleColumns(
        timeframe_ms(small),
        column("open_time", np.int64),
        *(column(name, np.float64) for name in ("open", "high", "low", "close", "volume")),
        gap=column("gap", np.int64),
    )


def streamed(candles: list[Candle], small: str, large: str) -> list[tuple[int, Candle]]:
    """Return every larger candle with the close time of the part that closed it."""
    aggregator = CandleAggregator(f"p:A/B:{small}", f"p:A/B:{large}")
    return [(part.close_time, closed) for part in candles for closed in aggregator.update(part)]


def columnar(candles: list[Candle], small: str, large: str) -> list[tuple[int, Candle]]:
    columns, known = aggregate_columns(as_columns(candles, small), large)
    rows = zip(
        known.tolist(),
        columns.open_time.tolist(),
        columns.close_time.tolist(),
        columns.open.tolist(),
        columns.high.tolist(),
        columns.low.tolist(),
        columns.close.tolist(),
        columns.volume.tolist(),
        columns.gap.tolist(),
        strict=True,
    )
    return [
        (when, Candle(f"p:A/B:{large}", seq, *values)) for seq, (when, *values) in enumerate(rows)
    ]


def oracle(candles: list[Candle], small: str, large: str) -> list[tuple[int, Candle]]:
    """Group by bucket in the plainest way; drop the last bucket if it has not ended."""
    length, parts = timeframe_ms(large), timeframe_ms(large) // timeframe_ms(small)
    buckets: dict[int, list[Candle]] = {}
    for candle in candles:
        buckets.setdefault(candle.open_time // length * length, []).append(candle)
    result = []
    starts = list(buckets)
    for position, start in enumerate(starts):
        members = buckets[start]
        end = start + length
        if members[-1].close_time == end:
            known = end
        elif position + 1 < len(starts):
            known = buckets[starts[position + 1]][0].close_time
        else:
            continue
        volume = 0.0
        for member in members:
            volume += member.volume
        result.append(
            (
                known,
                Candle(
                    f"p:A/B:{large}",
                    len(result),
                    start,
                    end,
                    members[0].open,
                    max(member.high for member in members),
                    min(member.low for member in members),
                    members[-1].close,
                    volume,
                    parts - len(members),
                ),
            )
        )
    return result


def bits(rows: list[tuple[int, Candle]]) -> list[tuple[Any, ...]]:
    """Make floats comparable bit by bit (0.0 and -0.0 differ)."""
    return [
        (
            known,
            candle.stream,
            candle.seq,
            candle.open_time,
            candle.close_time,
            struct.pack("5d", candle.open, candle.high, candle.low, candle.close, candle.volume),
            candle.gap,
        )
        for known, candle in rows
    ]


index_lists = st.builds(
    lambda start, steps: np.cumsum([start, *steps]).tolist(),
    st.integers(0, 3000),
    st.lists(st.sampled_from([1] * 12 + [2, 3, 7, 40, 1500]), max_size=120),
)


@examples(200)
@given(index_lists, st.sampled_from(PAIRS), st.integers(0, 2**32 - 1))
def test_both_twins_equal_the_oracle_bit_by_bit(
    indices: list[int], pair: tuple[str, str], seed: int
) -> None:
    candles = candles_at(indices, pair[0], seed)
    expected = bits(oracle(candles, *pair))
    assert bits(streamed(candles, *pair)) == expected
    assert bits(columnar(candles, *pair)) == expected


@pytest.mark.parametrize("large", ["3m", "1h", "1d"])
def test_both_twins_agree_on_a_long_whole_stream(large: str) -> None:
    candles = candles_at(list(range(3 * 1440 + 17)), "1m", seed=5)
    expected = bits(oracle(candles, "1m", large))
    assert len(expected) == (3 * 1440 + 17) // TIMEFRAMES[large]
    assert bits(streamed(candles, "1m", large)) == expected
    assert bits(columnar(candles, "1m", large)) == expected


def test_a_candle_closes_only_with_its_last_part() -> None:
    aggregator = CandleAggregator("p:A/B:1m", "p:A/B:5m")
    parts = candles_at([0, 1, 2, 3, 4], "1m", seed=1)
    assert [len(aggregator.update(part)) for part in parts] == [0, 0, 0, 0, 1]


def test_a_missing_last_part_lets_the_next_bucket_close_it_with_its_gap() -> None:
    rows = streamed(candles_at([0, 1, 2, 6], "1m", seed=1), "1m", "5m")
    assert [(known, candle.open_time, candle.gap) for known, candle in rows] == [(7 * 60_000, 0, 2)]


def test_one_part_may_close_a_late_candle_and_its_own() -> None:
    rows = streamed(candles_at([3, 9], "1m", seed=1), "1m", "5m")
    assert [(known, candle.open_time, candle.gap) for known, candle in rows] == [
        (10 * 60_000, 0, 4),
        (10 * 60_000, 5 * 60_000, 4),
    ]


def test_a_first_partial_bucket_is_emitted_with_its_gap() -> None:
    rows = streamed(candles_at([3, 4], "1m", seed=1), "1m", "5m")
    assert [candle.gap for _, candle in rows] == [3]


def test_an_unfinished_last_bucket_is_never_emitted() -> None:
    assert streamed(candles_at([0, 1, 2, 3], "1m", seed=1), "1m", "5m") == []
    assert columnar(candles_at([0, 1, 2, 3], "1m", seed=1), "1m", "5m") == []


def test_an_empty_stream_aggregates_to_an_empty_one() -> None:
    columns, known = aggregate_columns(as_columns([], "1m"), "1h")
    assert len(columns) == len(known) == 0
    assert columns.timeframe_ms == timeframe_ms("1h")


def test_volume_is_added_from_left_to_right() -> None:
    # 1e16 + 1 + 1 stays 1e16 when added in order; in pairs it would not.
    parts = [
        Candle("p:A/B:1m", i, i * 60_000, (i + 1) * 60_000, 1.0, 1.0, 1.0, 1.0, volume)
        for i, volume in enumerate([1e16] + [1.0] * 29)
    ]
    assert streamed(parts, "1m", "30m")[0][1].volume == 1e16
    assert columnar(parts, "1m", "30m")[0][1].volume == 1e16


def test_no_volume_is_plus_zero_in_both_twins() -> None:
    parts = [
        Candle("p:A/B:1m", i, i * 60_000, (i + 1) * 60_000, 1.0, 1.0, 1.0, 1.0, -0.0)
        for i in range(3)
    ]
    assert str(streamed(parts, "1m", "3m")[0][1].volume) == "0.0"
    assert bits(streamed(parts, "1m", "3m")) == bits(columnar(parts, "1m", "3m"))


def test_a_timeframe_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="'10m' cannot be put together from '3m'"):
        CandleAggregator("p:A/B:3m", "p:A/B:10m")
    with pytest.raises(ConfigError, match="'10m' is not a multiple"):
        aggregate_columns(as_columns([], "3m"), "10m")


def test_parts_that_go_back_or_have_another_length_are_refused() -> None:
    aggregator = CandleAggregator("p:A/B:1m", "p:A/B:5m")
    first, second = candles_at([1, 2], "1m", seed=1)
    aggregator.update(second)
    with pytest.raises(DataError, match="ascending order"):
        aggregator.update(first)
    with pytest.raises(DataError, match="ascending order"):
        aggregator.update(second)
    with pytest.raises(DataError, match="needs candles of 60000 ms"):
        aggregator.update(candles_at([9], "5m", seed=1)[0])


def test_numbering_goes_on_where_a_stream_is_continued() -> None:
    aggregator = CandleAggregator("p:A/B:1m", "p:A/B:3m", next_seq=4)
    closed = [c for part in candles_at([0, 1, 2], "1m", 1) for c in aggregator.update(part)]
    assert [candle.seq for candle in closed] == [4]
