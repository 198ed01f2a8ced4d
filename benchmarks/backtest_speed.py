"""B-BACKTEST: candles per second of the event-driven backtest, one RULES strategy, one core.

The MACD + RSI rule trades on about 8 % of candles; orders, fees, metrics, ledger and report are
included, reading the candles is not (the market is opened before the clock starts, like everybody
does).

Run: ``python -m benchmarks.backtest_speed [--replay BTC-USDT-PERP_1m.parquet]``
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.alone import parser_of, run_alone
from benchmarks.harness import Measure, Scenario, Trial
from benchmarks.results import Metric, Mode, Parameters
from benchmarks.workloads import macd_rsi
from engine.backtest import run_backtest
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.market import open_market

__all__ = ["SCENARIO", "main"]

SYMBOL = "BTC/USDT-PERP"
CANDLES = 45_000
RUNS = {"full": 7, "short": 5}


def workload() -> RunConfig:
    """Return one MACD + RSI strategy with fixed quantity and taker fees."""
    sizing = {"mode": "fixed_quantity", "value": 1}
    return RunConfig.model_validate(
        {
            "name": "backtest-speed",
            "market": {
                "synthetic": {"symbols": [{"symbol": SYMBOL, "startPrice": 40000}], "seed": 3}
                | {"candles": CANDLES}
            },
            "execution": {"takerFeeBps": 4},
            "strategies": [macd_rsi("macd_rsi", symbol=SYMBOL, sizing=sizing)],
        }
    )


def trial(runs: int, replay: Sequence[str] = ()) -> Trial:
    """Return the one case: the synthetic market, or the candles of some files."""
    names = "+".join(Path(name).name for name in replay)
    parameters: Parameters = {"files": names} if replay else {"candles": CANDLES}
    return Trial(parameters, lambda: _prepare(replay), runs)


def _prepare(replay: Sequence[str]) -> Measure:
    config, catalog = workload(), discover(default_folders())
    market = open_market(config.market, config.strategies[0].streams, replay)

    def measure() -> Mapping[str, float]:
        began = time.perf_counter()
        report = run_backtest(config, catalog, market)
        return {"Chorus": report.candles / (time.perf_counter() - began)}

    return measure


def _trials(mode: Mode) -> list[Trial]:
    return [trial(RUNS[mode])]


SCENARIO = Scenario(
    "B-BACKTEST",
    "event-driven backtest of one strategy that trades, one core",
    {"Chorus": Metric("candles/s", "higher")},
    _trials,
)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = parser_of(__doc__, runs=5)
    parser.add_argument("--replay", nargs="*", default=[], help="candle files instead of synthetic")
    arguments = parser.parse_args()
    run_alone(SCENARIO, [trial(arguments.runs, arguments.replay)], arguments)


if __name__ == "__main__":
    main()
