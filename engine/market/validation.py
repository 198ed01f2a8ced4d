"""Candle validation: what is refused, what is flagged, and the count of both.

Two twins keep the same rules and are tested equal: `CandleValidator` looks at one candle after
the other (live feeds), `validate_rows` at whole columns (files). The first rule broken, in the
order of `Reason`, names the rejection. A rejected row changes nothing: the next is judged as if
it had not been there.
"""

from __future__ import annotations

from enum import StrEnum
from math import isfinite

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.market.columns import CandleColumns, Floats, Ints
from engine.timeframes import format_time, timeframe_ms
from engine.types import Candle, StreamId

__all__ = ["CandleValidator", "Reason", "Rejection", "ValidationReport", "validate_rows"]

EXAMPLES_PER_REASON = 3


class Reason(StrEnum):
    """Why a candle was refused, in the order the rules are tried."""

    UNREADABLE = "unreadable"
    NOT_FINITE = "not_finite"
    PRICE_NOT_POSITIVE = "price_not_positive"
    NEGATIVE_VOLUME = "negative_volume"
    HIGH_BELOW_LOW = "high_below_low"
    HIGH_BELOW_BODY = "high_below_body"
    LOW_ABOVE_BODY = "low_above_body"
    OFF_BOUNDARY = "off_boundary"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"


_REASONS = tuple(Reason)
# In fault arrays a row carries the position of its reason; 0, which is UNREADABLE, means none:
# a row that could not be read never gets as far as an array.


class Rejection(msgspec.Struct, frozen=True):
    """One refused candle, kept as an example.

    Attributes:
        reason: The first rule it broke.
        row: Position in the file or feed, from 0.
        open_time: Its open time, ms UTC; None where it could not be read.
        detail: For people: the values that broke the rule.
    """

    reason: Reason
    row: int
    open_time: int | None
    detail: str


class ValidationReport(msgspec.Struct):
    """What validation saw so far.

    Attributes:
        rows: Candles looked at.
        accepted: Candles let through.
        rejected: Count per reason; reasons that did not occur are absent.
        examples: The first few rejections of each reason, in row order.
        gaps: How many accepted candles have missing intervals before them.
        missing: Missing intervals in all gaps together.
    """

    rows: int = 0
    accepted: int = 0
    rejected: dict[Reason, int] = msgspec.field(default_factory=dict)
    examples: list[Rejection] = msgspec.field(default_factory=list)
    gaps: int = 0
    missing: int = 0

    def reject(self, rejection: Rejection) -> None:
        """Count a rejection and keep it while examples of its reason are few."""
        count = self.rejected.get(rejection.reason, 0) + 1
        self.rejected[rejection.reason] = count
        if count <= EXAMPLES_PER_REASON:
            self.examples.append(rejection)

    @property
    def total_rejected(self) -> int:
        """Return the number of refused candles over all reasons."""
        return sum(self.rejected.values())


Row = tuple[int, float, float, float, float, float]
"""open_time, open, high, low, close, volume."""


class CandleValidator:
    """Judges the candles of one stream as they arrive and numbers the good ones.

    Called by a live feed for each closed candle; never blocks.

    Args:
        stream: Text form of the `StreamId`.
        next_seq: `seq` of the next accepted candle, when a stream is continued.
        last_open_time: Open time of the last accepted candle, when a stream is continued.
    """

    def __init__(
        self, stream: str, *, next_seq: int = 0, last_open_time: int | None = None
    ) -> None:
        self.stream = stream
        self.report = ValidationReport()
        self._length = timeframe_ms(StreamId.parse(stream).timeframe)
        self._seq = next_seq
        self._last = last_open_time

    def check(  # noqa: PLR0917 - the order of OHLCV is the field's own; keywords cost on the hot path
        self, open_time: int, open_: float, high: float, low: float, close: float, volume: float
    ) -> Candle | None:
        """Return the candle with its `seq` and `gap`, or None when it is refused.

        Args:
            open_time: Start, ms UTC.
            open_: First price.
            high: Highest price.
            low: Lowest price.
            close: Last price.
            volume: Traded amount, 0 or more.
        """
        report = self.report
        row = report.rows
        report.rows += 1
        length, last = self._length, self._last
        values = (open_time, open_, high, low, close, volume)
        reason = _broken_rule(values, length, last)
        if reason is not None:
            report.reject(Rejection(reason, row, open_time, _describe(reason, values, last)))
            return None
        gap = 0 if last is None else (open_time - last) // length - 1
        if gap:
            report.gaps += 1
            report.missing += gap
        report.accepted += 1
        seq = self._seq
        self._seq = seq + 1
        self._last = open_time
        return Candle(
            self.stream, seq, open_time, open_time + length, open_, high, low, close, volume, gap
        )


def _broken_rule(values: Row, length: int, last: int | None) -> Reason | None:  # noqa: PLR0911 - one return per rule is the table
    open_time, open_, high, low, close, volume = values
    # One sum is finite only if all parts are, except when huge finite parts overflow it.
    if not isfinite(open_ + high + low + close + volume) and not all(map(isfinite, values[1:])):
        return Reason.NOT_FINITE
    if open_ <= 0.0 or high <= 0.0 or low <= 0.0 or close <= 0.0:
        return Reason.PRICE_NOT_POSITIVE
    if volume < 0.0:
        return Reason.NEGATIVE_VOLUME
    if high < low:
        return Reason.HIGH_BELOW_LOW
    if high < open_ or high < close:
        return Reason.HIGH_BELOW_BODY
    if low > open_ or low > close:
        return Reason.LOW_ABOVE_BODY
    if open_time % length:
        return Reason.OFF_BOUNDARY
    if last is not None and open_time <= last:
        return Reason.DUPLICATE if open_time == last else Reason.OUT_OF_ORDER
    return None


