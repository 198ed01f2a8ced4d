"""Opening a market: which file serves which stream, what is played, what is said about it."""

from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from engine.config import MarketConfig, SyntheticConfig, SyntheticSymbol
from engine.errors import ConfigError, DataError
from engine.market import Market, open_market
from engine.types import Candle

START = 1_704_067_200_000
MINUTE = 60_000
FILES = MarketConfig()


def replay(streams: list[str], *paths: Path | str, config: MarketConfig = FILES) -> Market:
    return open_market(config, streams, [str(path) for path in paths])


def candles(market: Market, stream: str) -> list[Candle]:
    return [c for s in market.slices() for c in s.candles if c.stream == stream]


def test_a_file_is_played_candle_by_candle(write_candles: Any, make_frame: Any) -> None:
    market = replay(["paper:A/B:1m"], write_candles("A-B_1m.parquet", 20))
    slices = list(market.slices())
    assert [s.number for s in slices] == list(range(20))
    assert [s.time for s in slices] == [START + (k + 1) * MINUTE for k in range(20)]
    first, frame = slices[0].candles[0], make_frame("1m", 20)
    assert first == Candle(
        "paper:A/B:1m", 0, START, START + MINUTE, *frame.drop("open_time").row(0), 0
    )
    assert market.base_streams == {"paper:A/B": "paper:A/B:1m"}
    assert (market.total_candles, market.total_slices) == (20, 20)
    assert market.streams == ("paper:A/B:1m",)
    assert market.missing == market.notices == ()
    assert market.count("paper:A/B:1m") == 20


def test_every_iteration_gives_the_same_slices_from_any_start(write_candles: Any) -> None:
    market = replay(
        ["paper:A/B:5m", "paper:C/B:1m"],
        write_candles("A-B_1m.parquet", [0, 1, 2, 3, 4, 5, 11, 12, 40, 44]),
        write_candles("C-B_1m.csv", 50),
    )
    slices = list(market.slices())
    assert list(market.slices()) == slices
    for start in (0, 1, 7, 49, 50, 99):
        assert list(market.slices(start)) == slices[start:]
    assert len(slices) == market.total_slices


def test_a_stream_can_be_read_again_with_its_slice_numbers(write_candles: Any) -> None:
    market = replay(
        ["paper:A/B:5m"], write_candles("A-B_1m.parquet", [0, 1, 2, 3, 4, 5, 11, 12, 19])
    )
    played = [
        (s.number, c) for s in market.slices() for c in s.candles if c.stream == "paper:A/B:5m"
    ]
    assert market.history("paper:A/B:5m") == played
    assert market.history("paper:A/B:5m", 1, limit=1) == played[1:2]
    assert market.history("paper:A/B:5m", 99) == []


def test_a_coarser_stream_is_aggregated_from_the_finest_file(write_candles: Any) -> None:
    market = replay(["paper:A/B:5m"], write_candles("A-B_1m.parquet", 12))
    assert market.streams == ("paper:A/B:1m", "paper:A/B:5m")  # the base is played though unwanted
    assert market.base_streams == {"paper:A/B": "paper:A/B:1m"}
    assert market.total_candles == 12
    parts, larger = candles(market, "paper:A/B:1m"), candles(market, "paper:A/B:5m")
    assert [c.open_time for c in larger] == [START, START + 5 * MINUTE]
    assert larger[0].high == max(c.high for c in parts[:5])
    volume = 0.0
    for part in parts[:5]:
        volume += part.volume  # not `sum`: from Python 3.12 on it rounds once, at the end
    assert larger[0].volume == volume


def test_a_file_of_its_own_beats_aggregation(write_candles: Any, make_frame: Any) -> None:
    own = make_frame("5m", 4, seed=9)
    market = replay(
        ["paper:A/B:5m", "paper:A/B:15m"],
        write_candles("A-B_5m.parquet", frame=own),
        write_candles("A-B_1m.parquet", 20),
    )
    assert [c.close for c in candles(market, "paper:A/B:5m")] == own["close"].to_list()
    base = candles(market, "paper:A/B:1m")
    assert candles(market, "paper:A/B:15m")[0].close == base[14].close
    assert market.base_streams == {"paper:A/B": "paper:A/B:1m"}


