"""B-VECTORISED: candles per second of the vectorised backtest, alone and in a sweep, one core.

The MACD + RSI rule trades on about 8 % of candles. Everything from the configuration to the round
trips is included (rules compiled, indicators, conditions, fills, exact profit, drawdown at every
close), reading the candles is not. Nothing is kept from one run to the next. The sweep plays
1,000 sets of MACD periods, RSI periods and thresholds; a set counts all its candles.

Run: ``python -m benchmarks.vectorised [--replay BTC-USDT-PERP_1m.parquet]``
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from benchmarks.alone import parser_of, run_alone
from benchmarks.harness import Measure, Scenario, Trial
from benchmarks.results import Metric, Mode, Parameters
from benchmarks.workloads import macd_rsi
from engine.config import RunConfig, SyntheticSymbol
from engine.market import CandleColumns, parse_file_spec, synthetic_columns
from engine.market.files import read_candles
from engine.vectorised import sweep, vectorised_backtest

__all__ = ["SCENARIO", "main"]

SYMBOL = "BTC/USDT-PERP"
CANDLES = 45_031
REPEATED = 20
"""Single backtests per run: one alone takes a few milliseconds."""

GRID: dict[str, list[Any]] = {
    "indicators.macd.fastPeriod": [6, 8, 10, 12, 14],
    "indicators.macd.slowPeriod": [20, 26, 30, 35],
    "indicators.macd.signalPeriod": [7, 9],
    "indicators.rsi.period": [7, 10, 14, 18, 21],
    "parameters.limit": [60, 65, 70, 75, 80],
}
SETS = 1000
RUNS = {"full": 7, "short": 3}


def workload(limit: str) -> RunConfig:
    """Return one MACD + RSI strategy with fixed quantity, no costs; `limit` ends its entries."""
    strategy = macd_rsi("macd_rsi", symbol=SYMBOL, sizing={"mode": "fixed_quantity", "value": 1})
    strategy["rules"]["entry"]["condition"] = f"macd_crossover_bullish AND rsi < {limit}"
    strategy["parameters"] = {"limit": 70} if limit == "limit" else {}
    return RunConfig.model_validate({"name": "vectorised", "strategies": [strategy]})


def trials(runs: int, replay: str = "") -> list[Trial]:
    """Return both cases, over the synthetic market or the candles of a file."""
    market: Parameters = {"files": 1} if replay else {"candles": CANDLES}
    return [
        Trial({"sets": 1, **market}, lambda: _single(_candles(replay)), runs),
        Trial({"sets": SETS, **market}, lambda: _sweep(_candles(replay)), runs),
    ]


def _candles(replay: str) -> CandleColumns:
    if replay:
        columns, _ = read_candles(parse_file_spec(replay))
        return columns
    symbol = SyntheticSymbol(symbol=SYMBOL, start_price=40_000)
    return synthetic_columns(symbol, candles=CANDLES, start="2024-01-01T00:00:00Z", seed=3)


def _single(candles: CandleColumns) -> Measure:
    run = workload("70")

    def measure() -> Mapping[str, float]:
        began = time.perf_counter()
        for _ in range(REPEATED):
            vectorised_backtest(run.strategies[0], candles, run=run)
        return {"Chorus": REPEATED * len(candles) / (time.perf_counter() - began)}

    return measure


def _sweep(candles: CandleColumns) -> Measure:
    run = workload("limit")

    def measure() -> Mapping[str, float]:
        began = time.perf_counter()
        table = sweep(run.strategies[0], GRID, candles, run=run)
        return {"Chorus": table.height * len(candles) / (time.perf_counter() - began)}

    return measure


def _trials(mode: Mode) -> list[Trial]:
    return trials(RUNS[mode])


SCENARIO = Scenario(
    "B-VECTORISED",
    "vectorised backtest of one strategy, alone and in a sweep of 1,000 sets, one core",
    {"Chorus": Metric("candles/s", "higher")},
    _trials,
)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = parser_of(__doc__, runs=5)
    parser.add_argument("--replay", default="", help="a candle file instead of synthetic candles")
    arguments = parser.parse_args()
    run_alone(SCENARIO, trials(arguments.runs, arguments.replay), arguments)


if __name__ == "__main__":
    main()
