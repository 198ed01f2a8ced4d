"""Candle files (Parquet, CSV) as validated columns.

A file that cannot be understood as a whole is a `DataError` that names the file, what is
required, what was found and what to do. A row that cannot be used is left out and counted.

This module imports polars, which costs a process 17 MB and 0.35 s of processor time; so only
`open_market` imports it, and only where there is a file to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from engine.errors import ConfigError, DataError
from engine.market.columns import CandleColumns
from engine.market.reports import FileReport
from engine.market.symbols import FileSpec
from engine.market.validation import Reason, Rejection, ValidationReport, validate_rows
from engine.timeframes import format_time, parse_time

__all__ = ["REQUIRED_COLUMNS", "read_candles"]

NUMBER_COLUMNS = ("open", "high", "low", "close", "volume")
REQUIRED_COLUMNS = ("open_time", *NUMBER_COLUMNS)
_REQUIREMENT = (
    "a candle file needs the columns open_time (UTC: datetime, integer milliseconds or ISO 8601 "
    "text), open, high, low, close, volume (numbers)"
)
_PARQUET_MAGIC = b"PAR1"
_PARQUET_MINIMUM_BYTES = 12
_LAST_TIME = 253_402_300_800_000  # 10000-01-01: past the calendar
_SECONDS = (1e8, 1e10)  # 1973 to 2286 in seconds; in milliseconds, months of 1970
_MICROSECONDS = 1e14  # 1973 in microseconds; in milliseconds, the year 5138


def read_candles(spec: FileSpec) -> tuple[CandleColumns, FileReport]:
    """Read and validate one file. Blocks on the disk.

    Raises:
        DataError: The file cannot be read, lacks a column, or most of its rows are no candles.
    """
    frame, ignored = _required_columns(_read_frame(spec.path), spec.path)
    report = ValidationReport()
    times = _times(frame["open_time"], spec.path)
    numbers = [_numbers(frame[name], spec.path) for name in NUMBER_COLUMNS]
    keep = _readable(frame, times, numbers, report)
    rows = None
    if keep is not None:
        rows = np.flatnonzero(keep)
        times, numbers = times.filter(pl.Series(keep)), [n.filter(pl.Series(keep)) for n in numbers]
    open_, high, low, close, volume = (column.to_numpy() for column in numbers)
    columns, report = validate_rows(
        spec.timeframe,
        times.to_numpy(),
        (open_, high, low, close, volume),
        rows=rows,
        report=report,
    )
    _require_usable(columns, report, times, spec)
    return columns, FileReport(
        source=str(spec.path),
        symbol=spec.symbol,
        timeframe=spec.timeframe,
        rows=report.rows,
        accepted=report.accepted,
        rejected={str(reason): count for reason, count in report.rejected.items()},
        examples=tuple(report.examples),
        gaps=report.gaps,
        missing=report.missing,
        first_open_time=int(columns.open_time[0]),
        last_open_time=int(columns.open_time[-1]),
        ignored_columns=ignored,
    )


def _read_frame(path: Path) -> pl.DataFrame:
    kind = path.suffix.lower()
    try:
        if path.is_dir():
            raise DataError(f"{path}: is a folder, a candle file is required; name the files in it")
        if kind not in {".parquet", ".csv"}:
            raise DataError(f"{path}: must end in .parquet or .csv, got {kind or 'no ending'!r}")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty (0 bytes); {_REQUIREMENT}")
        if kind == ".parquet":
            _require_whole_parquet(path)
            return pl.read_parquet(path, glob=False, hive_partitioning=False)
        # All cells as text: a word among numbers then costs its row and not the file.
        return pl.read_csv(path, infer_schema=False, glob=False)
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; check the path (relative ones start at {Path.cwd()})"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path}: is not a readable {kind[1:]} file: {what[:200]}; write it again or get a "
            "fresh copy"
        ) from error


def _require_whole_parquet(path: Path) -> None:
    """Refuse a file without Parquet's four marker bytes at both ends: another format, or cut."""
    with path.open("rb") as file:
        head = file.read(len(_PARQUET_MAGIC))
        size = path.stat().st_size
        file.seek(max(0, size - len(_PARQUET_MAGIC)))
        tail = file.read()
    if head != _PARQUET_MAGIC:
        raise DataError(
            f"{path}: is not a Parquet file (must begin with 'PAR1', begins with {head!r}); "
            "check the ending of the name"
        )
    if size < _PARQUET_MINIMUM_BYTES or tail != _PARQUET_MAGIC:
        raise DataError(
            f"{path}: the Parquet file is truncated (must end with 'PAR1', ends with {tail!r} "
            f"after {size} bytes); get a fresh copy"
        )


