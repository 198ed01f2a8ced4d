"""The merge: one order of time, whatever the streams; iterating again gives the same."""

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import MarketConfig, SyntheticConfig, SyntheticSymbol
from engine.errors import DataError
from engine.market import open_market
from engine.market import timeline as timeline_module
from engine.market.aggregation import aggregate_columns
from engine.market.columns import CandleColumns
from engine.market.timeline import Timeline, TimelineStream
from engine.timeframes import TIMEFRAMES, timeframe_ms
from engine.types import Candle, MarketSlice, StreamId
from tests.examples import examples


def columns_at(indices: list[int], timeframe: str, seed: int = 0) -> CandleColumns:
    length = timeframe_ms(timeframe)
    opens = np.array(indices, dtype=np.int64) * length
    prices = np.sort(np.random.default_rng(seed).uniform(1.0, 9.0, (len(opens), 4)), axis=1)
    gap = np.zeros(len(opens), dtype=np.int64)
    gap[1:] = np.diff(opens) // length - 1
    return CandleColumns(
        length,
        opens,
        prices[:, 1].copy(),
        prices[:, 3].copy(),
        prices[:, 0].copy(),
        prices[:, 2].copy(),
        prices[:, 1] * 3,
        gap,
    )


def stream_of(name: str, columns: CandleColumns) -> TimelineStream:
    return TimelineStream(name, columns, columns.close_time)


def oracle(streams: list[TimelineStream]) -> list[MarketSlice]:
    """Sort all candles one by one by the documented key and group by when they were known."""
    entries = []
    for stream, columns, known in streams:
        for seq, when in enumerate(known.tolist()):
            candle = Candle(
                stream,
                seq,
                int(columns.open_time[seq]),
                int(columns.close_time[seq]),
                float(columns.open[seq]),
                float(columns.high[seq]),
                float(columns.low[seq]),
                float(columns.close[seq]),
                float(columns.volume[seq]),
                int(columns.gap[seq]),
            )
            minutes = TIMEFRAMES[StreamId.parse(stream).timeframe]
            entries.append(((when, candle.close_time, minutes, stream), candle))
    entries.sort(key=lambda entry: entry[0])
    return [
        MarketSlice(number, when, tuple(candle for _, candle in group))
        for number, (when, group) in enumerate(groupby(entries, key=lambda e: e[0][0]))
    ]


index_lists = st.lists(st.integers(0, 60), unique=True, max_size=40).map(sorted)
markets = st.lists(
    st.tuples(
        st.sampled_from(["p:A/B:1m", "p:C/B:1m", "p:A/B:3m", "p:B/B:5m", "p:A/B:15m"]),
        index_lists,
    ),
    max_size=5,
    unique_by=lambda pair: pair[0],
)


@examples(150)
@given(markets, st.integers(1, 7), st.integers(0, 30))
def test_slices_equal_the_oracle_in_chunks_of_any_size_from_any_start(
    market: list[tuple[str, list[int]]], chunk: int, start: int
) -> None:
    streams = [
        stream_of(name, columns_at(indices, StreamId.parse(name).timeframe, seed))
        for seed, (name, indices) in enumerate(market)
    ]
    expected = oracle(streams)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline_module, "_CHUNK_CANDLES", chunk)
        timeline = Timeline(streams)
        assert list(timeline.slices()) == expected
        assert list(timeline.slices(start)) == expected[start:]
    assert timeline.total_slices == len(expected)
    assert timeline.total_candles == sum(len(s.candles) for s in expected)
    for name, indices in market:
        assert timeline.count(name) == len(indices)
        everything = [(s.number, c) for s in expected for c in s.candles if c.stream == name]
        assert timeline.history(name) == everything
        assert timeline.history(name, start, 3) == everything[start : start + 3]


