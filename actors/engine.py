"""Runs a configuration in actors on this machine, from start to report."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import msgspec
import ray
from ray.exceptions import RayActorError, RayTaskError

from actors.client import EngineClient
from actors.cluster import embedded_cluster, spawn
from actors.core import LONGEST_ABSENCE_S
from actors.manager import THREADS, EnginePlan, StrategyManager
from actors.services import ServiceAwayError, call, failure_text
from actors.wire import Endpoints
from engine.catalog import Catalog
from engine.config import RunConfig
from engine.errors import ChorusError, StoppedError
from engine.journal import RunFolder
from engine.market import open_market
from engine.report import RunReport, build_report
from engine.status import EngineStatus

__all__ = ["RunningEngine", "run_engine", "running_engine"]

STATUS_EVERY_S = 0.25
START_TIMEOUT_S = 600.0
DRAIN_TIMEOUT_S = 60.0

MAX_DEATHS = 10
"""Deaths of the manager within `HEALTHY_AFTER_S` that are got over."""

HEALTHY_AFTER_S = 60.0

_RETRY_EVERY_S = 0.05


class RunningEngine:
    """An engine whose candles flow.

    Attributes:
        client: Controls it.
        folder: Its sockets and Ray's logs; goes with it.
        endpoints: Its data plane.
    """

    def __init__(self, manager: Any, folder: Path, endpoints: Endpoints) -> None:
        self.client = EngineClient(manager)
        self.folder = folder
        self.endpoints = endpoints
        self._manager = manager
        self._ended = manager.ended.remote()
        self._is_away = False
        self._deaths: list[float] = []

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the feed.

        Returns:
            True once everything is decided, False when the time is over first, or a process has
            died and is on its way back.

        Raises:
            ChorusError: The engine itself failed.
        """
        until = time.monotonic() + timeout_s
        if self._is_away and not self._came_back(until):
            return False
        if not ray.wait([self._ended], timeout=max(0.0, until - time.monotonic()))[0]:
            return False
        try:
            ray.get(self._ended)
        except RayTaskError as error:
            raise ChorusError(f"the engine failed: {error.cause}") from error
        except RayActorError as error:
            self._count_death(error)
            self._is_away = True
            return False
        return True

    def _came_back(self, until: float) -> bool:
        """Tell whether the manager answers again; Ray starts it, and it takes over what it finds.

        Raises:
            ChorusError: It stays away.
        """
        try:
            call(self._manager.__ray_ready__.remote(), max(0.0, until - time.monotonic()))
        except ServiceAwayError as error:
            if time.monotonic() - self._deaths[-1] > LONGEST_ABSENCE_S:
                raise ChorusError(
                    f"the strategy manager has not come back within {LONGEST_ABSENCE_S:g} s: "
                    f"{error}"
                ) from error
            # While Ray starts it, calls fail at once.
            time.sleep(max(0.0, min(_RETRY_EVERY_S, until - time.monotonic())))
            return False
        self._ended = self._manager.ended.remote()
        self._is_away = False
        return True

    def _count_death(self, error: RayActorError) -> None:
        """Give the manager up if it dies again and again.

        Raises:
            ChorusError: It has.
        """
        now = time.monotonic()
        self._deaths = [died for died in self._deaths if now - died < HEALTHY_AFTER_S] + [now]
        if len(self._deaths) > MAX_DEATHS:
            raise ChorusError(
                f"the strategy manager ended {len(self._deaths)} times within "
                f"{HEALTHY_AFTER_S:g} s: {failure_text(error)}"
            ) from error


def _never() -> bool:
    return False


@contextlib.contextmanager
def running_engine(
    config: RunConfig,
    catalog: Catalog,
    *,
    replay: Sequence[str] = (),
    state: RunFolder | None = None,
    stop: Callable[[], bool] = _never,
    cluster: Callable[..., AbstractContextManager[Path]] = embedded_cluster,
) -> Iterator[RunningEngine]:
    """Start an engine for the length of a `with` block; nothing outlives the block.

    Args:
        config: What to run; its market's `speed` paces the feed.
        catalog: The strategy types found.
        replay: Candle files; empty plays the configured market.
        state: Folder for what is to outlive the engine. A run that is in it already goes on where
            it was; None: nothing outlives the block.
        stop: Asked a few times per second while the engine starts; True gives up.
        cluster: Connects to Ray for the length of a block, as `embedded_cluster` does.

    Raises:
        ConfigError: It cannot be started with this configuration.
        ChorusError: It cannot be started, or `stop` said so.
    """
    types = catalog.used_by(config)
    with cluster(len(config.strategies), meanwhile=stop) as folder:
        config_file = folder / "run.json"
        config_file.write_text(config.model_dump_json(by_alias=True, exclude_unset=True))
        plan = EnginePlan(
            config_file=str(config_file),
            plugin_files={name: str(loaded.file) for name, loaded in types.items()},
            replay=list(replay),
            folder=str(folder / "data"),
            state=str(folder if state is None else state.path),
            is_durable=state is not None,
            namespace=f"chorus-{secrets.token_hex(8)}",
        )
        manager = spawn(StrategyManager, plan, threads=THREADS, max_restarts=-1)
        _await_started(manager, stop)
        yield RunningEngine(manager, folder, Endpoints.in_folder(Path(plan.folder)))


def _await_started(manager: Any, stop: Callable[[], bool]) -> None:
    """Wait until candles flow.

    Raises:
        StoppedError: `stop` said so before.
        ChorusError: They never will.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    started = manager.started.remote()
    while time.monotonic() < deadline:
        if ray.wait([started], timeout=STATUS_EVERY_S)[0]:
            try:
                call(started)
            except ServiceAwayError:
                time.sleep(STATUS_EVERY_S)
                started = manager.started.remote()  # Ray starts it again
            else:
                return
        if stop():
            raise StoppedError("stopped while the strategies were starting; nothing was played")
    raise ChorusError(f"the strategies have not started within {START_TIMEOUT_S:g} s")


def run_engine(
    config: RunConfig,
    catalog: Catalog,
    *,
    replay: Sequence[str] = (),
    speed: float | Literal["max"] | None = None,
    state: RunFolder | None = None,
    on_status: Callable[[EngineStatus], None] | None = None,
    stop: Callable[[], bool] = _never,
) -> RunReport:
    """Run a configuration in actors until its feed ends.

    Args:
        config: What to run.
        catalog: The strategy types found.
        replay: Candle files; empty plays the configured market.
        speed: Pace of the feed instead of the configured one.
        state: As for `running_engine`.
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
    with running_engine(config, catalog, replay=replay, state=state, stop=stop) as engine:
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
