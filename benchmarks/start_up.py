"""B-START and B-MEMORY: what a dedicated instance costs beside a bare Ray actor.

Both sides run in every run, one after the other. Start-up is the time from nothing (no Ray yet)
until all N take part: for Chorus until candles flow, for Ray until every actor has answered.
Memory is the unique set size (USS) of a process, the median over the N of a run: a strategy's
after it has taken all candles, so its buffer is full and its indicators are warm.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from actors.cluster import embedded_cluster
from actors.engine import running_engine
from benchmarks.bare import BareActor
from benchmarks.harness import Scenario, Trial, UnavailableError
from benchmarks.machine import unique_mb
from benchmarks.plain import require_room, start_in_waves
from benchmarks.results import Metric, Mode
from benchmarks.workloads import equal_strategies
from engine.catalog import default_folders, discover
from engine.config import RunConfig

__all__ = ["MEMORY", "START_UP"]

CANDLES = 1500
"""More than an instance buffers by default."""


def measure_start_up(config: RunConfig) -> Mapping[str, float]:
    """Return seconds until all strategies, and as many bare actors, are there."""
    catalog = discover(default_folders())
    count = len(config.strategies)
    began = time.monotonic()
    with running_engine(config, catalog):
        chorus_s = time.monotonic() - began
    began = time.monotonic()
    with embedded_cluster(count):
        start_in_waves(BareActor, [()] * count)
        bare_s = time.monotonic() - began
    return {
        "Chorus": chorus_s,
        "bare Ray": bare_s,
        "Chorus per instance": chorus_s / count,
        "bare Ray per actor": bare_s / count,
    }


def measure_memory(config: RunConfig) -> Mapping[str, float]:
    """Return MB of unique memory per strategy and per bare actor, and the one over the other.

    Raises:
        UnavailableError: The system does not tell.
    """
    count = len(config.strategies)
    with running_engine(config, discover(default_folders())) as engine:
        while not engine.wait(1.0):
            pass
        chorus = unique_mb("ray::StrategyActor")
    with embedded_cluster(count):
        actors = start_in_waves(BareActor, [()] * count)
        bare = unique_mb("ray::BareActor")
        del actors  # until here: an actor ends with its last handle
    if len(chorus) != count or len(bare) != count:
        raise UnavailableError(
            f"needs the unique memory of {count} strategies and actors, found that of "
            f"{len(chorus)} and {len(bare)}; /proc/PID/smaps_rollup must be readable (Linux)"
        )
    chorus_mb, bare_mb = statistics.median(chorus), statistics.median(bare)
    return {"Chorus": chorus_mb, "bare Ray": bare_mb, "Chorus over bare Ray": chorus_mb / bare_mb}


def _trials(
    mode: Mode, measure: Callable[[RunConfig], Mapping[str, float]], full: tuple[int, ...]
) -> list[Trial]:
    def trial(actors: int, runs: int) -> Trial:
        def prepare() -> Callable[[], Mapping[str, float]]:
            require_room(actors)
            config = equal_strategies(actors, candles=CANDLES)
            return lambda: measure(config)

        parameters: dict[str, int | str] = {"actors": actors, "candles": CANDLES}
        return Trial(parameters, prepare, runs, warm_ups=0)

    return [trial(4, 1)] if mode == "short" else [trial(actors, 3) for actors in full]


_SECONDS = Metric("s", "lower")
_MB = Metric("MB", "lower")

START_UP = Scenario(
    "B-START",
    "start-up of N dedicated actors from nothing, beside bare Ray actors",
    dict.fromkeys(("Chorus", "bare Ray", "Chorus per instance", "bare Ray per actor"), _SECONDS),
    lambda mode: _trials(mode, measure_start_up, (4, 10, 40, 100)),
)

MEMORY = Scenario(
    "B-MEMORY",
    "unique memory of one dedicated actor, beside a bare Ray actor",
    {"Chorus": _MB, "bare Ray": _MB, "Chorus over bare Ray": Metric("x", "lower")},
    lambda mode: _trials(mode, measure_memory, (4, 40)),
)
