"""B-SCALE: instance-candles per second at full speed, N strategies in actors of their own.

The number of instance-candles is the same for every N, so that a case takes as long with many
instances as with few. `trades` acts on about 8 % of candles, `idle` computes the same and never
acts: the difference is the order manager and the waiting for it. Starting is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping

from actors.engine import run_engine
from benchmarks.harness import Measure, Scenario, Trial
from benchmarks.plain import require_room
from benchmarks.results import Metric, Mode, Parameters
from benchmarks.workloads import equal_strategies
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.errors import ChorusError

__all__ = ["SCENARIO"]

INSTANCE_CANDLES = 400_000


def measure(config: RunConfig) -> Mapping[str, float]:
    """Return the throughput of one run.

    Raises:
        ChorusError: A strategy fell out, so that less was done than is claimed.
    """
    report = run_engine(config, discover(default_folders()))
    states = report.totals["by_status"]
    if set(states) != {"running"}:
        raise ChorusError(f"B-SCALE: every strategy must be running at the end, states: {states}")
    return {"Chorus": report.candles_per_s * len(config.strategies)}


def trial(actors: int, strategy: str, runs: int) -> Trial:
    """Return the case of one number of strategies that all trade, or are all idle."""
    candles = INSTANCE_CANDLES // actors
    parameters: Parameters = {
        "actors": actors,
        "placement": "dedicated",
        "strategies": strategy,
        "candles": candles,
    }

    def prepare() -> Measure:
        require_room(actors)
        config = equal_strategies(actors, candles=candles, idle=strategy == "idle")
        return lambda: measure(config)

    return Trial(parameters, prepare, runs, warm_ups=0)


def _trials(mode: Mode) -> list[Trial]:
    if mode == "short":
        return [trial(10, "trades", runs=1)]
    return [
        trial(actors, strategy, runs=3)
        for strategy in ("trades", "idle")
        for actors in (10, 40, 100)
    ]


SCENARIO = Scenario(
    "B-SCALE",
    "sustained replay through N strategies",
    {"Chorus": Metric("instance-candles/s", "higher")},
    _trials,
)
