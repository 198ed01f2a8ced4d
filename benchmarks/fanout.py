"""B-FANOUT: candle to decision, N dedicated actors, beside the same fan-out by plain Ray calls.

Both sides run the same instance (MACD + RSI rules) in N Ray actors on the same candles, one after
the other in one program. The engine's latency is "published by the MarketData actor until received
by the order manager"; the plain one is "called until the caller has the result", each taken for
every single answer.

Run: ``python -m benchmarks.fanout --actors 40 --candles 600``
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.cluster import embedded_cluster, spawn
from actors.engine import running_engine
from actors.fleet import call
from benchmarks.harness import Result, machine_line, percentiles, save
from engine.catalog import default_folders, discover, load_file
from engine.config import RunConfig
from engine.instance import build
from engine.market import open_market
from engine.money import instruments_by_symbol
from engine.types import Candle

CANDLE_EVERY_S = 0.1
"""Real time between two candles; long enough that one fan-out never meets the next."""

_MINUTE_S = 60


def workload(actors: int, candles: int) -> RunConfig:
    """Return a run of N equal MACD + RSI strategies on one synthetic symbol."""
    strategy = {
        "symbol": "BTC/USDT",
        "timeframe": "1m",
        "indicators": {"macd": {}, "rsi": {"period": 14}},
        "rules": {
            "entry": {"condition": "macd_crossover_bullish AND rsi < 70"},
            "exit": {"condition": "macd_crossover_bearish OR rsi > 80"},
        },
        "risk": {"maxPositionSize": 0.001},
    }
    return RunConfig.model_validate(
        {
            "name": "fanout",
            "market": {
                "synthetic": {"symbols": [{"symbol": "BTC/USDT"}], "candles": candles, "seed": 7},
                "speed": _MINUTE_S / CANDLE_EVERY_S,
            },
            "strategies": [{**strategy, "id": f"s{n:04d}"} for n in range(actors)],
        }
    )


def measure_engine(config: RunConfig) -> dict[str, float]:
    """Return percentiles in ms of the engine's own latency samples."""
    with running_engine(config, discover(default_folders())) as engine:
        while not engine.wait(1.0):
            pass
        return engine.client.status().latency_ms


class PlainActor:
    """The same instance behind an ordinary Ray call."""

    def __init__(self, config: RunConfig, number: int, plugin_file: str) -> None:
        strategy = config.strategies[number]
        self._instance = build(
            strategy,
            load_file(plugin_file),
            instruments=instruments_by_symbol(config.instruments),
            capital=config.capital_of(strategy),
        )

    def on_candle(self, candle: Candle) -> Any:
        """Process a candle and answer."""
        return self._instance.on_candle(candle)

    def ready(self) -> None:
        """Answer once the actor has started."""


def measure_plain(config: RunConfig) -> dict[str, float]:
    """Return percentiles in ms of calling every actor and receiving every result."""
    plugin_file = str(discover(default_folders()).types["RULES"].file)
    streams = config.strategies[0].streams
    candles = [s.candles[0] for s in open_market(config.market, streams, ()).slices()]
    samples: list[float] = []
    with embedded_cluster(len(config.strategies)):
        actors = []
        for first in range(0, len(config.strategies), 8):
            numbers = range(first, min(first + 8, len(config.strategies)))
            wave = [spawn(PlainActor, config, n, plugin_file, threads=1) for n in numbers]
            for actor in wave:
                call(actor.ready.remote(), 120.0)
            actors += wave
        for candle in candles:
            began = time.monotonic()
            samples += _call_all(actors, candle)
            time.sleep(max(0.0, began + CANDLE_EVERY_S - time.monotonic()))
    return {name: round(value, 3) for name, value in percentiles(samples).items()}


def _call_all(actors: Sequence[Any], candle: Candle) -> list[float]:
    samples: list[float] = []
    all_back = threading.Event()
    began = time.monotonic_ns()

    def arrived(_: Any) -> None:
        samples.append((time.monotonic_ns() - began) / 1e6)
        if len(samples) == len(actors):
            all_back.set()

    for actor in actors:
        actor.on_candle.remote(candle).future().add_done_callback(arrived)
    all_back.wait(60.0)
    return samples


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--actors", type=int, nargs="+", default=[40])
    parser.add_argument("--candles", type=int, default=600)
    parser.add_argument("--json", type=Path, default=None, help="write the results here")
    arguments = parser.parse_args()
    print(machine_line())
    results: list[Result] = []
    for actors in arguments.actors:
        config = workload(actors, arguments.candles)
        engine = measure_engine(config)
        plain = measure_plain(config)
        results.append({"id": "B-FANOUT", "actors": actors, "engine_ms": engine, "plain_ms": plain})
        print(
            f"{actors} actors: engine p50 {engine['p50']:.2f} p99 {engine['p99']:.2f} ms; "
            f"plain Ray calls p50 {plain['p50']:.2f} p99 {plain['p99']:.2f} ms; "
            f"ratio of p99 {plain['p99'] / engine['p99']:.1f}"
        )
    if arguments.json is not None:
        save(results, arguments.json)


if __name__ == "__main__":
    main()