def _required_columns(frame: pl.DataFrame, path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the six columns under their own names, and the names of all others."""
    found: dict[str, str] = {}
    for column in frame.columns:
        name = column.strip().lower()
        if name in found and name in REQUIRED_COLUMNS:
            raise DataError(
                f"{path}: has the columns {found[name]!r} and {column!r}, only one may be "
                f"called {name!r}; rename or drop the other"
            )
        found[name] = column
    absent = [name for name in REQUIRED_COLUMNS if name not in found]
    if absent:
        raise DataError(
            f"{path}: lacks the column{'s' if len(absent) > 1 else ''} {', '.join(absent)} "
            f"(found: {', '.join(frame.columns) or 'none'}); {_REQUIREMENT}"
        )
    if frame.height == 0:
        raise DataError(f"{path}: holds no rows; at least one candle is required")
    used = {found[name] for name in REQUIRED_COLUMNS}
    ignored = tuple(column for column in frame.columns if column not in used)
    return frame.select(pl.col(found[name]).alias(name) for name in REQUIRED_COLUMNS), ignored


def _times(column: pl.Series, path: Path) -> pl.Series:
    """Return open times as Int64 ms UTC, null where a cell cannot be read."""
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        times = column.dt.epoch("ms")
    elif dtype == pl.Date:
        times = column.cast(pl.Datetime("ms")).dt.epoch("ms")
    elif dtype.is_integer():
        times = column.cast(pl.Int64, strict=False)
    elif dtype == pl.String:
        times = _times_from_text(column)
    else:
        raise DataError(
            f"{path}: column open_time is {dtype}, must be datetime, integer milliseconds or "
            "ISO 8601 text, in UTC; convert it"
        )
    like = f"times like 2024-01-01T00:00:00Z or 1704067200000{_unit_hint(times)}"
    # Outside the calendar there is no candle, and differences could overflow.
    times = times.set(~times.is_between(0, _LAST_TIME, closed="left").fill_null(value=True), None)
    return _require_some(times, column, path, like)


def _times_from_text(column: pl.Series) -> pl.Series:
    times = column.str.strip_chars().cast(pl.Int64, strict=False)
    if times.null_count() == 0:
        return times
    numbers = times.to_list()
    for row, (number, text) in enumerate(zip(numbers, column.to_list(), strict=True)):
        if number is None and text is not None:
            try:
                numbers[row] = parse_time(text)
            except ConfigError:
                continue  # stays null: the row is refused and counted
    return pl.Series(column.name, numbers, dtype=pl.Int64)


def _numbers(column: pl.Series, path: Path) -> pl.Series:
    """Return a number column as Float64, null where a cell is no number."""
    dtype = column.dtype
    if dtype == pl.String and path.suffix.lower() == ".csv":
        numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
        return _require_some(numbers, column, path, "numbers like 42000.5")
    if dtype.is_numeric():
        return column.cast(pl.Float64, strict=False)
    raise DataError(
        f"{path}: column {column.name} is {dtype}, must be a number; write it as Float64"
    )


def _require_some(parsed: pl.Series, raw: pl.Series, path: Path, like: str) -> pl.Series:
    if parsed.null_count() == len(parsed):
        raise DataError(
            f"{path}: column {raw.name} must hold {like}, no cell does (the first is "
            f"{_cell(raw, 0)}); check separator, header and units"
        )
    return parsed


def _cell(column: pl.Series, row: int) -> str:
    """Show a cell; a time as its number, because one far outside the calendar has no other form."""
    return repr((column.to_physical() if column.dtype.is_temporal() else column)[row])


def _readable(
    frame: pl.DataFrame, times: pl.Series, numbers: Sequence[pl.Series], report: ValidationReport
) -> np.typing.NDArray[np.bool_] | None:
    """Count rows with a cell that is empty or no number; return the others, None for all."""
    columns = (times, *numbers)
    if not any(column.null_count() for column in columns):
        return None
    keep = np.ones(frame.height, dtype=np.bool_)
    for column in columns:
        keep &= column.is_not_null().to_numpy()
    for row in np.flatnonzero(~keep).tolist():
        report.rows += 1
        time = times[row]
        name = next(c.name for c in columns if c[row] is None)
        cell = _cell(frame[name], row)
        what = "is empty" if cell == "None" else f"{cell} cannot be read"
        at = "no time" if time is None else format_time(time)
        report.reject(Rejection(Reason.UNREADABLE, row, time, f"{at}: {name} {what}"))
    return keep


_COLUMNS = "check which column is which"
_REMEDIES = {
    Reason.UNREADABLE: "fill or drop the cells that are empty or no numbers",
    Reason.NOT_FINITE: "fill or drop the rows that hold NaN or infinity",
    Reason.PRICE_NOT_POSITIVE: f"prices must be above 0; {_COLUMNS}",
    Reason.NEGATIVE_VOLUME: f"volume must be 0 or more; {_COLUMNS}",
    Reason.OFF_BOUNDARY: "check timeframe and units",
    Reason.DUPLICATE: "each open_time may stand there once; check that the file holds one symbol",
    Reason.OUT_OF_ORDER: "sort the file by open_time",
}
"""What to do about a file most rows of which were refused, mostly for that reason."""


def _require_usable(
    columns: CandleColumns, report: ValidationReport, times: pl.Series, spec: FileSpec
) -> None:
    """Refuse a file without candles, and one that is by and large something else.

    Where most rows are refused they are no bad rows, but a wrong name, unit, column or sort.
    """
    refused = report.total_rejected
    if len(columns) and 2 * refused <= report.rows:
        return
    unordered = report.rejected.get(Reason.OUT_OF_ORDER, 0)
    if 2 * unordered > report.rows:
        raise DataError(
            f"{spec.path}: rows must be in ascending order of open_time, {unordered} of "
            f"{report.rows} are not; sort the file"
        )
    usual = max(report.rejected, key=report.rejected.__getitem__)
    first = next(example for example in report.examples if example.reason == usual)
    reasons = ", ".join(f"{reason} {count}" for reason, count in report.rejected.items())
    remedy = _REMEDIES.get(usual, _COLUMNS)
    raise DataError(
        f"{spec.path}: must hold {spec.timeframe} candles, {refused} of {report.rows} rows are "
        f"none ({reasons}; e.g. {first.detail}); {remedy}{_unit_hint(times)}"
    )


def _unit_hint(times: pl.Series) -> str:
    """Recognise the two usual mistakes by their size: seconds, and micro- or nanoseconds."""
    typical = times.median()
    if not isinstance(typical, float):
        return ""
    if _SECONDS[0] < typical < _SECONDS[1]:
        return " (open_time looks like seconds, milliseconds are required)"
    if typical > _MICROSECONDS:
        return " (open_time looks like micro- or nanoseconds, milliseconds are required)"
    return ""
