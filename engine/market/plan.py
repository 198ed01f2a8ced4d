"""Which wanted stream is served by which source of candles.

- A stream is served by a source of its symbol (see `engine.market.symbols`) and timeframe. Without
  one, it is aggregated from the finest source of the symbol whose timeframe divides it.
- A symbol without a source of its own is served by its perpetual (``BTC/USDT`` by
  ``BTC-USDT-PERP``), with a notice.
- The finest source of a symbol is its base stream: always emitted, because orders are matched on
  it, whether wanted or not.
- Ids keep the spelling of the wanted stream. Two spellings of one symbol are two instruments on
  the same candles: each has its own streams and its own base stream, so that orders, positions
  and candles of a strategy always carry the one symbol the strategy uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from engine.market.aggregation import aggregate_columns
from engine.market.columns import CandleColumns, Ints
from engine.market.symbols import PERPETUAL_SUFFIX, symbol_key
from engine.market.timeline import TimelineStream
from engine.timeframes import TIMEFRAMES, divides, format_time, timeframe_ms
from engine.types import StreamId

__all__ = ["CandleSource", "StreamPlan", "plan_streams"]


class CandleSource(NamedTuple):
    """Validated candles of one symbol and timeframe, and where they come from."""

    symbol: str
    timeframe: str
    columns: CandleColumns
    origin: str


class StreamPlan(msgspec.Struct, frozen=True):
    """What will be played.

    Attributes:
        streams: Wanted and base streams with their candles.
        base_streams: ``venue:symbol`` (spelled as wanted) to the id of its base stream.
        missing: Wanted streams without data, as wanted.
        uncovered: Played streams that are not made of their symbol's base candles.
        notices: For people: what was decided on their behalf.
    """

    streams: tuple[TimelineStream, ...]
    base_streams: dict[str, str]
    missing: tuple[str, ...]
    uncovered: tuple[str, ...]
    notices: tuple[str, ...]


def plan_streams(
    wanted: Iterable[str], sources: Sequence[CandleSource], *, venue: str
) -> StreamPlan:
    """Find the candles of every wanted stream.

    Args:
        wanted: Stream ids.
        sources: At most one per symbol key and timeframe, none of them empty.
        venue: The venue the sources stand for; streams of another venue are missing.

    Raises:
        ConfigError: A wanted stream has an unknown timeframe.
    """
    return _Planner(sources, venue).plan(wanted)


class _Planner:
    """Collects the plan while it goes over the wanted streams."""

    def __init__(self, sources: Sequence[CandleSource], venue: str) -> None:
        self._sources: dict[str, dict[str, CandleSource]] = {}
        for source in sorted(sources, key=lambda s: timeframe_ms(s.timeframe)):
            self._sources.setdefault(symbol_key(source.symbol), {})[source.timeframe] = source
        self._venue = venue
        self._streams: dict[str, TimelineStream] = {}
        self._base_streams: dict[str, str] = {}
        self._missing: list[str] = []
        self._uncovered: list[str] = []
        self._notices: list[str] = []
        self._served: set[str] = set()
        self._aggregated: dict[tuple[str, str], tuple[CandleColumns, Ints]] = {}

    def plan(self, wanted: Iterable[str]) -> StreamPlan:
        for stream in dict.fromkeys(wanted):
            reason = self._serve(StreamId.parse(stream))
            if reason:
                self._missing.append(stream)
                self._notices.append(f"stream {stream!r} has no candles: {reason}")
        for key, by_timeframe in self._sources.items():
            if key not in self._served:
                origins = ", ".join(source.origin for source in by_timeframe.values())
                self._notices.append(f"{origins}: no strategy listens to it")
        return StreamPlan(
            streams=tuple(self._streams.values()),
            base_streams=self._base_streams,
            missing=tuple(self._missing),
            uncovered=tuple(self._uncovered),
            notices=tuple(dict.fromkeys(self._notices)),
        )

    def _serve(self, wanted: StreamId) -> str:
        """Plan one stream and its base; return why it cannot be served, or an empty text."""
        length = timeframe_ms(wanted.timeframe)
        if wanted.venue != self._venue:
            return f"the market plays venue {self._venue!r}; set market.venue or the strategy's"
        key = symbol_key(wanted.symbol)
        if key not in self._sources and key + PERPETUAL_SUFFIX in self._sources:
            key += PERPETUAL_SUFFIX
            origins = ", ".join(source.origin for source in self._sources[key].values())
            self._notices.append(f"{wanted.symbol} has no source of its own, served by {origins}")
        by_timeframe = self._sources.get(key)
        if by_timeframe is None:
            have = ", ".join(
                next(iter(sources.values())).symbol for sources in self._sources.values()
            )
            return f"no source holds the symbol (there are: {have or 'none'})"
        source = by_timeframe.get(wanted.timeframe) or next(
            (s for s in by_timeframe.values() if divides(s.timeframe, wanted.timeframe)), None
        )
        base = next(iter(by_timeframe.values()))
        if source is None:
            finer = [tf for tf, minutes in TIMEFRAMES.items() if length % (minutes * 60_000) == 0]
            return (
                f"{wanted.symbol} is there in {', '.join(by_timeframe)} only; name a file in one "
                f"of {', '.join(finer)}"
            )
        self._served.add(key)
        base_id = StreamId(wanted.venue, wanted.symbol, base.timeframe)
        self._base_streams[f"{wanted.venue}:{wanted.symbol}"] = str(base_id)
        self._add(base_id, base, key)
        self._add(wanted, source, key)
        if source is not base:
            self._uncovered.append(str(wanted))
        self._compare_ranges(base, source)
        return ""

    def _add(self, stream: StreamId, source: CandleSource, key: str) -> None:
        if stream.timeframe == source.timeframe:
            columns, known = source.columns, source.columns.close_time
        else:
            built = (key, stream.timeframe)
            if built not in self._aggregated:
                self._aggregated[built] = aggregate_columns(source.columns, stream.timeframe)
            columns, known = self._aggregated[built]
        self._streams[str(stream)] = TimelineStream(str(stream), columns, known)

    def _compare_ranges(self, base: CandleSource, other: CandleSource) -> None:
        """Say when a coarser file goes on where no base candle can fill an order."""
        first, last = int(base.columns.open_time[0]), int(base.columns.close_time[-1])
        early = int(other.columns.close_time[0]) < first
        if early or int(other.columns.open_time[-1]) > last:
            self._notices.append(
                f"{other.origin} reaches beyond {base.origin} ({format_time(first)} to "
                f"{format_time(last)}): orders fill on the finer one only"
            )
