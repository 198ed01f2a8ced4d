"""What was found in a source of candles."""

from __future__ import annotations

import msgspec

from engine.market.validation import Rejection

__all__ = ["FileReport"]


class FileReport(msgspec.Struct, frozen=True):
    """What was found in one source of candles.

    Attributes:
        source: Path of the file, or `synthetic`.
        symbol: Symbol the source holds.
        timeframe: Timeframe the source holds.
        rows: Rows in the file.
        accepted: Rows that became candles.
        rejected: Count of refused rows by reason.
        examples: First refused rows of each reason.
        gaps: Places where candles are missing.
        missing: Missing candles in all gaps together.
        first_open_time: Start of the first candle, ms UTC.
        last_open_time: Start of the last candle, ms UTC.
        ignored_columns: Columns of the file that are not used.
    """

    source: str
    symbol: str
    timeframe: str
    rows: int
    accepted: int
    rejected: dict[str, int]
    examples: tuple[Rejection, ...]
    gaps: int
    missing: int
    first_open_time: int
    last_open_time: int
    ignored_columns: tuple[str, ...] = ()