@examples(100)
@given(index_lists, st.integers(1, 9))
def test_aggregated_candles_closed_late_come_in_the_slice_that_closed_them(
    indices: list[int], chunk: int
) -> None:
    base = columns_at(indices, "1m")
    streams = [stream_of("p:A/B:1m", base)]
    streams += [
        TimelineStream(f"p:A/B:{large}", *aggregate_columns(base, large)) for large in ("5m", "15m")
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline_module, "_CHUNK_CANDLES", chunk)
        slices = list(Timeline(streams).slices())
    assert slices == oracle(streams)
    assert len(slices) == len(indices)  # aggregates bring no slice of their own
    for market_slice in slices:
        keys = [(c.close_time, TIMEFRAMES[c.stream[6:]], c.stream) for c in market_slice.candles]
        assert keys == sorted(keys)
        assert keys[-1][0] == market_slice.time or market_slice.time in [k[0] for k in keys]
        assert all(key[0] <= market_slice.time for key in keys)


def test_a_slice_holds_all_that_became_known_at_once() -> None:
    slices = list(
        Timeline(
            [
                stream_of("p:Z/B:1m", columns_at([0, 1, 2, 3, 4], "1m")),
                stream_of("p:A/B:5m", columns_at([0], "5m")),
                stream_of("p:A/B:1m", columns_at([4], "1m")),
            ]
        ).slices()
    )
    assert [s.number for s in slices] == [0, 1, 2, 3, 4]
    assert [c.stream for c in slices[4].candles] == ["p:A/B:1m", "p:Z/B:1m", "p:A/B:5m"]


def test_the_order_does_not_depend_on_who_asked_first() -> None:
    streams = [
        stream_of(f"p:{name}/B:1m", columns_at([0, 1, 2], "1m", seed))
        for seed, name in enumerate("CAB")
    ]
    assert list(Timeline(streams).slices()) == list(Timeline(streams[::-1]).slices())


def test_values_are_plain_python_numbers() -> None:
    timeline = Timeline([stream_of("p:A/B:1m", columns_at([0, 5], "1m"))])
    for market_slice in timeline.slices():
        assert type(market_slice.number) is type(market_slice.time) is int
        assert type(market_slice.candles) is tuple
        (candle,) = market_slice.candles
        kinds: list[Any] = [type(getattr(candle, field)) for field in Candle.__struct_fields__]
        assert kinds == [str, int, int, int, float, float, float, float, float, int]


def test_two_iterations_at_once_do_not_disturb_each_other() -> None:
    timeline = Timeline([stream_of("p:A/B:1m", columns_at(list(range(50)), "1m"))])
    one, other = timeline.slices(), timeline.slices()
    next(one)
    assert [s.number for s in other] == list(range(50))
    assert [s.number for s in one] == list(range(1, 50))


def test_nothing_to_play_is_an_empty_market() -> None:
    assert list(Timeline([]).slices()) == []
    assert Timeline([]).total_slices == 0
    empty = Timeline([stream_of("p:A/B:1m", columns_at([], "1m"))])
    assert list(empty.slices()) == []
    assert empty.history("p:A/B:1m") == []


def test_what_is_not_there_is_refused() -> None:
    timeline = Timeline([stream_of("p:A/B:1m", columns_at([0], "1m"))])
    with pytest.raises(DataError, match="start at 0, asked from -1"):
        timeline.slices(-1)
    with pytest.raises(DataError, match="seq starts at 0, asked from -1"):
        timeline.history("p:A/B:1m", -1)
    with pytest.raises(DataError, match="'p:X/B:1m' is not played; played: p:A/B:1m"):
        timeline.history("p:X/B:1m")


@given(
    published=st.integers(-1, 400),
    limit=st.integers(1, 50),
    before=st.none() | st.integers(-1, 300),
)
@examples(60)
def test_the_newest_are_the_last_of_what_was_published(
    published: int, limit: int, before: int | None
) -> None:
    market = open_market(
        MarketConfig(
            synthetic=SyntheticConfig(symbols=(SyntheticSymbol(symbol="A/B"),), candles=90)
        ),
        ["paper:A/B:1m", "paper:A/B:15m"],
    )
    start = market.history("paper:A/B:1m")[0][1].open_time
    before_ms = None if before is None else start + before * 60_000
    for stream in market.streams:
        all_of_it = [
            candle
            for number, candle in market.history(stream)
            if number <= published and (before_ms is None or candle.open_time < before_ms)
        ]
        found = market.newest(stream, limit, published=published, before_ms=before_ms)
        assert found == all_of_it[-limit:]
        known = [each for each in market.history(stream) if each[0] <= published]
        assert market.history(stream, 3, limit, published=published) == known[3 : 3 + limit]
