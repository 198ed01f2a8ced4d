"""Append-only logs: what was published, by number, so that a subscriber that lags can catch up.

Both logs are gap-free and keep the newest entries only, if told so. Asking for an entry that was
dropped is an error and never a shorter answer: a reader must know that it cannot catch up.
"""

from __future__ import annotations

from bisect import bisect_left

from engine.errors import DataError
from engine.types import Candle, MarketSlice

__all__ = ["SliceLog", "StreamLog"]


class StreamLog:
    """The candles of one stream by `seq`; the first write of an interval wins.

    Args:
        stream: Stream id.
        retain: How many of the newest candles are certainly kept; None keeps all.
        first_seq: `seq` of the first candle, when a stream is continued.
    """

    def __init__(self, stream: str, *, retain: int | None = None, first_seq: int = 0) -> None:
        self.stream = stream
        self.duplicates = 0
        self._retain = _checked_retention(retain, f"stream {stream!r}")
        self._candles: list[Candle] = []
        self._first = first_seq
        self._newest: int | None = None

    @property
    def newest(self) -> int | None:
        """Return the open time of the last candle recorded, ms UTC; None before the first."""
        return self._newest

    @property
    def head(self) -> int:
        """Return the `seq` the next candle must carry."""
        return self._first + len(self._candles)

    @property
    def first(self) -> int:
        """Return the oldest `seq` that can still be replayed; `head` when there is none."""
        return self._first

    def append(self, candle: Candle) -> bool:
        """Record a candle; tell whether it was new.

        A candle whose interval is not after the newest one is ignored and counted in
        `duplicates`, even if its prices differ: what was published stands.

        Raises:
            DataError: A new candle is of another stream or does not carry `seq` = `head`.
        """
        if candle.stream != self.stream:
            raise DataError(f"log of stream {self.stream!r}: got a candle of {candle.stream!r}")
        if self._newest is not None and candle.open_time <= self._newest:
            self.duplicates += 1
            return False
        if candle.seq != self.head:
            raise DataError(
                f"log of stream {self.stream!r}: the next candle must have seq {self.head}, "
                f"got {candle.seq}; number candles without gaps"
            )
        self._candles.append(candle)
        self._newest = candle.open_time
        if self._retain is not None and len(self._candles) > 2 * self._retain:
            self.drop_before(self.head - self._retain)
        return True

    def replay(self, from_seq: int, limit: int | None = None) -> list[Candle]:
        """Return the candles from a `seq` on, oldest first; empty at or past `head`.

        Args:
            from_seq: First `seq` wanted.
            limit: At most so many; None: all there are.

        Raises:
            DataError: `from_seq` was dropped, or never was.
        """
        if from_seq < self._first:
            raise DataError(
                f"log of stream {self.stream!r}: seq {from_seq} is not kept, the oldest is "
                f"{self._first}; restore from a newer snapshot or retain more"
            )
        start = from_seq - self._first
        return self._candles[start : None if limit is None else start + limit]

    def drop_before(self, seq: int) -> None:
        """Forget candles older than `seq`."""
        count = max(0, min(seq - self._first, len(self._candles)))
        del self._candles[:count]
        self._first += count


class SliceLog:
    """The slices of a run by number, and for every stream its candles with their slice numbers.

    Args:
        retain: How many of the newest slices are certainly kept; None keeps all.
        first_number: Number of the first slice, when a run is continued.
    """

    def __init__(self, *, retain: int | None = None, first_number: int = 0) -> None:
        self._retain = _checked_retention(retain, "slice log")
        self._slices: list[MarketSlice] = []
        self._first = first_number
        self._logs: dict[str, StreamLog] = {}
        self._numbers: dict[str, list[int]] = {}

    @property
    def head(self) -> int:
        """Return the number the next slice must carry."""
        return self._first + len(self._slices)

    @property
    def first(self) -> int:
        """Return the oldest number that can still be replayed; `head` when there is none."""
        return self._first

    @property
    def streams(self) -> tuple[str, ...]:
        """Return the streams seen so far, by first candle."""
        return tuple(self._logs)

    def append(self, market_slice: MarketSlice) -> bool:
        """Record a slice; tell whether it was new. A number below `head` is ignored.

        Raises:
            DataError: The number leaves a gap, or a candle does not continue its stream.
        """
        if market_slice.number < self.head:
            return False
        if market_slice.number > self.head:
            raise DataError(
                f"slice log: the next slice must have number {self.head}, got "
                f"{market_slice.number}; replay the ones between"
            )
        self._require_continuation(market_slice)
        for candle in market_slice.candles:
            log = self._logs.get(candle.stream)
            if log is None:
                log = self._logs[candle.stream] = StreamLog(candle.stream, first_seq=candle.seq)
                self._numbers[candle.stream] = []
            log.append(candle)
            self._numbers[candle.stream].append(market_slice.number)
        self._slices.append(market_slice)
        if self._retain is not None and len(self._slices) > 2 * self._retain:
            self._drop_before(self.head - self._retain)
        return True

    def replay(self, from_number: int, limit: int | None = None) -> list[MarketSlice]:
        """Return the slices from a number on, oldest first; empty at or past `head`.

        Raises:
            DataError: `from_number` was dropped, or never was.
        """
        if from_number < self._first:
            raise DataError(
                f"slice log: slice {from_number} is not kept, the oldest is {self._first}; "
                "restore from a newer snapshot or retain more"
            )
        start = from_number - self._first
        return self._slices[start : None if limit is None else start + limit]

    def candles(
        self, stream: str, from_seq: int, limit: int | None = None
    ) -> list[tuple[int, Candle]]:
        """Return ``(slice number, candle)`` of one stream from a `seq` on, oldest first.

        Empty for a stream without a candle so far.

        Raises:
            DataError: `from_seq` was dropped, or never was.
        """
        log = self._logs.get(stream)
        if log is None:
            return []
        candles = log.replay(from_seq, limit)
        start = from_seq - log.first
        return list(zip(self._numbers[stream][start : start + len(candles)], candles, strict=True))

    def _require_continuation(self, market_slice: MarketSlice) -> None:
        """Check every candle before the first is recorded: a slice is logged whole or not."""
        after: dict[str, tuple[int, int | None]] = {}
        for candle in market_slice.candles:
            stream = candle.stream
            if stream in after:
                head, newest = after[stream]
            elif stream in self._logs:
                head, newest = self._logs[stream].head, self._logs[stream].newest
            else:
                head, newest = candle.seq, None
            if candle.seq != head or (newest is not None and candle.open_time <= newest):
                raise DataError(
                    f"slice {market_slice.number}: the next candle of stream {stream!r} must "
                    f"have seq {head} and open after {newest}, got seq {candle.seq} at "
                    f"{candle.open_time}; publish every candle once, in order"
                )
            after[stream] = (head + 1, candle.open_time)

    def _drop_before(self, number: int) -> None:
        del self._slices[: number - self._first]
        self._first = number
        for stream, numbers in self._numbers.items():
            count = bisect_left(numbers, number)
            del numbers[:count]
            log = self._logs[stream]
            log.drop_before(log.first + count)


def _checked_retention(retain: int | None, owner: str) -> int | None:
    if retain is not None and retain < 1:
        raise DataError(f"{owner}: retention must be 1 or more (or None for all), got {retain}")
    return retain
