"""B-POOL-REPLAY: instance-candles per second at full speed, N instances pooled in two hosts.

All instances are on one symbol. `idle` computes the rule and never acts; `same` acts on about 8 %
of candles, all at the same time; `own` likewise, but indicators of 50 different lengths make each
act at its own time, so that somebody nearly always waits for the order manager. Starting is not
counted; encoding, transport, order manager and its journal are.

Run: ``python -m benchmarks.pool_replay --instances 100 --kinds idle``
"""

from __future__ import annotations

from collections.abc import Mapping

from actors.engine import run_engine
from benchmarks.alone import parser_of, positive, run_alone
from benchmarks.harness import Measure, Scenario, Trial, require_memory
from benchmarks.results import Metric, Mode
from benchmarks.workloads import KINDS, pooled_strategies
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.errors import ChorusError

__all__ = ["SCENARIO", "main"]

HOSTS = 2
INSTANCE_CANDLES = {"idle": 8_000_000, "same": 1_600_000, "own": 800_000}
"""The same for every number of instances, so that a case takes as long with many as with few."""

SHORT_INSTANCE_CANDLES = {"same": 400_000}
ENGINE_MB = 1_000


def measure(config: RunConfig) -> Mapping[str, float]:
    """Return the throughput of one run.

    Raises:
        ChorusError: A strategy fell out, so that less was done than is claimed.
    """
    report = run_engine(config, discover(default_folders()))
    states = report.totals["by_status"]
    if set(states) != {"running"}:
        raise ChorusError(
            f"B-POOL-REPLAY: every strategy must be running at the end, states: {states}"
        )
    return {"Chorus": report.candles_per_s * len(config.strategies)}


def trial(instances: int, kind: str, runs: int, work: Mapping[str, int]) -> Trial:
    """Return the case of one number of instances of a kind; `work` is in instance-candles."""
    candles = work[kind] // instances

    def prepare() -> Measure:
        require_memory(ENGINE_MB)
        config = pooled_strategies(instances, symbols=1, candles=candles, hosts=HOSTS, kind=kind)
        return lambda: measure(config)

    parameters: dict[str, int | str] = {
        "instances": instances,
        "hosts": HOSTS,
        "strategies": kind,
        "candles": candles,
    }
    return Trial(parameters, prepare, runs, warm_ups=0)


def _trials(mode: Mode) -> list[Trial]:
    if mode == "short":
        return [trial(100, kind, 1, SHORT_INSTANCE_CANDLES) for kind in SHORT_INSTANCE_CANDLES]
    return [
        trial(instances, kind, 3, INSTANCE_CANDLES) for kind in KINDS for instances in (100, 1000)
    ]


SCENARIO = Scenario(
    "B-POOL-REPLAY",
    "sustained replay through N instances pooled in two hosts",
    {"Chorus": Metric("instance-candles/s", "higher")},
    _trials,
)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--instances", type=positive, nargs="+", default=[100])
    parser.add_argument("--kinds", choices=KINDS, nargs="+", default=list(KINDS))
    arguments = parser.parse_args()
    run_alone(
        SCENARIO,
        [
            trial(n, kind, arguments.runs, INSTANCE_CANDLES)
            for n in arguments.instances
            for kind in arguments.kinds
        ],
        arguments,
    )


if __name__ == "__main__":
    main()