def test_the_finest_file_that_divides_is_aggregated(write_candles: Any) -> None:
    market = replay(
        ["paper:A/B:10m"],
        write_candles("A-B_3m.parquet", 20),
        write_candles("A-B_5m.parquet", 12),
    )
    assert len(candles(market, "paper:A/B:10m")) == 6
    assert market.base_streams == {"paper:A/B": "paper:A/B:3m"}


def test_a_finer_stream_than_the_file_is_missing_and_the_reason_said(write_candles: Any) -> None:
    market = replay(
        ["paper:A/B:1m", "paper:A/B:5m", "paper:A/B:15m"], write_candles("A-B_5m.csv", 6)
    )
    assert market.missing == ("paper:A/B:1m",)
    assert market.streams == ("paper:A/B:5m", "paper:A/B:15m")
    assert (
        "'paper:A/B:1m' has no candles: A/B is there in 5m only; name a file in one of 1m"
        in (market.notices[0])
    )


@pytest.mark.parametrize("spelling", ["A/B-PERP", "A-B-PERP", "a_b_perp", "A/B:B"])
def test_spelling_does_not_matter_and_is_kept(spelling: str, write_candles: Any) -> None:
    stream = f"paper:{spelling}:1m"
    market = replay([stream], write_candles("A-B-PERP_1m.parquet", 3))
    assert market.streams == (stream,)
    assert market.base_streams == {f"paper:{spelling}": stream}
    assert market.notices == ()


def test_a_perpetual_stands_in_for_its_spot_symbol_and_says_so(write_candles: Any) -> None:
    path = write_candles("A-B-PERP_1m.parquet", 6)
    market = replay(["paper:A/B:1m", "paper:A/B:3m"], path)
    assert market.base_streams == {"paper:A/B": "paper:A/B:1m"}
    assert len(candles(market, "paper:A/B:3m")) == 2
    assert market.notices == (f"A/B has no source of its own, served by {path}",)


def test_an_exact_file_beats_the_perpetual(write_candles: Any, make_frame: Any) -> None:
    spot = make_frame("1m", 4, seed=5)
    market = replay(
        ["paper:A/B:1m", "paper:A/B-PERP:1m"],
        write_candles("A-B-PERP_1m.parquet", 4),
        write_candles("A-B_1m.parquet", frame=spot),
    )
    assert [c.close for c in candles(market, "paper:A/B:1m")] == spot["close"].to_list()
    assert market.notices == ()


def test_spot_does_not_stand_in_for_a_perpetual(write_candles: Any) -> None:
    market = replay(["paper:A/B-PERP:1m", "paper:A/B:1m"], write_candles("A-B_1m.parquet", 4))
    assert market.missing == ("paper:A/B-PERP:1m",)


def test_two_spellings_are_two_instruments_on_the_same_candles(write_candles: Any) -> None:
    wanted = ["paper:A/B:3m", "paper:A-B:1m", "paper:A-B:3m"]
    market = replay(wanted, write_candles("A-B_1m.parquet", 6))
    assert market.base_streams == {"paper:A/B": "paper:A/B:1m", "paper:A-B": "paper:A-B:1m"}
    assert market.streams == ("paper:A-B:1m", "paper:A/B:1m", "paper:A-B:3m", "paper:A/B:3m")
    assert market.total_candles == 12
    one, other = candles(market, "paper:A/B:1m"), candles(market, "paper:A-B:1m")
    assert [msgspec.structs.replace(c, stream="paper:A-B:1m") for c in one] == other


def test_another_venue_has_no_candles(write_candles: Any) -> None:
    path = write_candles("A-B_1m.parquet", 3)
    market = replay(["paper:A/B:1m", "binance:A/B:1m"], path)
    assert market.missing == ("binance:A/B:1m",)
    assert "the market plays venue 'paper'; set market.venue" in market.notices[0]
    other = replay(["binance:A/B:1m"], path, config=MarketConfig(venue="binance"))
    assert other.base_streams == {"binance:A/B": "binance:A/B:1m"}


