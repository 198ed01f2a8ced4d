"""Logs: gap-free numbers, first write wins, bounded retention that never lies."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DataError
from engine.market.log import SliceLog, StreamLog
from engine.types import Candle, MarketSlice
from tests.examples import examples

ONE, TWO = "p:A/B:1m", "p:C/B:1m"


def candle(seq: int, *, at: int | None = None, close: float = 1.0, stream: str = ONE) -> Candle:
    start = (seq if at is None else at) * 60_000
    return Candle(stream, seq, start, start + 60_000, 1.0, close, 1.0, close, 1.0)


def market_slice(number: int, *candles: Candle) -> MarketSlice:
    return MarketSlice(number, candles[0].close_time, candles)


def test_what_was_appended_is_replayed_from_any_number() -> None:
    log = StreamLog(ONE)
    candles = [candle(seq) for seq in range(5)]
    assert all(log.append(c) for c in candles)
    assert (log.first, log.head) == (0, 5)
    assert log.replay(0) == candles
    assert log.replay(3) == candles[3:]
    assert log.replay(1, limit=2) == candles[1:3]
    assert log.replay(5) == []
    assert log.replay(99) == []


def test_the_first_write_of_an_interval_wins() -> None:
    log = StreamLog(ONE)
    log.append(candle(0, close=1.0))
    assert not log.append(candle(0, close=2.0))
    assert not log.append(candle(1, at=0, close=2.0))
    assert log.duplicates == 2
    assert [c.close for c in log.replay(0)] == [1.0]
    assert log.head == 1


@pytest.mark.parametrize("seq", [0, 2])
def test_a_new_candle_must_carry_the_next_number(seq: int) -> None:
    log = StreamLog(ONE)
    log.append(candle(0))
    with pytest.raises(DataError, match=f"must have seq 1, got {seq}"):
        log.append(candle(seq, at=7))
    assert log.head == 1


def test_a_candle_of_another_stream_is_refused() -> None:
    with pytest.raises(DataError, match="got a candle of 'p:C/B:1m'"):
        StreamLog(ONE).append(candle(0, stream=TWO))


def test_asking_for_what_was_dropped_is_an_error() -> None:
    log = StreamLog(ONE, retain=10)
    for seq in range(100):
        log.append(candle(seq))
    assert log.head == 100
    assert 10 <= log.head - log.first <= 20
    assert log.replay(90) == [candle(seq) for seq in range(90, 100)]
    with pytest.raises(DataError, match=f"seq 0 is not kept, the oldest is {log.first}"):
        log.replay(0)
    with pytest.raises(DataError, match="is not kept"):
        log.replay(log.first - 1)


def test_a_log_that_dropped_everything_still_knows_its_newest_candle() -> None:
    log = StreamLog(ONE)
    log.append(candle(0, at=5))
    log.drop_before(99)
    assert (log.first, log.head) == (1, 1)
    assert not log.append(candle(1, at=5))
    assert log.append(candle(1, at=6))


@pytest.mark.parametrize("retain", [0, -1])
def test_retention_must_keep_something(retain: int) -> None:
    with pytest.raises(DataError, match=f"retention must be 1 or more .* got {retain}"):
        StreamLog(ONE, retain=retain)
    with pytest.raises(DataError, match="slice log: retention"):
        SliceLog(retain=retain)


@examples(100)
@given(st.lists(st.integers(0, 30), max_size=60), st.none() | st.integers(1, 5))
def test_a_log_is_gap_free_whatever_arrives(opens: list[int], retain: int | None) -> None:
    log = StreamLog(ONE, retain=retain)
    recorded = []
    for at in opens:
        offered = candle(log.head, at=at)
        if log.append(offered):
            recorded.append(offered)
    assert log.duplicates == len(opens) - len(recorded)
    kept = log.replay(log.first)
    assert kept == recorded[log.first :]
    assert [c.seq for c in kept] == list(range(log.first, log.head))
    assert all(a.open_time < b.open_time for a, b in pairwise(recorded))
    if retain is not None:
        assert min(retain, len(recorded)) <= len(kept) <= 2 * retain


def test_slices_and_the_candles_of_a_stream_come_with_their_numbers() -> None:
    log = SliceLog()
    slices = [
        market_slice(0, candle(0), candle(0, stream=TWO)),
        market_slice(1, candle(0, stream="p:E/B:1m")),
        market_slice(2, candle(1)),
        market_slice(3, candle(1, stream=TWO)),
    ]
    assert all(log.append(s) for s in slices)
    assert log.streams == (ONE, TWO, "p:E/B:1m")
    assert log.replay(0) == slices
    assert log.replay(2) == slices[2:]
    assert log.replay(1, limit=1) == slices[1:2]
    assert log.candles(ONE, 0) == [(0, candle(0)), (2, candle(1))]
    assert log.candles(TWO, 1) == [(3, candle(1, stream=TWO))]
    assert log.candles(ONE, 0, limit=1) == [(0, candle(0))]
    assert log.candles(ONE, 2) == []
    assert log.candles("p:never/B:1m", 0) == []


def test_a_slice_that_was_logged_is_ignored_and_one_that_skips_is_refused() -> None:
    log = SliceLog()
    log.append(market_slice(0, candle(0)))
    assert not log.append(market_slice(0, candle(0, close=9.0)))
    assert log.replay(0)[0].candles[0].close == 1.0
    with pytest.raises(DataError, match="must have number 1, got 2"):
        log.append(market_slice(2, candle(1)))


@pytest.mark.parametrize("bad", [candle(2), candle(1, at=0), candle(0)])
def test_a_slice_with_a_candle_that_does_not_continue_is_not_logged_at_all(bad: Candle) -> None:
    log = SliceLog()
    log.append(market_slice(0, candle(0), candle(0, stream=TWO)))
    with pytest.raises(DataError, match="must have seq 1 and open after 0"):
        log.append(market_slice(1, candle(1, stream=TWO), bad))
    assert log.head == 1
    assert log.candles(TWO, 0) == [(0, candle(0, stream=TWO))]
    assert log.append(market_slice(1, candle(1, stream=TWO), candle(1)))


@examples(60)
@given(
    st.lists(st.lists(st.sampled_from([ONE, TWO]), min_size=1, max_size=4), max_size=40),
    st.integers(1, 6),
)
def test_bounded_slices_and_streams_forget_together(plan: list[list[str]], retain: int) -> None:
    bounded, whole = SliceLog(retain=retain), SliceLog()
    heads = {ONE: 0, TWO: 0}
    for number, streams in enumerate(plan):
        candles = []
        for stream in streams:
            candles.append(candle(heads[stream], stream=stream))
            heads[stream] += 1
        for log in (bounded, whole):
            log.append(market_slice(number, *candles))
    assert bounded.replay(bounded.first) == whole.replay(bounded.first)
    assert min(retain, len(plan)) <= bounded.head - bounded.first <= 2 * retain
    if bounded.first:
        with pytest.raises(DataError, match="is not kept"):
            bounded.replay(bounded.first - 1)
    for stream in whole.streams:
        everything = whole.candles(stream, 0)
        kept = [pair for pair in everything if pair[0] >= bounded.first]
        dropped = len(everything) - len(kept)
        assert bounded.candles(stream, dropped) == kept
        if dropped:
            with pytest.raises(DataError, match="is not kept"):
                bounded.candles(stream, dropped - 1)
