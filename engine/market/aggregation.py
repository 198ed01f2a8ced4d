"""Exact aggregation of candles to a larger timeframe.

A larger candle closes when its last part has closed. When that part is missing, the first candle
of a later bucket closes it, and its `gap` says how many parts it lacks; a bucket without any part
makes no candle. The unfinished last bucket is never emitted. Buckets are aligned to UTC.

Open is the first part's, close the last part's, volume the sum of the parts **from left to
right**: floating-point addition is not associative, so the order is part of the contract. Every
larger timeframe is therefore built from the feed's own candles and not from another aggregate.

The twins `CandleAggregator` (streaming) and `aggregate_columns` (replay) are bit-equal.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.errors import ConfigError, DataError
from engine.market.columns import CandleColumns, Floats, Ints
from engine.timeframes import divides, timeframe_ms
from engine.types import Candle, StreamId

__all__ = ["CandleAggregator", "aggregate_columns"]


class CandleAggregator:
    """Builds the candles of one larger timeframe from the closed candles of one stream.

    Called by the feed for every closed candle of the source; never blocks.

    Args:
        source: Stream id of the parts, e.g. ``paper:BTC/USDT:1m``.
        target: Stream id of the result, e.g. ``paper:BTC/USDT:15m``.
        next_seq: `seq` of the first candle emitted, when a stream is continued.

    Raises:
        ConfigError: The source timeframe does not divide the target's.
    """

    def __init__(self, source: str, target: str, *, next_seq: int = 0) -> None:
        small, large = StreamId.parse(source).timeframe, StreamId.parse(target).timeframe
        _require_parts(small, large)
        self.source = source
        self.target = target
        self._small = timeframe_ms(small)
        self._large = timeframe_ms(large)
        self._parts = self._large // self._small
        self._seq = next_seq
        self._newest: int | None = None
        self._bucket = 0
        self._count = 0
        self._open = self._high = self._low = self._close = self._volume = 0.0

    def update(self, candle: Candle) -> tuple[Candle, ...]:
        """Take the next part; return what it closes, oldest first: none, one or two candles.

        Two come at once when the part both ends a bucket with missing parts and, being the last
        part of its own bucket, closes that one too.

        Raises:
            DataError: The candle is not newer than the one before it, or not of this length.
        """
        open_time = candle.open_time
        if candle.close_time - open_time != self._small or (
            self._newest is not None and open_time <= self._newest
        ):
            raise DataError(
                f"stream {self.source!r}: aggregation to {self.target!r} needs candles of "
                f"{self._small} ms in ascending order, got [{open_time}, {candle.close_time}) "
                f"after {self._newest}; validate the feed first"
            )
        self._newest = open_time
        bucket = open_time - open_time % self._large
        late: tuple[Candle, ...] = ()
        if self._count and bucket != self._bucket:
            late = (self._emit(),)
        self._add(candle, bucket)
        if candle.close_time == bucket + self._large:
            return (*late, self._emit())
        return late

    def _add(self, candle: Candle, bucket: int) -> None:
        if self._count == 0:
            self._bucket = bucket
            self._open = candle.open
            self._high = candle.high
            self._low = candle.low
            self._volume = 0.0
        else:
            self._high = max(self._high, candle.high)
            self._low = min(self._low, candle.low)
        self._close = candle.close
        self._volume += candle.volume
        self._count += 1

    def _emit(self) -> Candle:
        candle = Candle(
            self.target,
            self._seq,
            self._bucket,
            self._bucket + self._large,
            self._open,
            self._high,
            self._low,
            self._close,
            self._volume,
            self._parts - self._count,
        )
        self._seq += 1
        self._count = 0
        return candle


def aggregate_columns(source: CandleColumns, target: str) -> tuple[CandleColumns, Ints]:
    """Aggregate a whole stream at once.

    Args:
        source: Valid candles of the smaller timeframe, shape ``(n,)``.
        target: Name of the larger timeframe.

    Returns:
        The larger candles, shape ``(m,)``, and when each became known, ms UTC, shape ``(m,)``:
        its close time, or later the close time of the candle that ended it after a gap.

    Raises:
        ConfigError: The source timeframe does not divide the target's.
    """
    small, large = source.timeframe_ms, timeframe_ms(target)
    if large % small:
        raise ConfigError(f"timeframe {target!r} is not a multiple of the source's {small} ms")
    if len(source) == 0:
        return replace(source, timeframe_ms=large), source.close_time
    bucket = source.open_time // large
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    last_part = np.append(starts[1:], len(source)) - 1
    open_time = bucket[starts] * large
    close_time = open_time + large
    complete = source.open_time[last_part] + small == close_time
    known = close_time.copy()
    # A bucket whose last part is missing is closed by the candle that follows, when there is one.
    known[:-1] = np.where(complete[:-1], close_time[:-1], source.open_time[starts[1:]] + small)
    count = last_part - starts + 1
    result = CandleColumns(
        timeframe_ms=large,
        open_time=open_time,
        open=source.open[starts],
        high=np.maximum.reduceat(source.high, starts),
        low=np.minimum.reduceat(source.low, starts),
        close=source.close[last_part],
        volume=_sum_left_to_right(source.volume, starts, count),
        gap=large // small - count,
    )
    keep = slice(len(starts) if complete[-1] else len(starts) - 1)
    return result.select(keep), known[keep]


def _sum_left_to_right(values: Floats, starts: Ints, count: Ints) -> Floats:
    """Sum each run of `values` in order.

    `np.add.reduceat` adds pairwise inside a run, which rounds differently from a running sum;
    here the k-th part of all buckets is added in the k-th step.
    """
    total = np.zeros(len(starts), dtype=np.float64)
    for part in range(int(count.max())):
        alive = count > part
        if alive.all():
            total += values[starts + part]
        else:
            total[alive] += values[starts[alive] + part]
    return total


def _require_parts(small: str, large: str) -> None:
    if not divides(small, large):
        raise ConfigError(
            f"timeframe {large!r} cannot be put together from {small!r}: its length is not a "
            "multiple; use a source timeframe that divides it"
        )
