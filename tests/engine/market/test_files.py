"""Candle files: every readable form gives the same candles, every bad one a clear error."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from engine.errors import DataError
from engine.market.columns import CandleColumns
from engine.market.files import read_candles
from engine.market.reports import FileReport
from engine.market.symbols import parse_file_spec

START = 1_704_067_200_000
MINUTE = 60_000
HEADER = "open_time,open,high,low,close,volume\n"


def read(path: Path) -> tuple[CandleColumns, FileReport]:
    return read_candles(parse_file_spec(f"A/B:1m={path}"))


def same(one: CandleColumns, other: CandleColumns) -> bool:
    names = ("open_time", "open", "high", "low", "close", "volume", "gap")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize("name", ["A-B_1m.parquet", "A-B_1m.csv"])
def test_a_file_becomes_columns_and_a_report(name: str, write_candles: Any) -> None:
    path = write_candles(name, 30)
    columns, report = read_candles(parse_file_spec(str(path)))
    assert len(columns) == 30
    assert columns.open_time[0] == START
    assert columns.open_time.dtype == np.int64
    assert columns.close.dtype == np.float64
    assert report == FileReport(
        source=str(path),
        symbol="A/B",
        timeframe="1m",
        rows=30,
        accepted=30,
        rejected={},
        examples=(),
        gaps=0,
        missing=0,
        first_open_time=START,
        last_open_time=START + 29 * MINUTE,
    )


TIME_FORMS = {
    "ms_utc": pl.col("open_time").cast(pl.Datetime("ms", "UTC")),
    "us_naive": pl.col("open_time").cast(pl.Datetime("ms")).cast(pl.Datetime("us")),
    "ns_zoned": pl.col("open_time")
    .cast(pl.Datetime("ms", "UTC"))
    .dt.convert_time_zone("Asia/Tokyo")
    .dt.cast_time_unit("ns"),
    "iso_z": pl.col("open_time").cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "iso_offset": (pl.col("open_time") + 3_600_000)
    .cast(pl.Datetime("ms"))
    .dt.strftime("%Y-%m-%d %H:%M:%S+01:00"),
    "iso_bare": pl.col("open_time").cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d %H:%M"),
    "text_ms": pl.col("open_time").cast(pl.String),
    "unsigned": pl.col("open_time").cast(pl.UInt64),
}


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("form", TIME_FORMS)
def test_every_form_of_time_gives_the_same_candles(
    form: str, ending: str, write_candles: Any, make_frame: Any
) -> None:
    frame = make_frame("1m", [0, 1, 2, 5, 6])
    plain, _ = read(write_candles("plain_1m.parquet", frame=frame))
    other, _ = read(write_candles(f"other_1m.{ending}", frame=frame.with_columns(TIME_FORMS[form])))
    assert same(plain, other)
    assert other.gap.tolist() == [0, 0, 0, 2, 0]


def test_days_may_be_dates(tmp_path: Path, make_frame: Any) -> None:
    frame = make_frame("1d", 3).with_columns(pl.col("open_time").cast(pl.Datetime("ms")).dt.date())
    path = tmp_path / "A-B_1d.parquet"
    frame.write_parquet(path)
    columns, _ = read_candles(parse_file_spec(str(path)))
    assert columns.open_time.tolist() == [START + k * 86_400_000 for k in range(3)]


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Decimal(18, 4), pl.Int32])
def test_any_kind_of_number_is_a_price(dtype: Any, write_candles: Any, make_frame: Any) -> None:
    names = ["open", "high", "low", "close", "volume"]
    frame = make_frame("1m", 5).with_columns(pl.col(names).round(0).cast(dtype))
    columns, _ = read(write_candles("A-B_1m.parquet", frame=frame))
    assert len(columns) == 5
    assert columns.open.tolist() == frame["open"].cast(pl.Float64).to_list()


def test_a_csv_number_is_read_to_the_last_bit(write_candles: Any, make_frame: Any) -> None:
    frame = make_frame("1m", 200, seed=3)
    columns, _ = read(write_candles("A-B_1m.csv", frame=frame))
    assert columns.close.tolist() == frame["close"].to_list()
    assert columns.volume.tolist() == frame["volume"].to_list()


def test_other_columns_are_ignored_and_named(write_candles: Any, make_frame: Any) -> None:
    frame = make_frame("1m", 3).with_columns(trades=1, note=pl.lit("x"))
    frame = frame.rename({"open": "Open", "volume": " Volume "})
    columns, report = read(write_candles("A-B_1m.csv", frame=frame))
    assert len(columns) == 3
    assert report.ignored_columns == ("trades", "note")


def test_bad_rows_are_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "A-B_1m.csv"
    good = "100,102,99,101,5"
    rows = [
        f"{START},{good}",
        f"{START + MINUTE},100,abc,99,101,5",
        f"{START + 2 * MINUTE},100,102,99,,5",
        f"someday,{good}",
        f"{START + 3 * MINUTE},100,102,99,nan,5",
        f"{START + 4 * MINUTE},100,98,99,101,5",
        f"{START + 5 * MINUTE},{good}",
        f"{START + 5 * MINUTE},{good}",
        f"{START + 2 * MINUTE},{good}",
        f"{START + 6 * MINUTE + 1},{good}",
        f"{10**17},{good}",
        *(f"{START + n * MINUTE},{good}" for n in range(7, 17)),
    ]
    path.write_text(HEADER + "\n".join(rows) + "\n")
    columns, report = read(path)
    assert ((columns.open_time - START) // MINUTE).tolist() == [0, 5, *range(7, 17)]
    assert columns.gap.tolist() == [0, 4, 1, *[0] * 9]
    assert report.rejected == {
        "unreadable": 4,
        "not_finite": 1,
        "high_below_low": 1,
        "duplicate": 1,
        "out_of_order": 1,
        "off_boundary": 1,
    }
    assert report.rows == report.accepted + sum(report.rejected.values()) == 21
    found = {(example.row, example.reason.value): example.detail for example in report.examples}
    assert found[1, "unreadable"] == "2024-01-01T00:01:00Z: high 'abc' cannot be read"
    assert found[2, "unreadable"] == "2024-01-01T00:02:00Z: close is empty"
    assert found[3, "unreadable"] == "no time: open_time 'someday' cannot be read"
    assert (4, "not_finite") in found
    assert found[5, "high_below_low"] == "2024-01-01T00:04:00Z: high 98.0 is below low 99.0"
    assert (7, "duplicate") in found
    assert (8, "out_of_order") in found
    assert (9, "off_boundary") in found


def test_nulls_in_parquet_are_counted(write_candles: Any, make_frame: Any) -> None:
    frame = make_frame("1m", 5).with_columns(
        close=pl.when(pl.int_range(pl.len()) == 2).then(None).otherwise(pl.col("close")),
        open_time=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise(pl.col("open_time")),
    )
    columns, report = read(write_candles("A-B_1m.parquet", frame=frame))
    assert len(columns) == 3
    assert report.rejected == {"unreadable": 2}


def test_a_datetime_outside_the_calendar_costs_its_row_only(
    write_candles: Any, make_frame: Any
) -> None:
    far = 9_000_000_000_000_000_000
    frame = make_frame("1m", 3).with_columns(
        open_time=pl.Series([START, far, START + MINUTE]).cast(pl.Datetime("ms", "UTC"))
    )
    columns, report = read(write_candles("A-B_1m.parquet", frame=frame))
    assert len(columns) == 2
    assert report.rejected == {"unreadable": 1}
    assert f"open_time {far} cannot be read" in report.examples[0].detail
    refuses(write_candles("A-B_1m.parquet", frame=frame[1:2]), f"the first is {far}")


def refuses(path: Path, *parts: str) -> None:
    """Check that the error names the file and every given part, and nothing of polars."""
    with pytest.raises(DataError) as caught:
        read(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    for part in parts:
        assert part in text
    assert "polars" not in text.lower()
    assert "\n" not in text


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refuses(tmp_path / "none_1m.parquet", "no such file", "check the path")


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refuses(tmp_path / "file" / "x_1m.csv", "cannot be read", "Not a directory")


def test_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "x_1m.parquet"
    folder.mkdir()
    refuses(folder, "is a folder", "name the files in it")


def test_another_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "x_1m.xlsx"
    path.write_bytes(b"PK")
    refuses(path, "must end in .parquet or .csv", "'.xlsx'")


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_file_of_no_bytes(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x_1m.{ending}"
    path.touch()
    refuses(path, "is empty (0 bytes)", "needs the columns open_time")


def test_a_csv_with_a_header_only(tmp_path: Path) -> None:
    path = tmp_path / "x_1m.csv"
    path.write_text(HEADER)
    refuses(path, "holds no rows")


def test_a_parquet_file_without_rows(write_candles: Any) -> None:
    refuses(write_candles("A-B_1m.parquet", 0), "holds no rows")


@pytest.mark.parametrize("kept", [3, 4, 8, 11, 100, -1, -8])
def test_a_truncated_parquet_file(kept: int, write_candles: Any) -> None:
    path = write_candles("A-B_1m.parquet", 200)
    path.write_bytes(path.read_bytes()[:kept])
    refuses(path, "Parquet file", "PAR1")


def test_a_csv_that_calls_itself_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x_1m.parquet"
    path.write_text(HEADER + "1,1,1,1,1,1\n")
    refuses(path, "is not a Parquet file", "begins with b'open'", "check the ending")


def test_a_parquet_that_calls_itself_csv(write_candles: Any) -> None:
    path = write_candles("A-B_1m.parquet", 50)
    refuses(path.rename(path.with_suffix(".csv")))


def test_damage_inside_a_parquet_file_is_an_error_or_bad_rows_but_never_a_crash(
    write_candles: Any,
) -> None:
    path = write_candles("A-B_1m.parquet", 300)
    whole = path.read_bytes()
    rng = random.Random(7)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(8):
            damaged[rng.randrange(4, len(whole) - 4)] = rng.randrange(256)
        path.write_bytes(bytes(damaged))
        try:
            read(path)
        except DataError as error:
            refused += 1
            assert str(path) in str(error)  # noqa: PT017 -- either outcome is right
    assert refused > 10


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x_1m.csv"
    path.write_bytes(HEADER.encode() + b"\xff\xfe\x00\x81,\x9d\n")
    refuses(path)


def test_rows_of_different_width(tmp_path: Path) -> None:
    path = tmp_path / "x_1m.csv"
    path.write_text(HEADER + f"{START},1,1,1,1,1\n{START + MINUTE},1,1,1,1,1,9,9\n")
    refuses(path, "is not a readable csv file")


def test_missing_columns_are_named_with_those_found(write_candles: Any, make_frame: Any) -> None:
    frame = make_frame("1m", 3).rename({"open_time": "timestamp"}).drop("volume")
    refuses(
        write_candles("A-B_1m.parquet", frame=frame),
        "lacks the columns open_time, volume",
        "found: timestamp, open, high, low, close",
    )


def test_another_separator_shows_in_the_columns_found(tmp_path: Path) -> None:
    path = tmp_path / "x_1m.csv"
    path.write_text(HEADER.replace(",", ";") + f"{START};1;1;1;1;1\n")
    refuses(path, "found: open_time;open;high")


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "x_1m.csv"
    path.write_text("open_time,open,high,low,close,volume,Close\n" + f"{START},1,1,1,1,1,1\n")
    refuses(path, "has the columns 'close' and 'Close'")


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("close", pl.lit("12.5"), "column close is String"),
        ("close", pl.lit(value=True), "column close is Boolean"),
        ("volume", pl.concat_list("open", "close"), "column volume is List"),
        ("open_time", pl.lit(1.5), "column open_time is Float64"),
        ("open_time", pl.lit(value=True), "column open_time is Boolean"),
    ],
)
def test_a_column_of_a_wrong_type(
    column: str, value: pl.Expr, found: str, write_candles: Any, make_frame: Any
) -> None:
    frame = make_frame("1m", 3).with_columns(value.alias(column))
    refuses(write_candles("A-B_1m.parquet", frame=frame), found, "must be")


@pytest.mark.parametrize(
    ("row", "named"), [("1,x,3,1,2,1", "open"), ("soon,2,3,1,2,1", "open_time")]
)
def test_a_column_without_a_single_number(row: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "x_1m.csv"
    path.write_text(HEADER + row + "\n")
    refuses(path, f"column {named} must hold", "no cell does")


def test_a_file_with_newest_rows_first(write_candles: Any, make_frame: Any) -> None:
    frame = make_frame("1m", 10).reverse()
    refuses(
        write_candles("A-B_1m.parquet", frame=frame),
        "ascending order of open_time, 9 of 10 are not",
        "sort the file",
    )


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{next},100,,99,101,5", "unreadable 6; e.g. 2024-01-01T00:05:00Z: high is empty); fill"),
        ("{next},100,nan,99,101,5", "rows that hold NaN or infinity"),
        ("{next},100,102,-1,101,5", "prices must be above 0"),
        ("{next},100,102,99,101,-5", "volume must be 0 or more"),
        ("{next},100,98,99,101,5", "check which column is which"),
        ("{next},100,100,99,101,5", "check which column is which"),
        ("{next},100,102,101,101,5", "check which column is which"),
        ("{next}7,100,102,99,101,5", "check timeframe and units"),
        ("{last},100,102,99,101,5", "check that the file holds one symbol"),
        ("{start},100,102,99,101,5", "sort the file"),
    ],
)
def test_a_file_of_mostly_unusable_rows_is_refused_with_a_remedy(
    tmp_path: Path, bad: str, said: str
) -> None:
    path = tmp_path / "A-B_1m.csv"
    rows = [f"{START + n * MINUTE},100,102,99,101,5" for n in range(5)]
    places = {"start": START, "last": START + 4 * MINUTE}
    rows += [bad.format(next=START + n * MINUTE, **places) for n in range(5, 10)]
    path.write_text(HEADER + "\n".join(rows) + "\n")
    assert read(path)[1].accepted == 5  # half of them is not most of them
    rows.append(bad.format(next=START + 10 * MINUTE, **places))
    path.write_text(HEADER + "\n".join(rows) + "\n")
    refuses(path, "6 of 11", said)


def test_a_few_rows_out_of_order_are_counted(write_candles: Any, make_frame: Any) -> None:
    columns, report = read(
        write_candles("A-B_1m.parquet", frame=make_frame("1m", [0, 2, 1, 3, 3, 4]))
    )
    assert len(columns) == 4
    assert report.rejected == {"out_of_order": 1, "duplicate": 1}


@pytest.mark.parametrize(
    ("factor", "hint"),
    [(1 / 1000, "looks like seconds"), (1000, "looks like micro- or nanoseconds")],
)
def test_times_in_another_unit_are_recognised(
    factor: float, hint: str, write_candles: Any, make_frame: Any
) -> None:
    frame = make_frame("1m", [1, 2, 3]).with_columns(
        open_time=((pl.col("open_time") + 1000) * factor).cast(pl.Int64)
    )
    refuses(write_candles("A-B_1m.parquet", frame=frame), hint)


def test_times_in_seconds_are_refused_even_if_some_fall_on_boundaries(
    write_candles: Any, make_frame: Any
) -> None:
    frame = make_frame("1m", 3000).with_columns(open_time=pl.col("open_time") // 1000)
    refuses(write_candles("A-B_1m.parquet", frame=frame), "looks like seconds")


def test_candles_of_another_timeframe_than_the_name_says(tmp_path: Path, make_frame: Any) -> None:
    path = tmp_path / "A-B_1h.parquet"
    make_frame("1m", 120).write_parquet(path)
    with pytest.raises(
        DataError, match=r"must hold 1h candles, 118 of 120 rows are none \(off_boundary 118"
    ):
        read_candles(parse_file_spec(str(path)))
