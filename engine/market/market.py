"""The market of a run: candle sources opened, matched to what is wanted, played as slices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from engine.errors import ConfigError, DataError
from engine.market.plan import CandleSource, StreamPlan, plan_streams
from engine.market.reports import FileReport
from engine.market.symbols import FileSpec, parse_file_spec, symbol_key
from engine.market.synthetic import synthetic_sources
from engine.market.timeline import Timeline
from engine.types import Candle, MarketSlice

if TYPE_CHECKING:
    from engine.config import MarketConfig

__all__ = ["Market", "open_market"]


def open_market(config: MarketConfig, streams: Iterable[str], replay: Sequence[str] = ()) -> Market:
    """Open the candles a run plays. Blocks: reads all files.

    Files named by `replay` win over the configuration's, and files over its synthetic market.

    Args:
        config: Where candles come from, at which speed, for which venue.
        streams: Ids of the streams the strategies listen to.
        replay: Files from the command line: ``PATH``, ``SYMBOL=PATH`` or ``SYMBOL:TF=PATH``.

    Raises:
        ConfigError: There is no source at all, or the synthetic market is ill-defined.
        DataError: A file cannot be used, two files hold the same stream, or of all wanted
            streams not a single one has candles.
    """
    wanted = tuple(dict.fromkeys(streams))
    named = tuple(replay) or config.replay
    notices: list[str] = []
    if named:
        sources, reports = _open_files(named)
        if config.synthetic is not None:
            notices.append("files are replayed, the synthetic market of the configuration is not")
    elif config.synthetic is not None:
        sources, reports = synthetic_sources(config.synthetic)
    else:
        raise ConfigError(
            "market: needs candles; name files with --replay, or set market.replay or "
            "market.synthetic"
        )
    plan = plan_streams(wanted, sources, venue=config.venue)
    if wanted and not plan.streams:
        raise DataError("market: no wanted stream has candles; " + "; ".join(plan.notices))
    notices += [notice for report in reports for notice in _file_notices(report)]
    return Market(plan, reports=reports, notices=notices, speed=config.speed)


class Market:
    """All candles of a run, merged in time order; immutable and replayable.

    Attributes:
        streams: Ids of all streams played: the wanted ones that have data, and base streams.
        base_streams: ``venue:symbol`` to the id of the stream its orders are matched on; the
            symbol is spelled as the wanted streams spell it (see `engine.market.plan`).
        missing: Wanted streams without data; `notices` says why for each.
        uncovered: Streams that come from another file than their base stream: their candles need
            not hold what the base candles traded, so they do not tell which orders can fill.
        notices: For people: what was decided on their behalf, what was left out.
        reports: One per source: rows, rejections by reason with examples, gaps.
        speed: ``max`` or times real time; waiting is up to the caller (`Pacer`).
        total_candles: Candles of all base streams, for progress.
        total_slices: Number of slices.
    """

    def __init__(
        self,
        plan: StreamPlan,
        *,
        reports: Sequence[FileReport] = (),
        notices: Sequence[str] = (),
        speed: Literal["max"] | float = "max",
    ) -> None:
        self._timeline = Timeline(plan.streams)
        self.streams: tuple[str, ...] = self._timeline.streams
        self.base_streams: dict[str, str] = dict(plan.base_streams)
        self.missing: tuple[str, ...] = plan.missing
        self.uncovered: frozenset[str] = frozenset(plan.uncovered)
        self.notices: tuple[str, ...] = (*plan.notices, *notices)
        self.reports: tuple[FileReport, ...] = tuple(reports)
        self.speed: Literal["max"] | float = speed
        self.total_slices: int = self._timeline.total_slices
        self.total_candles: int = sum(map(self.count, self.base_streams.values()))

    def slices(self, start: int = 0) -> Iterator[MarketSlice]:
        """Iterate over the slices from number `start` on; every call gives the same ones.

        Raises:
            DataError: `start` is negative.
        """
        return self._timeline.slices(start)

    def history(
        self,
        stream: str,
        from_seq: int = 0,
        limit: int | None = None,
        *,
        published: int | None = None,
    ) -> list[tuple[int, Candle]]:
        """Return ``(slice number, candle)`` of one stream from a `seq` on, oldest first.

        For a subscriber that lags or restarts. Nothing is ever dropped; empty past the end. See
        `Timeline.history`.

        Raises:
            DataError: The stream is not played, or `from_seq` is negative.
        """
        return self._timeline.history(stream, from_seq, limit, published=published)

    def newest(
        self, stream: str, limit: int, *, published: int, before_ms: int | None = None
    ) -> list[Candle]:
        """Return the newest candles of a stream up to a slice, oldest first; see `Timeline`.

        Raises:
            DataError: The stream is not played.
        """
        return self._timeline.newest(stream, limit, published=published, before_ms=before_ms)

    def count(self, stream: str) -> int:
        """Return the number of candles of one stream.

        Raises:
            DataError: The stream is not played.
        """
        return self._timeline.count(stream)


def _open_files(named: Sequence[str]) -> tuple[list[CandleSource], list[FileReport]]:
    from engine.market.files import read_candles  # noqa: PLC0415 - it brings polars

    specs = [parse_file_spec(text) for text in named]
    _require_distinct(specs)
    sources, reports = [], []
    for spec in specs:
        columns, report = read_candles(spec)
        sources.append(CandleSource(spec.symbol, spec.timeframe, columns, str(spec.path)))
        reports.append(report)
    return sources, reports


def _require_distinct(specs: Sequence[FileSpec]) -> None:
    by_path: dict[str, FileSpec] = {}
    by_stream: dict[tuple[str, str], FileSpec] = {}
    for spec in specs:
        path = str(spec.path.resolve())
        if path in by_path:
            raise DataError(f"{spec.path}: the file is named twice; name it once")
        by_path[path] = spec
        stream = (symbol_key(spec.symbol), spec.timeframe)
        other = by_stream.setdefault(stream, spec)
        if other is not spec:
            raise DataError(
                f"{other.path} and {spec.path} both hold {spec.symbol} {spec.timeframe}; "
                "name one file per symbol and timeframe"
            )


def _file_notices(report: FileReport) -> Iterator[str]:
    if report.ignored_columns:
        yield f"{report.source}: columns not used: {', '.join(report.ignored_columns)}"
    if report.rejected:
        reasons = ", ".join(f"{reason} {count}" for reason, count in report.rejected.items())
        yield (
            f"{report.source}: {report.rows - report.accepted} of {report.rows} rows refused "
            f"({reasons}; first: {report.examples[0].detail})"
        )
    if report.gaps:
        yield f"{report.source}: {report.missing} candles missing, in {report.gaps} place(s)"
    if report.gaps and report.gaps == report.accepted - 1:
        yield (
            f"{report.source}: no two candles follow each other; check that they are "
            f"{report.timeframe} candles, as the name says"
        )
