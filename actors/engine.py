"""Runs a configuration in actors on this machine, from start to report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec
import ray
from ray.exceptions import RayActorError, RayTaskError

from actors.client import EngineClient
from actors.cluster import embedded_cluster, spawn
from actors.manager import EnginePlan, StrategyManager
from actors.services import call, failure_text
from engine.catalog import Catalog
from engine.config import RunConfig
from engine.errors import ChorusError, StoppedError
from engine.market import open_market
from engine.report import RunReport, build_report
from engine.status import EngineStatus

__all__ = ["RunningEngine", "run_engine", "running_engine"]

STATUS_EVERY_S = 0.25
START_TIMEOUT_S = 600.0
CALL_TIMEOUT_S = 15.0
DRAIN_TIMEOUT_S = 60.0

_MANAGER_THREADS = 8


class RunningEngine:
    """An engine whose candles flow. `client` controls it."""

    def __init__(self, client: EngineClient, run: Any) -> None:
        self.client = client
        self._run = run

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the feed.

        Returns:
            True once everything is decided, False when the time is over first.

        Raises:
            ChorusError: The engine itself failed.
        """
        done, _ = ray.wait([self._run], timeout=timeout_s)
        if not done:
            return False
        try:
            ray.get(self._run)
        except RayTaskError as error:
            raise ChorusError(f"the engine failed: {error.cause}") from error
        except RayActorError as error:
            raise ChorusError(f"the strategy manager: {failure_text(error)}") from error
        return True


def _never() -> bool:
    return False


@contextlib.contextmanager
def running_engine(
    config: RunConfig,
    catalog: Catalog,
    *,
    replay: Sequence[str] = (),
    stop: Callable[[], bool] = _never,
) -> Iterator[RunningEngine]:
    """Start an engine for the length of a `with` block; nothing outlives the block.

    Args:
        config: What to run; its market's `speed` paces the feed.
        catalog: The strategy types found.
        replay: Candle files; empty plays the configured market.
        stop: Asked a few times per second while the engine starts; True gives up.

    Raises:
        ConfigError: It cannot be started with this configuration.
        ChorusError: It cannot be started, or `stop` said so.
    """
    types = {strategy.type: catalog.get(strategy.type) for strategy in config.strategies}
    with embedded_cluster(len(config.strategies), meanwhile=stop) as folder:
        plan = EnginePlan(
            config=config,
            plugin_files={name: str(loaded.file) for name, loaded in types.items()},
            replay=list(replay),
            folder=str(folder),
        )
        manager = spawn(StrategyManager, plan, threads=_MANAGER_THREADS)
        starting = manager.start.remote()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ray.wait([starting], timeout=STATUS_EVERY_S)[0]:
            if stop():
                raise StoppedError("stopped while the strategies were starting; nothing was played")
            if time.monotonic() > deadline:
                break
        call(starting, CALL_TIMEOUT_S)
        yield RunningEngine(EngineClient(manager), manager.run.remote())


def run_engine(
    config: RunConfig,
    catalog: Catalog,
    *,
    replay: Sequence[str] = (),
    speed: float | Literal["max"] | None = None,
    on_status: Callable[[EngineStatus], None] | None = None,
    stop: Callable[[], bool] = _never,
) -> RunReport:
    """Run a configuration in actors until its feed ends.

    Args:
        config: What to run.
        catalog: The strategy types found.
        replay: Candle files; empty plays the configured market.
        speed: Pace of the feed instead of the configured one.
        on_status: Called a few times per second.
        stop: Asked as often; True stops the feed, lets everything published be decided, and
            reports what was played.

    Returns:
        The report; its ledger hash equals that of `run_backtest` on the same candles.

    Raises:
        StoppedError: `stop` said so before the first candle.
        ChorusError: The market cannot be read or the engine itself failed. A strategy that fails
            is reported in its line and does not end the run.
    """
    if speed is not None:
        paced = config.market.model_copy(update={"speed": speed})
        config = config.model_copy(update={"market": paced})
    market = open_market(config.market, config.wanted_streams, replay)
    stopping_since = 0.0
    with running_engine(config, catalog, replay=replay, stop=stop) as engine:
        while not engine.wait(STATUS_EVERY_S):
            if on_status is not None:
                on_status(engine.client.status())
            if stopping_since:
                if time.monotonic() - stopping_since > DRAIN_TIMEOUT_S:
                    break
            elif stop():
                stopping_since = time.monotonic()
                engine.client.stop_engine()
        extract = engine.client.extract()
        if on_status is not None:
            on_status(engine.client.status())
    return build_report(
        config,
        extract,
        mode="run",
        market=[msgspec.to_builtins(report) for report in market.reports],
        notices=market.notices,
        stopped_early=bool(stopping_since),
    )
