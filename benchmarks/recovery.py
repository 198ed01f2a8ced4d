"""B-RECOVERY: seconds from SIGKILL of a process until what it did is done again.

The feed is paced and goes on meanwhile; nothing but the kill tells the engine. `history` candles of
every symbol were played before the first kill, which is what a host has to live through again. The
clock of a kill ends

- for a dedicated actor and for a host: when it has answered the newest candle published;
- for the order manager: when it has decided the newest candle published;
- for market data: when it has published a new candle and that is decided;
- for the manager: when `status` answers and its loop has asked how far the engine is.

"Published" is asked first each time, so the head of the stream is where it was or ahead. A run
kills several times, each time after the engine has got over the last one: `median` and `slowest`
are over these. The delay before a restart grows from death to death, as it does in operation.

Run: ``python -m benchmarks.recovery --killed market --kills 1``
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Mapping

import msgspec
import ray

from actors.engine import RunningEngine, running_engine
from actors.services import ServiceAwayError, call
from benchmarks.alone import parser_of, positive, run_alone
from benchmarks.harness import Measure, Scenario, Trial, require_memory
from benchmarks.machine import processes
from benchmarks.results import Metric, Mode
from benchmarks.workloads import equal_strategies, pooled_strategies
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.errors import ChorusError

__all__ = ["SCENARIO", "main"]

KILLS = 3
PAUSE_S = 1.0
"""Between the end of one recovery and the next kill."""

POLL_S = 0.01
TIMEOUT_S = 60.0

DEDICATED = 8
POOLED = 5_000
SYMBOLS = 300
ENGINE_MB = 2_000
_MINUTE_S = 60


class Victim(msgspec.Struct, frozen=True):
    """A process that is killed, in which engine.

    Attributes:
        title: Of the process.
        instances: All that run.
        is_pooled: They share one host; otherwise each has an actor of its own.
        pace: Candles of a symbol per second.
        history: Candles of each symbol before the first kill.
    """

    title: str
    instances: int = DEDICATED
    is_pooled: bool = False
    pace: int = 50
    history: int = 1_000

    def config(self, kills: int) -> RunConfig:
        """Return a run that does not end before all kills are measured."""
        candles = self.history + round(kills * (TIMEOUT_S + PAUSE_S) * self.pace)
        speed = float(_MINUTE_S * self.pace)
        if not self.is_pooled:
            return equal_strategies(self.instances, candles=candles, speed=speed)
        return pooled_strategies(
            self.instances, symbols=SYMBOLS, candles=candles, hosts=1, kind="same", speed=speed
        )


VICTIMS = {
    "dedicated": Victim("ray::StrategyActor"),
    "host": Victim("ray::StrategyHost", POOLED, is_pooled=True, pace=1, history=60),
    "orders": Victim("ray::OrderManagerActor"),
    "market": Victim("ray::MarketDataActor"),
    "manager": Victim("ray::StrategyManager"),
}

SHORT = {"dedicated": 100}
"""Victims of short mode, each with the history before its kill."""


class Observer:
    """Sees how far an engine is without asking its manager, which may be the one that is away."""

    def __init__(self, engine: RunningEngine) -> None:
        self._client = engine.client
        actors = {
            entry["name"]: ray.get_actor(entry["name"], namespace=entry["namespace"])
            for entry in ray.util.list_named_actors(all_namespaces=True)
        }
        self._market, self._orders = actors["market-data"], actors["order-manager"]

    def published(self) -> int:
        """Return the newest slice published.

        Raises:
            ServiceAwayError: Market data is away.
        """
        newest: int = call(self._market.progress.remote()).published
        return newest

    def decided(self) -> int:
        """Return the newest slice decided."""
        newest: int = call(self._orders.progress.remote()).decided
        return newest

    def answered(self) -> int:
        """Return the newest slice that every host has answered."""
        through: Mapping[str, int] = call(self._orders.progress.remote()).through
        return min(through.values())

    def is_at_head(self, reached: Callable[[], int], beyond: int) -> bool:
        """Tell whether the newest slice published has been reached, and is a new one."""
        try:
            head = self.published()
            return head > beyond and reached() >= head
        except ServiceAwayError:
            return False

    def is_managed(self, decided: int) -> bool:
        """Tell whether the manager answers, has settled and has asked how far deciding is."""
        status = self._client.status()
        return status.phase == "running" and status.slice_number >= decided


def recovery_s(observer: Observer, kind: str) -> float:
    """Kill a process and return how long it took until it was made good.

    Raises:
        ChorusError: It was not in time.
    """
    before, decided = observer.published(), observer.decided()
    pids = processes(VICTIMS[kind].title)
    if not pids:
        raise ChorusError(f"B-RECOVERY: there is no process {VICTIMS[kind].title!r} to kill")
    began = time.monotonic()
    os.kill(pids[0], signal.SIGKILL)
    # Market data cannot be asked what it published last; at this pace one slice more at most.
    newest = before + 1 if kind == "market" else observer.published()
    is_back: Callable[[], bool] = {
        "dedicated": lambda: observer.is_at_head(observer.answered, newest),
        "host": lambda: observer.is_at_head(observer.answered, newest),
        "orders": lambda: observer.is_at_head(observer.decided, newest),
        "market": lambda: observer.is_at_head(observer.decided, newest),
        "manager": lambda: observer.is_managed(decided),
    }[kind]
    await_true(is_back, f"back after {VICTIMS[kind].title!r} was killed", TIMEOUT_S)
    return time.monotonic() - began


def await_true(condition: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Ask again and again until something is so.

    Raises:
        ChorusError: It is not in time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise ChorusError(f"B-RECOVERY: not {what} within {timeout_s:g} s")
        time.sleep(POLL_S)


def measure(kind: str, victim: Victim, kills: int) -> Mapping[str, float]:
    """Return seconds over the kills of one run.

    Raises:
        ChorusError: The engine did not get over one of them.
    """
    taken = []
    with running_engine(victim.config(kills), discover(default_folders())) as engine:
        observer = Observer(engine)
        patience_s = TIMEOUT_S + 2 * victim.history / victim.pace
        await_true(lambda: observer.decided() >= victim.history, "at the first kill", patience_s)
        for _ in range(kills):
            time.sleep(PAUSE_S)
            taken.append(recovery_s(observer, kind))
    return {"median": statistics.median(taken), "slowest": max(taken)}


def trial(kind: str, runs: int, kills: int, history: int | None = None) -> Trial:
    """Return the case of one kind of process; `history` is what its kind takes."""
    victim = VICTIMS[kind]
    if history is not None:
        victim = msgspec.structs.replace(victim, history=history)

    def prepare() -> Measure:
        require_memory(ENGINE_MB)
        return lambda: measure(kind, victim, kills)

    parameters: dict[str, int | str] = {
        "killed": kind,
        "instances": victim.instances,
        "history": victim.history,
        "pace": f"{victim.pace} per s",
        "kills": kills,
    }
    return Trial(parameters, prepare, runs, warm_ups=0)


def _trials(mode: Mode) -> list[Trial]:
    if mode == "short":
        return [trial(kind, runs=1, kills=1, history=history) for kind, history in SHORT.items()]
    return [trial(kind, runs=3, kills=KILLS) for kind in VICTIMS]


SCENARIO = Scenario(
    "B-RECOVERY",
    "SIGKILL of a process until what it did is done again",
    {name: Metric("s", "lower") for name in ("median", "slowest")},
    _trials,
)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--killed", choices=list(VICTIMS), nargs="+", default=list(VICTIMS))
    parser.add_argument("--kills", type=positive, default=KILLS)
    parser.add_argument("--history", type=positive, default=None)
    arguments = parser.parse_args()
    run_alone(
        SCENARIO,
        [
            trial(kind, arguments.runs, arguments.kills, arguments.history)
            for kind in arguments.killed
        ],
        arguments,
    )


if __name__ == "__main__":
    main()
