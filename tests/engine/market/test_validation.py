"""Validation: each rule, the counts, and the equality of the streaming and the columnar twin."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.market.validation import (
    EXAMPLES_PER_REASON,
    CandleValidator,
    Reason,
    ValidationReport,
    validate_rows,
)
from engine.types import Candle
from tests.examples import examples

STREAM = "paper:BTC/USDT:1m"
MINUTE = 60_000
GOOD = (100.0, 102.0, 99.0, 101.0, 5.0)
Row = tuple[int, float, float, float, float, float]


def stream_rows(rows: list[Row]) -> tuple[list[Candle], ValidationReport]:
    validator = CandleValidator(STREAM)
    checked = [validator.check(*row) for row in rows]
    return [candle for candle in checked if candle is not None], validator.report


def column_rows(rows: list[Row]) -> tuple[list[Candle], ValidationReport]:
    times = np.array([row[0] for row in rows], dtype=np.int64)
    prices: Any = tuple(np.array([row[i] for row in rows], dtype=np.float64) for i in range(1, 6))
    columns, report = validate_rows("1m", times, prices)
    candles = [
        Candle(STREAM, seq, time, time + MINUTE, o, h, low, c, v, gap)
        for seq, (time, o, h, low, c, v, gap) in enumerate(
            zip(
                columns.open_time.tolist(),
                columns.open.tolist(),
                columns.high.tolist(),
                columns.low.tolist(),
                columns.close.tolist(),
                columns.volume.tolist(),
                columns.gap.tolist(),
                strict=True,
            )
        )
    ]
    return candles, report


BROKEN = [
    ((100.0, 102.0, 99.0, math.nan, 5.0), Reason.NOT_FINITE),
    ((math.inf, 102.0, 99.0, 101.0, 5.0), Reason.NOT_FINITE),
    ((100.0, 102.0, 99.0, 101.0, -math.inf), Reason.NOT_FINITE),
    ((100.0, 102.0, 0.0, 101.0, 5.0), Reason.PRICE_NOT_POSITIVE),
    ((-100.0, 102.0, 99.0, 101.0, 5.0), Reason.PRICE_NOT_POSITIVE),
    ((100.0, 102.0, 99.0, 101.0, -0.5), Reason.NEGATIVE_VOLUME),
    ((100.0, 98.0, 99.0, 101.0, 5.0), Reason.HIGH_BELOW_LOW),
    ((103.0, 102.0, 99.0, 101.0, 5.0), Reason.HIGH_BELOW_BODY),
    ((100.0, 102.0, 99.0, 102.5, 5.0), Reason.HIGH_BELOW_BODY),
    ((98.5, 102.0, 99.0, 101.0, 5.0), Reason.LOW_ABOVE_BODY),
    ((100.0, 102.0, 99.0, 98.5, 5.0), Reason.LOW_ABOVE_BODY),
]


@pytest.mark.parametrize("judge", [stream_rows, column_rows])
@pytest.mark.parametrize(("values", "reason"), BROKEN)
def test_a_candle_that_breaks_a_rule_is_refused_by_that_rule(
    judge: Any, values: tuple[float, ...], reason: Reason
) -> None:
    rows = [(0, *GOOD), (MINUTE, *values), (2 * MINUTE, *GOOD)]
    candles, report = judge(rows)
    assert [candle.open_time for candle in candles] == [0, 2 * MINUTE]
    assert report.rejected == {reason: 1}
    assert (report.rows, report.accepted, report.total_rejected) == (3, 2, 1)
    assert report.examples[0].row == 1
    assert report.examples[0].open_time == MINUTE
    # What was refused leaves a hole, and the hole is visible.
    assert (candles[1].gap, report.gaps, report.missing) == (1, 1, 1)


@pytest.mark.parametrize("judge", [stream_rows, column_rows])
@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (5 * MINUTE, Reason.DUPLICATE),
        (4 * MINUTE, Reason.OUT_OF_ORDER),
        (6 * MINUTE + 1, Reason.OFF_BOUNDARY),
        (6 * MINUTE - 1, Reason.OFF_BOUNDARY),
    ],
)
def test_a_candle_at_a_wrong_time_is_refused(judge: Any, time: int, reason: Reason) -> None:
    candles, report = judge([(5 * MINUTE, *GOOD), (time, *GOOD), (6 * MINUTE, *GOOD)])
    assert [candle.open_time for candle in candles] == [5 * MINUTE, 6 * MINUTE]
    assert report.rejected == {reason: 1}
    assert report.gaps == 0


@pytest.mark.parametrize("judge", [stream_rows, column_rows])
def test_flat_prices_and_no_volume_are_fine(judge: Any) -> None:
    candles, report = judge([(0, 1.0, 1.0, 1.0, 1.0, 0.0)])
    assert len(candles) == 1
    assert not report.rejected


@pytest.mark.parametrize("judge", [stream_rows, column_rows])
def test_huge_finite_prices_whose_sum_overflows_are_fine(judge: Any) -> None:
    candles, _ = judge([(0, 1.7e308, 1.7e308, 1.7e308, 1.7e308, 1.7e308)])
    assert len(candles) == 1


@pytest.mark.parametrize("judge", [stream_rows, column_rows])
def test_gaps_are_flagged_and_counted(judge: Any) -> None:
    candles, report = judge([(0, *GOOD), (4 * MINUTE, *GOOD), (6 * MINUTE, *GOOD)])
    assert [candle.gap for candle in candles] == [0, 3, 1]
    assert [candle.seq for candle in candles] == [0, 1, 2]
    assert (report.gaps, report.missing) == (2, 4)


@pytest.mark.parametrize("judge", [stream_rows, column_rows])
def test_examples_are_the_first_few_of_each_reason(judge: Any) -> None:
    rows: list[Row] = [(0, *GOOD)]
    rows += [(0, *GOOD)] * 10
    rows += [(MINUTE, 100.0, 98.0, 99.0, 101.0, 5.0)]
    _, report = judge(rows)
    assert report.rejected == {Reason.DUPLICATE: 10, Reason.HIGH_BELOW_LOW: 1}
    assert [example.row for example in report.examples] == [1, 2, 3, 11]
    assert len([e for e in report.examples if e.reason is Reason.DUPLICATE]) == EXAMPLES_PER_REASON
    assert "high 98.0 is below low 99.0" in report.examples[-1].detail
    assert "1970-01-01T00:01:00Z" in report.examples[-1].detail


def test_nothing_at_all_is_a_valid_column() -> None:
    assert column_rows([])[0] == []


def test_a_stream_is_continued_where_it_was_left() -> None:
    validator = CandleValidator(STREAM, next_seq=7, last_open_time=3 * MINUTE)
    assert validator.check(3 * MINUTE, *GOOD) is None
    candle = validator.check(5 * MINUTE, *GOOD)
    assert candle is not None
    assert (candle.seq, candle.gap) == (7, 1)


prices = st.sampled_from([99.0, 100.0, 101.0, 102.0, 0.0, -1.0, math.nan, math.inf])
dirty_rows = st.lists(
    st.tuples(
        st.integers(0, 12).map(lambda k: k * MINUTE) | st.integers(0, 12 * MINUTE),
        prices,
        prices,
        prices,
        prices,
        st.sampled_from([0.0, 1.5, -0.0, -2.0, math.nan]),
    )
    | st.integers(0, 40).map(lambda k: (k * MINUTE, *GOOD)),
    max_size=40,
)


@examples(300)
@given(dirty_rows)
def test_the_twins_agree_on_dirty_data(rows: list[Row]) -> None:
    streamed, streaming = stream_rows(rows)
    columnar, report = column_rows(rows)
    assert streamed == columnar
    assert streaming.rejected == report.rejected
    assert streaming.examples == report.examples
    assert (streaming.rows, streaming.accepted) == (report.rows, report.accepted)
    assert (streaming.gaps, streaming.missing) == (report.gaps, report.missing)


@examples(100)
@given(dirty_rows)
def test_every_row_is_accepted_or_counted(rows: list[Row]) -> None:
    candles, report = stream_rows(rows)
    assert report.rows == len(rows) == report.accepted + report.total_rejected
    assert report.accepted == len(candles)
    opens = [candle.open_time for candle in candles]
    assert opens == sorted(set(opens))
    if candles:
        present = {candle.open_time for candle in candles}
        span = range(opens[0], opens[-1], MINUTE)
        assert report.missing == len([t for t in span if t not in present])
