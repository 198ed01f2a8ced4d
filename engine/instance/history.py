"""The candles an instance is restored from, as columns that any number of instances share.

A host that comes back has thousands of instances over a few streams. So what costs something per
candle (reading, checking, deriving prices) is done once per stream here; an instance then takes
views of the rows it needs, whatever its anchor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from engine.errors import CandleError, ChorusError
from engine.timeframes import timeframe_ms
from engine.types import Candle, StreamId
from indicators import Prices
from indicators.bars import usable

__all__ = ["CandleHistory", "Columns", "Past", "Stretch", "past_of"]

_PRICES = ("open", "high", "low", "close", "volume")
_FIELDS = ("open_time", *_PRICES, "gap")


class Columns(Protocol):
    """Candles as arrays of one shape ``(n,)``; `engine.market.CandleColumns` is one."""

    @property
    def open_time(self) -> NDArray[np.int64]: ...  # noqa: D102 - fields of `Candle`
    @property
    def open(self) -> NDArray[np.float64]: ...  # noqa: D102 - fields of `Candle`
    @property
    def high(self) -> NDArray[np.float64]: ...  # noqa: D102 - fields of `Candle`
    @property
    def low(self) -> NDArray[np.float64]: ...  # noqa: D102 - fields of `Candle`
    @property
    def close(self) -> NDArray[np.float64]: ...  # noqa: D102 - fields of `Candle`
    @property
    def volume(self) -> NDArray[np.float64]: ...  # noqa: D102 - fields of `Candle`
    @property
    def gap(self) -> NDArray[np.int64]: ...  # noqa: D102 - fields of `Candle`


class _Listed(NamedTuple):
    """The fields of listed candles as arrays."""

    open_time: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    gap: NDArray[np.int64]


class CandleHistory:
    """Consecutive candles of one stream. Read-only: make it once, restore everything from it.

    Args:
        stream: Text form of its id.
        columns: The candles, oldest first; kept and not copied, so they must not change.
        first_seq: Seq of the first of them.

    Attributes:
        stream: As given.
        first_seq: As given.
        end_seq: Seq after the last of them.
    """

    __slots__ = ("_columns", "_length_ms", "_prices", "_usable", "end_seq", "first_seq", "stream")

    def __init__(self, stream: str, columns: Columns, *, first_seq: int = 0) -> None:
        self.stream = stream
        self.first_seq = first_seq
        self.end_seq = first_seq + len(columns.open_time)
        self._columns = columns
        self._length_ms = timeframe_ms(StreamId.parse(stream).timeframe)
        prices = {name: getattr(columns, name) for name in _PRICES}
        prices["open_time"] = columns.open_time.astype(np.float64)
        fits = np.logical_and.reduce([usable(prices[name]) for name in _PRICES])
        # Rows indicators refuse leave no trace in them, so they are not among their prices.
        self._usable: NDArray[np.intp] | None = None if fits.all() else np.flatnonzero(fits)
        if self._usable is not None:
            prices = {name: array[self._usable] for name, array in prices.items()}
        self._prices = Prices(prices)

    @classmethod
    def of(cls, candles: Sequence[Candle]) -> Self:
        """Return the history of listed candles; about a microsecond each.

        Raises:
            CandleError: There is none, or they are not consecutive candles of one stream.
        """
        if not candles:
            raise CandleError("history: needs at least one candle, got none")
        stream, first_seq = candles[0].stream, candles[0].seq
        for seq, candle in enumerate(candles, start=first_seq):
            if candle.seq != seq or candle.stream != stream:
                raise CandleError(
                    f"history of {stream!r}: needs candle {seq} next, got {candle.seq} of "
                    f"{candle.stream!r}; keep one history per stream, without gaps"
                )
        return cls(stream, _listed(candles), first_seq=first_seq)

    def candles(self, start: int, stop: int) -> list[Candle]:
        """Return the candles from seq `start` to before seq `stop`."""
        part = slice(start - self.first_seq, stop - self.first_seq)
        opened, *others = (getattr(self._columns, name)[part].tolist() for name in _FIELDS)
        closed = (time + self._length_ms for time in opened)
        rows = zip(range(start, stop), opened, closed, *others, strict=True)
        return [Candle(self.stream, *row) for row in rows]

    def rows(self, start: int, stop: int) -> list[NDArray[Any]]:
        """Return the columns of `CandleBuffer` from seq `start` to before `stop`; views."""
        part, columns = slice(start - self.first_seq, stop - self.first_seq), self._columns
        return [getattr(columns, name)[part] for name in ("open_time", *_PRICES)]

    def prices(self, start: int, stop: int) -> tuple[Prices, int]:
        """Return what indicators read of these candles, and the seq of the first they accept."""
        first, last = start - self.first_seq, stop - self.first_seq
        if self._usable is None:
            return self._prices.cut(first, last), start
        first, last = np.searchsorted(self._usable, (first, last)).tolist()
        anchor = self.first_seq + int(self._usable[first]) if first < last else start
        return self._prices.cut(first, last), anchor


def _listed(candles: Sequence[Candle]) -> _Listed:
    floats, ints = np.float64, np.int64
    return _Listed(
        open_time=np.array([candle.open_time for candle in candles], ints),
        open=np.array([candle.open for candle in candles], floats),
        high=np.array([candle.high for candle in candles], floats),
        low=np.array([candle.low for candle in candles], floats),
        close=np.array([candle.close for candle in candles], floats),
        volume=np.array([candle.volume for candle in candles], floats),
        gap=np.array([candle.gap for candle in candles], ints),
    )


class Stretch(NamedTuple):
    """Candles of one stream taken in at once: from seq `start` to before `stop`."""

    history: CandleHistory
    start: int
    stop: int


class Past(NamedTuple):
    """What a restore goes through: at once first, then candle by candle."""

    stretches: list[Stretch]
    replayed: Iterable[Candle]


def past_of(
    history: Iterable[Candle] | Mapping[str, CandleHistory],
    needs: Mapping[str, tuple[int, int]],
    *,
    recent: int | None,
    instance: str,
) -> Past:
    """Divide a history into what is taken in at once and what a strategy has to see.

    Args:
        history: As for `Instance.restore`.
        needs: As `Snapshot.needs` says.
        recent: How many of the last candles of each stream the strategy has to see; None: all.
        instance: Id, for messages.

    Raises:
        ChorusError: Columns lack candles, or cannot tell the order in which the candles of
            several streams have to be seen.
    """
    if isinstance(history, Mapping):
        return _past_of_columns(history, needs, recent, instance)
    return Past([], history) if recent is None else _past_of_candles(list(history), needs, recent)


def _past_of_columns(
    histories: Mapping[str, CandleHistory],
    needs: Mapping[str, tuple[int, int]],
    recent: int | None,
    instance: str,
) -> Past:
    stretches: list[Stretch] = []
    replayed: list[Candle] = []
    for stream, (anchor, end) in needs.items():
        history = histories.get(stream)
        if history is None or not history.first_seq < end <= history.end_seq:
            held = "none" if history is None else f"[{history.first_seq}, {history.end_seq})"
            raise ChorusError(
                f"instance {instance!r}: history of {stream!r} holds candles {held}, "
                f"the snapshot needs [{anchor}, {end})"
            )
        start = max(anchor, history.first_seq)
        seen_from = start if recent is None else max(start, end - recent)
        stretches.append(Stretch(history, start, seen_from))
        replayed += history.candles(seen_from, end)
    if replayed and len(needs) > 1:
        raise ChorusError(
            f"instance {instance!r}: its strategy type sees history in `on_history`, which needs "
            f"the candles of {', '.join(needs)} in their original order; hand them over one by one"
        )
    return Past(stretches, replayed)


def _past_of_candles(
    candles: list[Candle], needs: Mapping[str, tuple[int, int]], recent: int
) -> Past:
    by_stream: dict[str, list[Candle]] = {}
    for candle in candles:
        by_stream.setdefault(candle.stream, []).append(candle)
    stretches: list[Stretch] = []
    seen_from: dict[str, int] = {}
    for stream, own in by_stream.items():
        start = own[0].seq
        stop = start + len(own)
        _, end = needs.get(stream, (0, start))
        if stop > end or [candle.seq for candle in own] != list(range(start, stop)):
            return Past([], candles)  # one by one it is seen which of them is wrong
        seen_from[stream] = split = max(start, stop - recent)
        if split > start:
            history = CandleHistory.of(own[: split - start])
            stretches.append(Stretch(history, start, split))
    replayed = [candle for candle in candles if candle.seq >= seen_from[candle.stream]]
    return Past(stretches, replayed if recent else [])
