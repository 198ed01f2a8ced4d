"""Names: how files and the command line say what they hold."""

from pathlib import Path

import pytest

from engine.errors import DataError
from engine.market.symbols import parse_file_spec, symbol_key


@pytest.mark.parametrize(
    ("text", "symbol", "timeframe", "path"),
    [
        ("BTC-USDT-PERP_1m.parquet", "BTC/USDT-PERP", "1m", "BTC-USDT-PERP_1m.parquet"),
        ("a/b/ETH-BTC_5m.csv", "ETH/BTC", "5m", "a/b/ETH-BTC_5m.csv"),
        ("BTC_USDT_1h.csv", "BTC_USDT", "1h", "BTC_USDT_1h.csv"),
        ("BTCUSDT_1d.parquet", "BTCUSDT", "1d", "BTCUSDT_1d.parquet"),
        ("BTC/USDT:15m=x/y.csv", "BTC/USDT", "15m", "x/y.csv"),
        ("BTC/USDT=x/whatever_3m.csv", "BTC/USDT", "3m", "x/whatever_3m.csv"),
        ("BTC/USDT=_3m.csv", "BTC/USDT", "3m", "_3m.csv"),
        ("BTC/USDT:USDT:5m=x.csv", "BTC/USDT:USDT", "5m", "x.csv"),
        ("BTC/USDT:USDT=A-B_5m.csv", "BTC/USDT:USDT", "5m", "A-B_5m.csv"),
        (" BTC/USDT:1m = x.csv ", "BTC/USDT", "1m", "x.csv"),
        ("A/B:1m=dt=3/x.csv", "A/B", "1m", "dt=3/x.csv"),
    ],
)
def test_a_file_is_named_in_three_ways(text: str, symbol: str, timeframe: str, path: str) -> None:
    assert parse_file_spec(text) == (symbol, timeframe, Path(path))


def test_a_path_that_exists_may_hold_an_equals_sign(tmp_path: Path) -> None:
    folder = tmp_path / "year=2024"
    folder.mkdir()
    path = folder / "A-B_1m.csv"
    path.write_text("x")
    assert parse_file_spec(str(path)) == ("A/B", "1m", path)


@pytest.mark.parametrize(
    "text",
    [
        "btc.parquet",
        "BTC-USDT_2m.parquet",
        "BTC-USDT.1m.parquet",
        "BTC/USDT=btc.parquet",
        "BTC/USDT:2m=btc.parquet",
    ],
)
def test_a_name_without_a_timeframe_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(DataError, match=r"timeframes 1m, .*SYMBOL:TIMEFRAME=PATH"):
        parse_file_spec(text)


def test_a_name_without_a_symbol_is_refused() -> None:
    with pytest.raises(DataError, match="no symbol before '_'"):
        parse_file_spec("_1m.parquet")


@pytest.mark.parametrize("text", ["=x_1m.csv", ":1m=x.csv", "A/B:1m="])
def test_half_a_specification_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="needs a symbol before '=' and a path after it"):
        parse_file_spec(text)


def test_an_absurdly_long_text_is_refused_and_not_a_crash() -> None:
    with pytest.raises(DataError):
        parse_file_spec("x" * 5000 + "=" + "y" * 5000)


def test_spellings_of_one_symbol_have_one_key() -> None:
    spellings = ["BTC/USDT-PERP", "btc-usdt-perp", "BTC_USDT_PERP", "BTC/USDT:USDT"]
    assert {symbol_key(spelling) for spelling in spellings} == {"BTC-USDT-PERP"}
    assert symbol_key("BTC/USDT") != symbol_key("BTC/USDT-PERP")
