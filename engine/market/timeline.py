"""Streams merged in time order: the sequence of slices a run plays.

The candles of all streams are sorted once by (when known, close time, timeframe, stream id);
candles known at the same time form a slice. Storage stays columnar (about 80 bytes a candle);
Python objects are made in chunks while somebody iterates, by C-level `map`s over lists, which is
several times faster than a loop: every candle of a run passes through here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np

from engine.errors import DataError
from engine.market.columns import CandleColumns, Ints, concatenate
from engine.types import Candle, MarketSlice

__all__ = ["Timeline", "TimelineStream"]

_CHUNK_CANDLES = 4096
_NONE = np.empty(0, dtype=np.int64)


class TimelineStream(NamedTuple):
    """One stream to be played: its id, its candles, and when each becomes known (ms UTC)."""

    stream: str
    columns: CandleColumns
    known: Ints


class Timeline:
    """The slices of a run, by number; iterating again gives the same slices.

    Args:
        streams: The streams to merge; ids must be unique.
    """

    def __init__(self, streams: Sequence[TimelineStream]) -> None:
        # Ties end at the stream id, so that the order does not depend on who asked first.
        parts = sorted(streams, key=lambda s: (s.columns.timeframe_ms, s.stream))
        self.streams = tuple(part.stream for part in parts)
        self._index = {stream: index for index, stream in enumerate(self.streams)}
        self._rows_of: dict[str, Ints] = {}
        if len(parts) == 1:
            self._load_one(parts[0])
        else:
            self._load_many(parts)

    def _load_one(self, part: TimelineStream) -> None:
        self._columns = part.columns
        self._close_time = part.columns.close_time
        self._known = part.known
        self._stream = np.zeros(len(part.columns), dtype=np.int32)
        self._seq = np.arange(len(part.columns))
        self._find_slices()

    def _load_many(self, parts: Sequence[TimelineStream]) -> None:
        lengths = [len(part.columns) for part in parts]
        joined = concatenate([part.columns for part in parts])
        close_time = joined.open_time + np.repeat(
            np.array([part.columns.timeframe_ms for part in parts], dtype=np.int64), lengths
        )
        known = np.concatenate([_NONE, *(part.known for part in parts)])
        stream = np.repeat(np.arange(len(parts), dtype=np.int32), lengths)
        seq = np.concatenate([_NONE, *(np.arange(length) for length in lengths)])
        # Streams are numbered by (timeframe, id) already: one key stands for both.
        order = np.lexsort((stream, close_time, known))
        self._columns = joined.select(order)
        self._close_time = close_time[order]
        self._known = known[order]
        self._stream = stream[order]
        self._seq = seq[order]
        self._find_slices()

    def _find_slices(self) -> None:
        """Find where slices begin; `_starts` ends with the number of candles."""
        new = np.flatnonzero(np.diff(self._known)) + 1
        total = len(self._known)
        self._starts: Ints = np.concatenate([[0] if total else [], new, [total]]).astype(np.int64)

    @property
    def total_slices(self) -> int:
        """Return the number of slices."""
        return len(self._starts) - 1

    @property
    def total_candles(self) -> int:
        """Return the number of candles over all streams."""
        return len(self._known)

    def count(self, stream: str) -> int:
        """Return the number of candles of one stream."""
        return len(self._rows(stream))

    def slices(self, start: int = 0) -> Iterator[MarketSlice]:
        """Iterate over the slices from number `start` on.

        Raises:
            DataError: `start` is negative.
        """
        if start < 0:
            raise DataError(f"market: slice numbers start at 0, asked from {start}")
        return chain.from_iterable(self._chunks(start))

    def history(
        self,
        stream: str,
        from_seq: int = 0,
        limit: int | None = None,
        *,
        published: int | None = None,
    ) -> list[tuple[int, Candle]]:
        """Return ``(slice number, candle)`` of one stream from a `seq` on, oldest first.

        Random access: nothing is ever dropped, so a subscriber that restarts can always catch up.

        Args:
            stream: Which.
            from_seq: The first one.
            limit: How many at most; None: all there will ever be.
            published: Number of the last slice that counts; None: all of them.

        Raises:
            DataError: The stream is not played, or `from_seq` is negative.
        """
        if from_seq < 0:
            raise DataError(f"stream {stream!r}: seq starts at 0, asked from {from_seq}")
        stop = None if limit is None else from_seq + limit
        rows = self._rows(stream)
        if published is not None:
            rows = rows[: self._end_of(rows, published)]
        rows = rows[from_seq:stop]
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        return list(zip(numbers.tolist(), self._candles(rows), strict=True))

    def newest(
        self, stream: str, limit: int, *, published: int, before_ms: int | None = None
    ) -> list[Candle]:
        """Return the newest candles of a stream up to a slice, oldest first.

        Args:
            stream: Which.
            limit: How many at most.
            published: Number of the last slice that counts.
            before_ms: Only those that open before this time, ms UTC.

        Raises:
            DataError: The stream is not played.
        """
        rows = self._rows(stream)
        last = self._end_of(rows, published)
        if before_ms is not None:
            opened = self._columns.open_time[rows[:last]]
            last = int(np.searchsorted(opened, before_ms))
        return list(self._candles(rows[max(0, last - limit) : last]))

    def _end_of(self, rows: Ints, published: int) -> int:
        """Return how many rows of a stream belong to slices up to a number."""
        return int(np.searchsorted(rows, self._starts[min(published, self.total_slices - 1) + 1]))

    def _rows(self, stream: str) -> Ints:
        rows = self._rows_of.get(stream)
        if rows is None:
            if stream not in self._index:
                raise DataError(
                    f"stream {stream!r} is not played; played: {', '.join(self.streams) or 'none'}"
                )
            rows = np.flatnonzero(self._stream == self._index[stream])
            self._rows_of[stream] = rows
        return rows

    def _chunks(self, start: int) -> Iterator[Iterator[MarketSlice]]:
        starts = self._starts
        total = self.total_slices
        while start < total:
            # As many whole slices as fit a chunk, and at least one.
            stop = int(np.searchsorted(starts, starts[start] + _CHUNK_CANDLES, side="right")) - 1
            stop = max(stop, start + 1)
            low, high = int(starts[start]), int(starts[stop])
            times = self._known[starts[start:stop]].tolist()
            candles = self._candles(slice(low, high))
            if high - low == stop - start:  # one candle a slice: `zip` makes the 1-tuples
                groups: Iterator[tuple[Candle, ...]] = zip(candles)
            else:
                bounds = (starts[start : stop + 1] - low).tolist()
                groups = map(tuple(candles).__getitem__, map(slice, bounds, bounds[1:]))
            yield map(MarketSlice, range(start, stop), times, groups)
            start = stop

    def _candles(self, rows: slice | Ints) -> Iterator[Candle]:
        columns = self._columns
        if len(self.streams) == 1:
            names: Iterator[str] = repeat(self.streams[0])
        else:
            names = map(self.streams.__getitem__, self._stream[rows].tolist())
        return map(
            Candle,
            names,
            self._seq[rows].tolist(),
            columns.open_time[rows].tolist(),
            self._close_time[rows].tolist(),
            columns.open[rows].tolist(),
            columns.high[rows].tolist(),
            columns.low[rows].tolist(),
            columns.close[rows].tolist(),
            columns.volume[rows].tolist(),
            columns.gap[rows].tolist(),
        )
