"""The synthetic market: valid candles on the tick grid, the same bits for the same seed."""

from decimal import Decimal
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import SyntheticConfig, SyntheticSymbol
from engine.errors import ConfigError
from engine.market.columns import CandleColumns
from engine.market.synthetic import synthetic_columns, synthetic_sources
from engine.market.validation import validate_rows
from engine.timeframes import TIMEFRAMES
from tests.examples import examples

DAY = "2024-01-01T00:00:00Z"
NAMES = ("open_time", "open", "high", "low", "close", "volume", "gap")


def make(candles: int = 1000, *, seed: int = 0, start: str = DAY, **symbol: Any) -> CandleColumns:
    return synthetic_columns(
        SyntheticSymbol(**{"symbol": "BTC/USDT", **symbol}), candles=candles, start=start, seed=seed
    )


def digest(columns: CandleColumns) -> str:
    return sha256(b"".join(getattr(columns, name).tobytes() for name in NAMES)).hexdigest()


parameters = st.fixed_dictionaries(
    {
        "timeframe": st.sampled_from(list(TIMEFRAMES)),
        "annual_volatility": st.floats(0.01, 20.0),
        "annual_drift": st.floats(-20.0, 20.0),
    }
)


@examples(60)
@given(
    st.integers(-5, 2**40),
    st.integers(1, 400),
    st.sampled_from([(100.0, 0.01), (42000.0, 0.5), (0.05, 0.000001), (3.0, 0.025)]),
    parameters,
)
def test_every_candle_is_valid_and_on_the_tick_grid(
    seed: int, candles: int, price: tuple[float, float], symbol: dict[str, Any]
) -> None:
    columns = make(candles, seed=seed, start_price=price[0], tick_size=price[1], **symbol)
    prices = (columns.open, columns.high, columns.low, columns.close, columns.volume)
    accepted, report = validate_rows(symbol["timeframe"], columns.open_time, prices)
    assert len(accepted) == candles
    assert not report.rejected
    assert report.gaps == 0
    tick = Decimal(repr(price[1]))
    for value in np.concatenate(prices[:4]).tolist()[:200]:
        assert Decimal(repr(value)) % tick == 0
    assert columns.close.min() >= price[0] / 20 - price[1]
    assert columns.close.max() <= price[0] * 20 + price[1]


@examples(40)
@given(st.integers(0, 2**32), st.integers(1, 600), st.integers(0, 600))
def test_a_longer_run_begins_with_the_shorter_one(seed: int, short: int, more: int) -> None:
    one, other = make(short, seed=seed), make(short + more, seed=seed)
    for name in NAMES:
        assert np.array_equal(getattr(one, name), getattr(other, name)[:short])


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    assert digest(make(seed=1)) == digest(make(seed=1))
    assert digest(make(seed=1)) != digest(make(seed=2))
    assert digest(make(seed=1)) != digest(make(seed=1, symbol="ETH/USDT"))


def test_the_bits_are_the_same_on_every_machine_and_in_every_version() -> None:
    # A change here changes every golden ledger: it must be meant.
    assert digest(make(2000, seed=42)) == (
        "8e8c9df84bb01e4e55f70582a30413357c68d8b8c85c1407d62a336803271a57"
    )


def test_spellings_of_a_symbol_are_the_same_market() -> None:
    assert digest(make(symbol="BTC/USDT")) == digest(make(symbol="btc-usdt"))


def test_candles_follow_each_other_and_open_at_the_last_close() -> None:
    columns = make(500, timeframe="5m")
    assert np.diff(columns.open_time).tolist() == [300_000] * 499
    assert columns.open_time[0] == 1_704_067_200_000
    assert np.array_equal(columns.open[1:], columns.close[:-1])
    assert columns.open[0] == 100.0


def test_it_is_interesting_to_trade() -> None:
    columns = make(20_000, seed=3, timeframe="5m", annual_volatility=0.8)
    moves = np.diff(np.log(columns.close))
    per_year = float(moves.std() * np.sqrt(365 * 288))
    assert 0.5 < per_year < 1.3  # about the volatility asked for
    stretches = moves[: len(moves) // 240 * 240].reshape(-1, 240)
    # Regimes: volatility differs between stretches, long moves exceed a plain random walk's.
    assert stretches.std(axis=1).max() > 2 * stretches.std(axis=1).min()
    assert stretches.sum(axis=1).std() > 1.2 * moves.std() * np.sqrt(240)
    assert np.corrcoef(np.abs(moves), columns.volume[1:])[0, 1] > 0.3


def test_symbols_move_together_but_not_alike() -> None:
    one, other = make(5000, symbol="A/B"), make(5000, symbol="C/B")
    moves = [np.diff(np.log(columns.close)) for columns in (one, other)]
    assert 0.1 < np.corrcoef(*moves)[0, 1] < 0.6


def test_a_configuration_makes_one_source_and_report_per_symbol() -> None:
    config = SyntheticConfig(
        symbols=(
            SyntheticSymbol(symbol="BTC/USDT"),
            SyntheticSymbol(symbol="ETH/USDT", timeframe="5m"),
        ),
        candles=10,
    )
    sources, reports = synthetic_sources(config)
    assert [(s.symbol, s.timeframe, len(s.columns)) for s in sources] == [
        ("BTC/USDT", "1m", 10),
        ("ETH/USDT", "5m", 10),
    ]
    assert [(r.source, r.rows, r.accepted) for r in reports] == [("synthetic", 10, 10)] * 2


def test_a_symbol_that_is_there_twice_is_refused() -> None:
    config = SyntheticConfig(
        symbols=(SyntheticSymbol(symbol="BTC/USDT"), SyntheticSymbol(symbol="BTC-USDT")), candles=1
    )
    with pytest.raises(ConfigError, match=r"'BTC-USDT' is there twice \(as 'BTC/USDT'\)"):
        synthetic_sources(config)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"timeframe": "7m"}, "timeframe '7m' is not known"),
        ({"start": "soon"}, "'soon' is not ISO 8601"),
        (
            {"start": "2024-01-01T00:07:00Z", "timeframe": "15m"},
            "must be on a boundary .* use 2024-01-01T00:00:00Z",
        ),
        ({"start": "9999-12-31T00:00:00Z", "timeframe": "1d"}, "leave the calendar"),
        ({"start": "1969-12-31T00:00:00Z"}, "leave the calendar"),
        ({"start_price": 0.05}, "at least 100 ticks .* set tick_size"),
        ({"start_price": 1e12, "tick_size": 1e-8}, "few enough to count exactly"),
    ],
)
def test_values_that_do_not_fit_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(10, **wrong)