def _describe(reason: Reason, values: Row, last: int | None) -> str:
    open_time, open_, high, low, close, volume = values
    at = format_time(open_time)
    match reason:
        case Reason.HIGH_BELOW_LOW:
            fault = f"high {high} is below low {low}"
        case Reason.HIGH_BELOW_BODY:
            fault = f"high {high} is below open {open_} or close {close}"
        case Reason.LOW_ABOVE_BODY:
            fault = f"low {low} is above open {open_} or close {close}"
        case Reason.NEGATIVE_VOLUME:
            fault = f"volume {volume} is negative"
        case Reason.OFF_BOUNDARY:
            fault = "open_time is not on a boundary of the timeframe"
        case Reason.DUPLICATE:
            fault = "open_time was there already; the first one counts"
        case Reason.OUT_OF_ORDER:
            fault = f"open_time is before the last accepted {format_time(last or 0)}"
        case _:
            fault = f"open {open_}, high {high}, low {low}, close {close}, volume {volume}"
    return f"{at}: {fault}"


def validate_rows(
    timeframe: str,
    open_time: Ints,
    prices: tuple[Floats, Floats, Floats, Floats, Floats],
    *,
    rows: Ints | None = None,
    report: ValidationReport | None = None,
) -> tuple[CandleColumns, ValidationReport]:
    """Judge whole columns at once, exactly as `CandleValidator` would row by row.

    Args:
        timeframe: Name of the timeframe.
        open_time: Starts, ms UTC, shape ``(n,)``.
        prices: Open, high, low, close and volume, each of shape ``(n,)``.
        rows: Row numbers for examples, shape ``(n,)``; None numbers them from 0.
        report: A report to continue, e.g. one that already counts unreadable rows.

    Returns:
        The accepted candles with their gaps, and the report.
    """
    length = timeframe_ms(timeframe)
    report = report or ValidationReport()
    faults = _row_faults(open_time, prices, length)
    last = _judge_order(open_time, faults)
    good = faults == 0
    if good.all():
        times, columns = open_time, prices
    else:
        times = open_time[good]
        columns = tuple(column[good] for column in prices)
        _report_faults(report, (open_time, *prices), faults, last, rows)
    gap = np.zeros(len(times), dtype=np.int64)
    gap[1:] = np.diff(times) // length - 1
    report.rows += len(open_time)
    report.accepted += len(times)
    report.gaps += int(np.count_nonzero(gap))
    report.missing += int(gap.sum())
    return CandleColumns(length, times, *columns, gap), report


def _row_faults(
    open_time: Ints, prices: tuple[Floats, Floats, Floats, Floats, Floats], length: int
) -> NDArray[np.uint8]:
    """Return per row the number of the first broken rule that needs no other row; 0: none."""
    open_, high, low, close, volume = prices
    finite = np.isfinite(open_) & np.isfinite(high) & np.isfinite(low)
    finite &= np.isfinite(close) & np.isfinite(volume)
    rules = (
        (Reason.NOT_FINITE, ~finite),
        (Reason.PRICE_NOT_POSITIVE, (open_ <= 0) | (high <= 0) | (low <= 0) | (close <= 0)),
        (Reason.NEGATIVE_VOLUME, volume < 0),
        (Reason.HIGH_BELOW_LOW, high < low),
        (Reason.HIGH_BELOW_BODY, (high < open_) | (high < close)),
        (Reason.LOW_ABOVE_BODY, (low > open_) | (low > close)),
        (Reason.OFF_BOUNDARY, open_time % length != 0),
    )
    faults = np.zeros(len(open_time), dtype=np.uint8)
    for reason, broken in reversed(rules):  # the earlier rule overwrites the later one
        faults[broken] = _REASONS.index(reason)
    return faults


def _judge_order(open_time: Ints, faults: NDArray[np.uint8]) -> Ints:
    """Add duplicates and late rows to `faults`; return the newest accepted time before each row.

    What is refused for its order is never newer than what was accepted, so the newest accepted
    time is the running maximum over all rows without a fault of their own.
    """
    never = np.iinfo(np.int64).min
    good = faults == 0
    last = np.full(len(open_time), never, dtype=np.int64)
    np.maximum.accumulate(np.where(good, open_time, never)[:-1], out=last[1:])
    faults[good & (open_time < last)] = _REASONS.index(Reason.OUT_OF_ORDER)
    faults[good & (open_time == last)] = _REASONS.index(Reason.DUPLICATE)
    return last


def _report_faults(
    report: ValidationReport,
    columns: tuple[Ints | Floats, ...],
    faults: NDArray[np.uint8],
    last: Ints,
    rows: Ints | None,
) -> None:
    """Count each reason and keep its first examples, in row order over all reasons."""
    examples: list[tuple[int, Rejection]] = []
    for code in np.unique(faults[faults != 0]).tolist():
        reason = _REASONS[code]
        where = np.flatnonzero(faults == code)
        before = report.rejected.get(reason, 0)
        report.rejected[reason] = before + len(where)
        for index in where[: max(0, EXAMPLES_PER_REASON - before)].tolist():
            values: Row = tuple(column[index].item() for column in columns)
            row = index if rows is None else int(rows[index])
            detail = _describe(reason, values, int(last[index]))
            examples.append((index, Rejection(reason, row, values[0], detail)))
    report.examples.extend(rejection for _, rejection in sorted(examples, key=lambda pair: pair[0]))