def test_files_may_be_named_with_their_symbol(write_candles: Any) -> None:
    path = write_candles("whatever_1m.parquet", 3)
    market = replay(["paper:A/B:1m"], f"A/B={path}")
    assert market.total_candles == 3
    csv = path.with_name("data.csv")
    pl.read_parquet(path).write_csv(csv)
    assert replay(["paper:A/B:1m"], f"A/B:1m={csv}").total_candles == 3


def test_the_command_line_beats_the_configuration_and_files_beat_the_synthetic_market(
    write_candles: Any,
) -> None:
    one, other = write_candles("A-B_1m.parquet", 3), write_candles("A-B_1m.csv", 5)
    synthetic = SyntheticConfig(symbols=(SyntheticSymbol(symbol="A/B"),), candles=7)
    config = MarketConfig(replay=(str(one),), synthetic=synthetic)
    assert open_market(config, ["paper:A/B:1m"], [str(other)]).total_candles == 5
    market = open_market(config, ["paper:A/B:1m"])
    assert market.total_candles == 3
    assert "the synthetic market of the configuration is not" in market.notices[0]
    plain = open_market(MarketConfig(synthetic=synthetic), ["paper:A/B:5m"])
    assert plain.total_candles == 7
    assert len(candles(plain, "paper:A/B:5m")) == 1
    assert plain.reports[0].source == "synthetic"


def test_a_market_without_a_source_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"name files with --replay, or set market\.replay or"):
        open_market(MarketConfig(), ["paper:A/B:1m"])


def test_the_same_file_twice_is_refused(write_candles: Any) -> None:
    path = write_candles("A-B_1m.parquet", 3)
    again = path.parent / ".." / path.parent.name / path.name
    for named in (path, again, f"C/B={path}"):
        with pytest.raises(DataError, match="named twice; name it once"):
            replay(["paper:A/B:1m"], path, named)


def test_two_files_for_one_stream_are_refused(write_candles: Any) -> None:
    one, other = write_candles("A-B_1m.parquet", 3), write_candles("a_b_1m.csv", 3)
    with pytest.raises(DataError) as caught:
        replay(["paper:A/B:1m"], one, other)
    assert str(one) in str(caught.value)
    assert str(other) in str(caught.value)
    assert "name one file per symbol and timeframe" in str(caught.value)


def test_nothing_that_is_wanted_is_an_error(write_candles: Any) -> None:
    path = write_candles("A-B_1m.parquet", 3)
    with pytest.raises(DataError, match=r"no wanted stream has candles; .*there are: A/B\)"):
        replay(["paper:C/B:1m", "paper:D/B:5m"], path)
    with pytest.raises(ConfigError, match="timeframe '7m' is not known"):
        replay(["paper:A/B:7m"], path)


def test_nobody_listening_is_an_empty_market(write_candles: Any) -> None:
    path = write_candles("A-B_1m.parquet", 3)
    market = replay([], path)
    assert list(market.slices()) == []
    assert market.total_candles == market.total_slices == 0
    assert market.notices == (f"{path}: no strategy listens to it",)


def test_a_bad_file_is_an_error_even_when_nobody_listens(write_candles: Any) -> None:
    bad = write_candles("C-B_1m.parquet", 100)
    bad.write_bytes(bad.read_bytes()[:500])
    with pytest.raises(DataError, match="truncated"):
        replay(["paper:A/B:1m"], write_candles("A-B_1m.parquet", 3), bad)


