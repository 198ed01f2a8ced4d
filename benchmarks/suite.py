"""All benchmarks by their permanent ids. A new one is one line here and one module.

Ids are never given to another workload; a changed workload gets a new id, so that old results stay
comparable. In-process benchmarks come first: what Ray leaves in memory must not slow them.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from benchmarks.harness import Scenario
from engine.errors import ConfigError

__all__ = ["PLACES", "load_scenarios"]

PLACES = {
    "B-INDICATOR": "benchmarks.indicator_cost:SCENARIO",
    "B-ORDERS": "benchmarks.orders:SCENARIO",
    "B-BACKTEST": "benchmarks.backtest_speed:SCENARIO",
    "B-VECTORISED": "benchmarks.vectorised:SCENARIO",
    "B-POOLED": "benchmarks.pooled:POOLED",
    "B-WIDTH": "benchmarks.pooled:WIDTH",
    "B-STREAM": "benchmarks.event_stream:SCENARIO",
    "B-API-LIST": "benchmarks.api_listing:SCENARIO",
    "B-FANOUT": "benchmarks.fanout:SCENARIO",
    "B-START": "benchmarks.start_up:START_UP",
    "B-MEMORY": "benchmarks.start_up:MEMORY",
    "B-SCALE": "benchmarks.scale:SCENARIO",
    "B-POOL-FANOUT": "benchmarks.pool_fanout:SCENARIO",
    "B-POOL-REPLAY": "benchmarks.pool_replay:SCENARIO",
    "B-RECOVERY": "benchmarks.recovery:SCENARIO",
    "B-NODES": "benchmarks.nodes:SCENARIO",
    "B-SOAK": "benchmarks.soak:SCENARIO",
}
"""Id -> module and name of the scenario; a module is imported only when it is chosen."""


def load_scenarios(only: Sequence[str] = ()) -> list[Scenario]:
    """Return the chosen benchmarks in the order they run.

    Args:
        only: Ids, in any case; empty chooses all.

    Raises:
        ConfigError: There is none of that id.
    """
    chosen = {_known(name) for name in only} or set(PLACES)
    return [_load(place) for name, place in PLACES.items() if name in chosen]


def _known(name: str) -> str:
    found = name.upper()
    if found in PLACES:
        return found
    near = get_close_matches(found, PLACES, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ConfigError(
        f"--only {name}: must be the id of a benchmark; {hint}there are: {', '.join(PLACES)}"
    )


def _load(place: str) -> Scenario:
    module, _, name = place.partition(":")
    scenario: Scenario = getattr(import_module(module), name)
    return scenario
