"""The candle buffer: a window that slides without copying."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.instance.buffer import COLUMNS, CandleBuffer
from engine.instance.testing import random_candles
from tests.examples import examples

CANDLES = random_candles(300)


def rows_of(candles: list) -> list[list[float]]:
    return [[float(getattr(candle, name)) for name in COLUMNS] for candle in candles]


@examples(60)
@given(capacity=st.integers(1, 70), count=st.integers(0, 300), n=st.none() | st.integers(-1, 90))
def test_it_holds_exactly_the_newest_candles_however_often_it_wrapped(
    capacity: int, count: int, n: int | None
) -> None:
    buffer = CandleBuffer(capacity)
    for candle in CANDLES[:count]:
        buffer.append(candle)
    kept = CANDLES[:count][-capacity:]
    if n is not None:
        kept = kept[len(kept) - min(max(n, 0), len(kept)) :]
    assert buffer.rows(n).tolist() == rows_of(kept)
    assert len(buffer) == min(capacity, count)


def test_columns_are_views_into_one_array() -> None:
    buffer = CandleBuffer(50)
    for candle in CANDLES[:60]:
        buffer.append(candle)
    for name in COLUMNS:
        column = getattr(buffer, name)
        assert np.shares_memory(column, buffer.rows())
        assert column.tolist() == [float(getattr(candle, name)) for candle in CANDLES[10:60]]
        assert buffer.column(name, 3).tolist() == column[-3:].tolist()


def test_rows_are_contiguous_memory() -> None:
    buffer = CandleBuffer(20)
    for candle in CANDLES[:45]:
        buffer.append(candle)
        assert buffer.rows().flags.c_contiguous


def test_a_view_cannot_be_written_to() -> None:
    buffer = CandleBuffer(5)
    buffer.append(CANDLES[0])
    with pytest.raises(ValueError, match="read-only"):
        buffer.close[0] = 1.0


def test_memory_comes_with_the_first_candle_and_stays_the_same() -> None:
    buffer = CandleBuffer(1000)
    assert buffer.rows().base.nbytes == 0
    buffer.append(CANDLES[0])
    memory = buffer.rows().base
    for candle in random_candles(3000):
        buffer.append(candle)
    assert buffer.rows().base is memory
    assert memory.nbytes <= 48 * 1000 * 1.2


def test_an_unknown_column_is_an_error() -> None:
    with pytest.raises(KeyError):
        CandleBuffer(5).column("price")