def test_what_was_found_in_the_files_is_reported(write_candles: Any, make_frame: Any) -> None:
    frame = make_frame("1m", [0, 1, 4, 4, 5]).with_columns(extra=1)
    path = write_candles("A-B_1m.parquet", frame=frame)
    market = replay(["paper:A/B:1m"], path)
    (report,) = market.reports
    assert (report.rows, report.accepted, report.gaps, report.missing) == (5, 4, 1, 2)
    assert report.rejected == {"duplicate": 1}
    unused, refused, gaps = market.notices
    assert unused == f"{path}: columns not used: extra"
    assert refused.startswith(f"{path}: 1 of 5 rows refused (duplicate 1; first: 2024-01-01T00:04")
    assert gaps == f"{path}: 2 candles missing, in 1 place(s)"
    assert msgspec.json.decode(msgspec.json.encode(market.reports))[0]["accepted"] == 4


def test_a_name_that_promises_finer_candles_than_there_are_is_noticed(
    write_candles: Any, make_frame: Any
) -> None:
    path = write_candles("A-B_1m.parquet", frame=make_frame("5m", 10))
    notices = replay(["paper:A/B:1m"], path).notices
    assert any("no two candles follow each other" in notice for notice in notices)


def test_a_coarser_file_that_outlasts_the_base_is_noticed(write_candles: Any) -> None:
    base, coarse = write_candles("A-B_1m.parquet", 20), write_candles("A-B_5m.parquet", 20)
    (notice,) = replay(["paper:A/B:1m", "paper:A/B:5m"], base, coarse).notices
    assert notice.startswith(f"{coarse} reaches beyond {base}")
    assert "2024-01-01T00:20:00Z" in notice


def test_several_symbols_and_timeframes_come_in_one_order_of_time(write_candles: Any) -> None:
    names = ["B-X_1m.parquet", "A-X_1m.csv", "C-X_5m.parquet"]
    paths = [write_candles(name, 20, seed=seed) for seed, name in enumerate(names)]
    streams = [f"paper:{s}/X:{tf}" for s in "ABC" for tf in ("5m", "15m")]
    market = replay(streams, *paths)
    slices = list(market.slices())
    at_fifteen = slices[14]
    assert at_fifteen.time == START + 15 * MINUTE
    assert [c.stream for c in at_fifteen.candles] == [
        "paper:A/X:1m",
        "paper:B/X:1m",
        "paper:A/X:5m",
        "paper:B/X:5m",
        "paper:C/X:5m",
        "paper:A/X:15m",
        "paper:B/X:15m",
        "paper:C/X:15m",
    ]
    for stream in market.streams:
        assert [c.seq for c in candles(market, stream)] == list(range(market.count(stream)))
    times = [s.time for s in slices]
    assert times == sorted(set(times))
    assert replay(streams[::-1], *paths[::-1]).streams == market.streams
    assert list(replay(streams[::-1], *paths[::-1]).slices()) == slices


def test_the_speed_of_the_configuration_is_passed_on(write_candles: Any) -> None:
    path = write_candles("A-B_1m.parquet", 3)
    assert replay(["paper:A/B:1m"], path).speed == "max"
    assert replay(["paper:A/B:1m"], path, config=MarketConfig(speed=60)).speed == 60.0


def test_streams_of_another_file_than_their_base_are_uncovered(write_candles: Any) -> None:
    wanted = ["paper:A/B:1m", "paper:A/B:5m", "paper:A/B:15m", "paper:C/B:5m", "paper:D/B:1m"]
    market = replay(
        wanted,
        write_candles("A-B_1m.parquet", 60),
        write_candles("A-B_5m.parquet", 12),
        write_candles("C-B_5m.parquet", 12),
    )
    assert market.missing == ("paper:D/B:1m",)
    # 15m is made of the base's candles although the 5m file would divide it too.
    assert market.uncovered == {"paper:A/B:5m"}


def test_what_is_aggregated_from_another_file_than_the_base_is_uncovered(
    write_candles: Any,
) -> None:
    market = replay(
        ["paper:A/B:10m", "paper:A/B:15m"],
        write_candles("A-B_3m.parquet", 30),
        write_candles("A-B_5m.parquet", 20),
    )
    assert market.base_streams == {"paper:A/B": "paper:A/B:3m"}
    assert market.uncovered == {"paper:A/B:10m"}
