"""B-NODES: seconds from the loss of a node until all that ran on it takes part again elsewhere.

Three nodes of Ray on this machine, beside a head that carries nothing but Ray's own records. The
engine is started on the first node; strategies in actors of their own are then added, and spread.
Its sockets and its journal lie in a folder that all nodes see. All processes of one node are killed
at once:

- `hosts` is a node that has only strategies;
- `services` is the first node: manager, market data, order manager, and some of the strategies.

The feed is paced and goes on. The clock ends when every strategy, moved or not, has answered the
newest candle published: `back`. `noticed` is the part of it until Ray itself knows, `strategies
lost` how many had to move. Ray notices as fast as it asks: `check` says how often.

Run: ``python -m benchmarks.nodes --lost hosts``
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import ray
from ray.cluster_utils import Cluster

from actors.engine import running_engine
from benchmarks.alone import parser_of, run_alone
from benchmarks.harness import Measure, Scenario, Trial
from benchmarks.plain import require_room
from benchmarks.recovery import Observer, await_true
from benchmarks.results import Metric, Mode
from benchmarks.workloads import equal_strategies
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.errors import ChorusError

__all__ = ["SCENARIO", "main"]

NODES = 3
LOST = ("hosts", "services")
STRATEGIES = 6
PACE = 20
"""Candles per second."""

HISTORY = 200
SHORT_HISTORY = 60

CHECKS: dict[str, dict[str, int]] = {
    "default": {},
    "1 s": {
        "health_check_initial_delay_ms": 1000,
        "health_check_period_ms": 1000,
        "health_check_timeout_ms": 1000,
        "health_check_failure_threshold": 3,
    },
}
"""How often Ray asks a node whether it lives: its own choice, or thrice within three seconds."""

TIMEOUT_S = 120.0
START_TIMEOUT_S = 120.0
CPUS = 4
"""Of each node; actors ask for a fraction."""

OBJECT_STORE_BYTES = 80 * 1024 * 1024
_MINUTE_S = 60


@contextlib.contextmanager
def empty_cluster(check: str) -> Iterator[Cluster]:
    """Run a head without processors for the length of a `with` block; see `CHECKS`."""
    # Sockets need a short path. Ray's test cluster writes its address into the default folder,
    # so that has to be this one.
    with (
        TemporaryDirectory(prefix="chorus-nodes-", dir="/tmp") as name,
        patch.dict(os.environ, RAY_TMPDIR=name),
    ):
        (Path(name) / "ray").mkdir()
        head = {
            "num_cpus": 0,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_system_config": CHECKS[check],
        }
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def add_node(cluster: Cluster) -> Any:
    """Add a node that actors can be placed on."""
    return cluster.add_node(num_cpus=CPUS, object_store_memory=OBJECT_STORE_BYTES)


@contextlib.contextmanager
def this_cluster(*_: Any, **__: Any) -> Iterator[Path]:
    """Stand in for an embedded cluster: this process is connected to one already."""
    with TemporaryDirectory(prefix="chorus-nodes-") as name:
        yield Path(name)


def placed(cluster: Cluster) -> dict[str, Counter[str]]:
    """Return how many living actors of each class every node has, by node id."""
    found: dict[str, Counter[str]] = {}
    for actor in cluster.global_state.actor_table(None, actor_state_name="ALIVE").values():
        node = found.setdefault(actor["Address"]["NodeID"], Counter())
        node[actor["ActorClassName"]] += 1
    return found


def measure(lost: str, check: str, history: int) -> Mapping[str, float]:
    """Return the seconds until everybody takes part again.

    Args:
        lost: One of `LOST`.
        check: One of `CHECKS`.
        history: Candles before the loss.

    Raises:
        ChorusError: Strategies were not spread, or did not come back.
    """
    catalog = discover(default_folders())
    config = run_config()
    first, *others = config.strategies
    alone = config.model_copy(update={"strategies": (first,)})
    with empty_cluster(check) as cluster:
        # So far there is no other node for the services.
        nodes = [add_node(cluster)]
        with running_engine(alone, catalog, cluster=this_cluster) as engine:
            nodes += [add_node(cluster) for _ in range(1, NODES)]
            for strategy in others:
                engine.client.start(strategy, plugin_file=str(catalog.get(strategy.type).file))
            observer = Observer(engine)
            await_true(lambda: observer.decided() >= history, "at the loss", TIMEOUT_S)
            return _lose(cluster, nodes[0] if lost == "services" else nodes[-1], observer)


def _lose(cluster: Cluster, node: Any, observer: Observer) -> Mapping[str, float]:
    """Kill a node and wait until everybody takes part again."""
    spread = placed(cluster)
    moving = spread.get(node.node_id, Counter())["StrategyActor"]
    if not moving:
        raise ChorusError(f"B-NODES: no strategy is on the node to lose; placed: {spread}")
    before = observer.published()
    began = time.monotonic()
    cluster.remove_node(node, allow_graceful=False)
    # What was published last may be unknown; at this pace a few slices more at most.
    newest = before + PACE
    await_true(lambda: is_known_dead(node), "known to Ray as dead", TIMEOUT_S)
    noticed_s = time.monotonic() - began
    await_true(lambda: observer.is_at_head(observer.answered, newest), "back", TIMEOUT_S)
    return {
        "noticed": noticed_s,
        "back": time.monotonic() - began,
        "strategies lost": moving,
    }


def is_known_dead(node: Any) -> bool:
    """Tell whether Ray has noticed that a node is gone; it asks every few seconds."""
    return any(each["NodeID"] == node.node_id and not each["Alive"] for each in ray.nodes())


def run_config() -> RunConfig:
    """Return the run; its feed does not end before everybody is back."""
    seconds = HISTORY / PACE + START_TIMEOUT_S + 2 * TIMEOUT_S
    return equal_strategies(STRATEGIES, candles=int(seconds * PACE), speed=_MINUTE_S * PACE)


def trial(lost: str, check: str, runs: int, history: int = HISTORY) -> Trial:
    """Return the case of losing one kind of node."""

    def prepare() -> Measure:
        require_room(STRATEGIES)
        return lambda: measure(lost, check, history)

    parameters: dict[str, int | str] = {
        "lost": lost,
        "nodes": NODES,
        "strategies": STRATEGIES,
        "history": history,
        "pace": f"{PACE} per s",
        "check": check,
    }
    return Trial(parameters, prepare, runs, warm_ups=0)


def _trials(mode: Mode) -> list[Trial]:
    if mode == "short":
        return [trial("hosts", "1 s", 1, SHORT_HISTORY)]
    return [trial(lost, check, 3) for lost in LOST for check in CHECKS]


SCENARIO = Scenario(
    "B-NODES",
    "loss of a node until everything takes part again elsewhere",
    {
        "noticed": Metric("s", "lower"),
        "back": Metric("s", "lower"),
        "strategies lost": Metric("strategies", "lower"),
    },
    _trials,
)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--lost", choices=LOST, nargs="+", default=list(LOST))
    parser.add_argument("--checks", choices=list(CHECKS), nargs="+", default=["default"])
    arguments = parser.parse_args()
    cases = [(lost, check) for lost in arguments.lost for check in arguments.checks]
    run_alone(SCENARIO, [trial(*case, arguments.runs) for case in cases], arguments)


if __name__ == "__main__":
    main()
