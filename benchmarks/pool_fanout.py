"""B-POOL-FANOUT: candle to decision of pooled instances, all candles of a slice close together.

Every instance (MACD + RSI rules, acts on about 8 % of candles) has one of 300 symbols, whose
1-minute candles all close in one slice. The feed is paced, so that a slice never meets the one
before. The clock of an answer goes from the slice's publication by market data until the order
manager has the host's answer, which it gives once its last instance has decided: a percentile is
over the slowest instances of every host and slice.

Start-up is the time from nothing (no Ray yet) until all instances take part. Memory is the unique
memory (USS) of all processes of the engine together, Ray's own included, after the last slice.

Run: ``python -m benchmarks.pool_fanout --instances 1000 --slices 60``
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from actors.engine import running_engine
from benchmarks.alone import parser_of, positive, run_alone
from benchmarks.harness import Measure, Scenario, Trial, UnavailableError, require_memory
from benchmarks.machine import unique_mb
from benchmarks.results import Metric, Mode
from benchmarks.workloads import pooled_strategies
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.errors import ChorusError

__all__ = ["SCENARIO", "main"]

HOSTS = 2
SYMBOLS = 300
SLICES = {1_000: 300, 10_000: 200, 50_000: 60}
"""Per run; with two answers each, the first and slowest slice decides the p99 of 50,000 only."""

PACE_S = {1_000: 0.25, 10_000: 1.0, 50_000: 4.0}
"""Real time between two slices."""

SHORT = (1_000, 40)
"""Instances and slices of short mode."""

ENGINE_MB = 600
INSTANCE_MB = 0.1
"""Rounded up; they decide which cases fit into the machine."""

_MINUTE_S = 60
_ALL_PROCESSES = ""


def measure(config: RunConfig) -> Mapping[str, float]:
    """Return latency (ms), start-up (s) and memory (MB) of one run.

    Raises:
        ChorusError: A strategy fell out, so that less was done than is claimed.
        UnavailableError: The system does not tell how much memory is used.
    """
    catalog = discover(default_folders())
    began = time.monotonic()
    with running_engine(config, catalog) as engine:
        start_s = time.monotonic() - began
        while not engine.wait(1.0):
            pass
        memory_mb = sum(unique_mb(_ALL_PROCESSES))
        status = engine.client.status()
    fallen = [line for line in status.strategies if line.status != "running"]
    if fallen:
        raise ChorusError(
            f"B-POOL-FANOUT: every strategy must be running at the end; {len(fallen)} are not, "
            f"first {fallen[0].id!r}: {fallen[0].status}, {fallen[0].cause}"
        )
    if not memory_mb:
        raise UnavailableError("/proc/PID/smaps_rollup must be readable (Linux)")
    return {
        "p50": status.latency_ms["p50"],
        "p99": status.latency_ms["p99"],
        "start-up": start_s,
        "memory": memory_mb,
    }


def trial(instances: int, slices: int, runs: int, pace_s: float | None = None) -> Trial:
    """Return the case of one number of instances; `pace_s` is what their number takes."""
    pace_s = pace_s or _pace_of(instances)

    def prepare() -> Measure:
        require_memory(ENGINE_MB + instances * INSTANCE_MB)
        config = pooled_strategies(
            instances,
            symbols=SYMBOLS,
            candles=slices,
            hosts=HOSTS,
            kind="same",
            speed=_MINUTE_S / pace_s,
        )
        return lambda: measure(config)

    parameters: dict[str, int | str] = {
        "instances": instances,
        "hosts": HOSTS,
        "symbols": SYMBOLS,
        "slices": slices,
        "pace": f"{pace_s:g} s",
    }
    return Trial(parameters, prepare, runs, warm_ups=0)


def _pace_of(instances: int) -> float:
    return next((pace for most, pace in PACE_S.items() if instances <= most), max(PACE_S.values()))


def _trials(mode: Mode) -> list[Trial]:
    if mode == "short":
        return [trial(*SHORT, runs=1)]
    return [trial(instances, slices, runs=3) for instances, slices in SLICES.items()]


SCENARIO = Scenario(
    "B-POOL-FANOUT",
    "candle to decision of pooled instances on 300 symbols, through actors",
    {
        "p50": Metric("ms", "lower"),
        "p99": Metric("ms", "lower"),
        "start-up": Metric("s", "lower"),
        "memory": Metric("MB", "lower"),
    },
    _trials,
)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--instances", type=positive, nargs="+", default=[1_000])
    parser.add_argument("--slices", type=positive, default=60)
    parser.add_argument("--pace-ms", type=positive, default=None, help="between two slices")
    arguments = parser.parse_args()
    pace_s = arguments.pace_ms and arguments.pace_ms / 1000
    run_alone(
        SCENARIO,
        [trial(n, arguments.slices, arguments.runs, pace_s) for n in arguments.instances],
        arguments,
    )


if __name__ == "__main__":
    main()
