"""B-BACKTEST: candles per second of the event-driven backtest, one RULES strategy, one core.

The MACD + RSI rule trades on about 8 % of candles; orders, fees, metrics and ledger are included,
reading the candles is not (the market is opened before the clock starts, like everybody does).

Run: ``python -m benchmarks.backtest_speed [--replay BTC-USDT-PERP_1m.parquet]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import machine_line, repeat, save
from engine.backtest import run_backtest
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.market import open_market

SYMBOL = "BTC/USDT-PERP"
CANDLES = 45_000


def workload() -> RunConfig:
    """Return one MACD + RSI strategy with fixed quantity and taker fees."""
    return RunConfig.model_validate(
        {
            "name": "backtest-speed",
            "market": {
                "synthetic": {"symbols": [{"symbol": SYMBOL, "startPrice": 40000}], "seed": 3}
                | {"candles": CANDLES}
            },
            "execution": {"takerFeeBps": 4},
            "strategies": [
                {
                    "id": "macd_rsi",
                    "symbol": SYMBOL,
                    "timeframe": "1m",
                    "indicators": {"macd": {}, "rsi": {"period": 14}},
                    "rules": {
                        "entry": {"condition": "macd_crossover_bullish AND rsi < 70"},
                        "exit": {"condition": "macd_crossover_bearish OR rsi > 80"},
                    },
                    "sizing": {"mode": "fixed_quantity", "value": 1},
                }
            ],
        }
    )


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replay", nargs="*", default=[], help="candle files instead of synthetic")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None, help="write the results here")
    arguments = parser.parse_args()
    config = workload()
    catalog = discover(default_folders())
    market = open_market(config.market, config.strategies[0].streams, arguments.replay)

    def measure() -> Mapping[str, float]:
        began = time.perf_counter()
        report = run_backtest(config, catalog, market)
        elapsed_s = time.perf_counter() - began
        return {
            "candles_per_s": report.candles / elapsed_s,
            "candles": report.candles,
            "fills": report.totals["fills"],
        }

    figures = repeat(measure, arguments.runs)
    print(machine_line())
    print(
        f"{figures['candles_per_s']:,.0f} candles/s "
        f"({figures['candles']:,.0f} candles, {figures['fills']:,.0f} fills, "
        f"median of {arguments.runs} runs, report included)"
    )
    if arguments.json is not None:
        save([{"id": "B-BACKTEST", **figures}], arguments.json)


if __name__ == "__main__":
    main()
