"""B-FANOUT: candle to decision, N dedicated actors, beside the same fan-out by plain Ray calls.

Both sides run the same instance (MACD + RSI rules) in N Ray actors on the same candles, one after
the other in every run. The engine's latency is "published by the MarketData actor until received
by the order manager"; the plain one is "called until the caller has the result", each taken for
every single answer.

Run: ``python -m benchmarks.fanout --actors 40 --candles 600``
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from actors.cluster import embedded_cluster
from actors.engine import running_engine
from benchmarks.alone import parser_of, positive, run_alone
from benchmarks.harness import Measure, Scenario, Trial, percentiles
from benchmarks.plain import require_room, start_in_waves
from benchmarks.results import Metric, Mode
from benchmarks.workloads import equal_strategies
from engine.catalog import default_folders, discover, load_file
from engine.config import RunConfig
from engine.errors import ChorusError
from engine.instance import build
from engine.market import open_market
from engine.money import instruments_by_symbol
from engine.types import Candle

__all__ = ["SCENARIO", "main"]

CANDLE_EVERY_S = 0.1
"""Real time between two candles; long enough that one fan-out never meets the next."""

CANDLES = {"full": 600, "short": 100}
"""Per run. The first few are slower; only in full are they too rare to decide the p99."""

_MINUTE_S = 60
_ANSWER_TIMEOUT_S = 60.0


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
    """Return percentiles in ms of calling every actor and receiving every result.

    Raises:
        ChorusError: An actor did not start, or did not answer.
    """
    plugin_file = str(discover(default_folders()).types["RULES"].file)
    streams = config.strategies[0].streams
    candles = [s.candles[0] for s in open_market(config.market, streams, ()).slices()]
    samples: list[float] = []
    with embedded_cluster(len(config.strategies)):
        numbers = range(len(config.strategies))
        actors = start_in_waves(PlainActor, [(config, n, plugin_file) for n in numbers])
        for candle in candles:
            began = time.monotonic()
            samples += _call_all(actors, candle)
            time.sleep(max(0.0, began + CANDLE_EVERY_S - time.monotonic()))
    return percentiles(samples)


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
    if not all_back.wait(_ANSWER_TIMEOUT_S):
        raise ChorusError(
            f"plain Ray actors: {len(samples)} of {len(actors)} answered within "
            f"{_ANSWER_TIMEOUT_S:g} s; run fewer actors on this machine"
        )
    return samples


def trial(actors: int, candles: int, runs: int) -> Trial:
    """Return the case of one number of actors."""

    def prepare() -> Measure:
        require_room(actors)
        config = equal_strategies(actors, candles=candles, speed=_MINUTE_S / CANDLE_EVERY_S)
        return lambda: _both(config)

    return Trial({"actors": actors, "candles": candles}, prepare, runs, warm_ups=0)


def _both(config: RunConfig) -> Mapping[str, float]:
    engine, plain = measure_engine(config), measure_plain(config)
    return {
        f"{side} {name}": sample[name]
        for side, sample in (("Chorus", engine), ("plain Ray", plain))
        for name in ("p50", "p99")
    }


def _trials(mode: Mode) -> list[Trial]:
    if mode == "short":
        return [trial(10, CANDLES[mode], runs=1)]
    return [trial(actors, CANDLES[mode], runs=3) for actors in (10, 40, 100, 200)]


_MS = Metric("ms", "lower")

SCENARIO = Scenario(
    "B-FANOUT",
    "candle to decision of N dedicated actors, beside plain Ray calls",
    {f"{side} {name}": _MS for side in ("Chorus", "plain Ray") for name in ("p50", "p99")},
    _trials,
)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--actors", type=positive, nargs="+", default=[40])
    parser.add_argument("--candles", type=positive, default=CANDLES["full"])
    arguments = parser.parse_args()
    run_alone(
        SCENARIO,
        [trial(actors, arguments.candles, arguments.runs) for actors in arguments.actors],
        arguments,
    )


if __name__ == "__main__":
    main()
