"""B-POOLED and B-WIDTH: a host full of instances on one core, without actors or transport.

B-POOLED is throughput: `idle` never acts, `same` acts on about 8 % of candles and all at the same
time, `own` likewise but each at its own time. B-WIDTH is the time from one candle of each of 300
symbols, all in one slice, to the host's answer. What exactly is in the clock stands in
`benchmarks.pooled_core`.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import pooled_core
from benchmarks.harness import Measure, Scenario, Trial
from benchmarks.results import Metric, Mode

__all__ = ["POOLED", "WIDTH"]

IDLE_INSTANCE_CANDLES = 512_000
TRADING_SLICES = 2048
PACED_SLICES = 60


def _throughput(instances: int, strategies: str) -> Mapping[str, float]:
    if strategies == "idle":
        found = pooled_core.idle(instances, IDLE_INSTANCE_CANDLES // instances)
    else:
        found = pooled_core.trading(instances, TRADING_SLICES, same=strategies == "same")
    return {"Chorus": found["per_s"], "Chorus, per CPU second": found["per_cpu_s"]}


def _width(instances: int) -> Mapping[str, float]:
    found = pooled_core.paced(instances, PACED_SLICES)
    return {f"Chorus {name}": found[name] for name in ("p50", "p99")}


def _pooled(mode: Mode) -> list[Trial]:
    def trial(instances: int, strategies: str) -> Trial:
        def prepare() -> Measure:
            return lambda: _throughput(instances, strategies)

        slices = IDLE_INSTANCE_CANDLES // instances if strategies == "idle" else TRADING_SLICES
        return Trial(
            {"instances": instances, "strategies": strategies, "candles": slices},
            prepare,
            runs=1 if mode == "short" else 5,
            warm_ups=0 if mode == "short" else 1,
        )

    sizes = (1000,) if mode == "short" else (100, 1000)
    return [*(trial(size, "idle") for size in sizes), trial(100, "same"), trial(100, "own")]


def _paced(mode: Mode) -> list[Trial]:
    def trial(instances: int) -> Trial:
        parameters: dict[str, int | str] = {"instances": instances, "symbols": pooled_core.SYMBOLS}
        # Every run warms itself up, see `pooled_core.WARM_SLICES`.
        return Trial(
            parameters,
            lambda: lambda: _width(instances),
            runs=1 if mode == "short" else 3,
            warm_ups=0,
        )

    return [trial(size) for size in ((1000,) if mode == "short" else (1000, 10_000))]


_RATE = Metric("instance-candles/s", "higher")

POOLED = Scenario(
    "B-POOLED",
    "one host full of instances, one core",
    {"Chorus": _RATE, "Chorus, per CPU second": _RATE},
    _pooled,
)

WIDTH = Scenario(
    "B-WIDTH",
    "one candle of every symbol to the answer of one host, one core",
    {f"Chorus {name}": Metric("ms", "lower") for name in ("p50", "p99")},
    _paced,
)
