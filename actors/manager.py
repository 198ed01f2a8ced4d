"""The StrategyManager actor: owns market data, order manager and the hosts of all strategies."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from actors.cluster import spawn
from actors.core import Core
from actors.deployment import Deployment
from actors.fleet import START_TIMEOUT_S, Fleet
from actors.health import health_of
from actors.journal_place import JournalPlace
from actors.market_data import MarketDataActor
from actors.members import Member
from actors.memory import ManagerMemory
from actors.operations import Operations
from actors.order_manager import OrderManagerActor
from actors.outcomes import collect
from actors.services import ServiceAwayError, call
from actors.supervisor import Supervisor
from actors.waiting_room import WaitingRoom
from actors.wire import Endpoints
from engine.config import RunConfig, StrategyConfig
from engine.instance import Command, SaidLine
from engine.report import EngineExtract, StrategyOutcome
from engine.status import EngineHealth, EngineStatus, StrategyStatus
from engine.supervision import SupervisionSettings
from engine.types import Candle

__all__ = ["THREADS", "EnginePlan", "StrategyManager"]

ROUND_EVERY_S = 0.25

SHORTEST_SILENCE_S = 10.0
"""A host that has given no sign of life for less than this is never taken for dead."""

MOST_ASK = 4
"""Who may wait for what hosts know at the same time."""

MOST_CHANGE = 4
"""Who may wait for a change at the same time."""

THREADS = MOST_ASK + MOST_CHANGE + 4
"""Of the actor: one for whoever waits for the end, the rest for calls that wait for nobody."""

_THREADS_OF_SERVICE = 7

T = TypeVar("T")


class EnginePlan(msgspec.Struct, frozen=True):
    """What a StrategyManager is started with.

    Attributes:
        config_file: The run as JSON. Ray keeps large arguments with whoever passed them, and could
            not start an actor again after that has died.
        plugin_files: File of each strategy type in use.
        replay: Candle files; empty for the configured market.
        folder: Private folder for the sockets.
        state: Folder for what has to outlive processes.
        is_durable: It has to outlive the machine, too: wait for the disk.
        namespace: Ray's namespace for the names of this engine's actors.
    """

    config_file: str
    plugin_files: dict[str, str]
    replay: list[str]
    folder: str
    state: str
    is_durable: bool
    namespace: str


class StrategyManager:
    """Starts, supervises and stops everything; the one address for control calls.

    The supervising loop has a thread of its own from the beginning; `started` and `ended` wait for
    it. Control calls come from other threads; the lock is held while the fleet changes. Those that
    may have to wait are let in a few at a time, so that the others always find a thread.

    Ray starts it again when its process dies; it then finds the other actors by their names and
    goes on. They do not need it to trade.
    """

    def __init__(self, plan: EnginePlan) -> None:
        self._plan = plan
        self._lock = threading.RLock()
        self._askers = WaitingRoom(MOST_ASK, "for what strategies know")
        self._changers = WaitingRoom(MOST_CHANGE, "for a change of strategies")
        self._phase = "starting"
        self._extract: EngineExtract | None = None
        self._is_open = False
        self._has_started = threading.Event()
        self._has_ended = threading.Event()
        self._failure: BaseException | None = None
        threading.Thread(target=self._supervise_all, name="supervise", daemon=True).start()

    def _supervise_all(self) -> None:
        try:
            self._open()
            self._start()
            self._has_started.set()
            self._run()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self._failure = error
        finally:
            self._has_started.set()
            self._has_ended.set()

    def started(self) -> None:
        """Return when everything is up and candles flow.

        Raises:
            ChorusError: The market or the order manager cannot be started. A strategy that cannot
                is reported as `error` and does not hold up the others.
        """
        self._has_started.wait()
        self._raise_failure()

    def ended(self) -> None:
        """Return when every candle is decided or the engine was stopped.

        Raises:
            ChorusError: Market data or the order manager failed; the engine cannot go on.
        """
        self._has_ended.wait()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _open(self) -> None:
        """Read what an earlier life has left; start the services or find them."""
        plan = self._plan
        config = RunConfig.model_validate_json(Path(plan.config_file).read_bytes())
        self._config = config
        self._memory = ManagerMemory(Path(plan.state), sync=plan.is_durable)
        self._fleet = Fleet(config, plan.folder, plan.state, plan.namespace)
        self._fleet.members = self._memory.members(config, plan.plugin_files)
        self._core = self._fleet.core = self._spawn_core(self._fleet.endpoints)
        limit_mb = config.placement.memory_limit_mb
        window_s = config.arbitration.window_ms / 1000
        self._supervisor = Supervisor(
            self._fleet,
            SupervisionSettings(
                block_after_s=window_s,
                start_within_s=START_TIMEOUT_S,
                ping_within_s=max(SHORTEST_SILENCE_S, 2 * window_s),
                memory_limit_bytes=None if limit_mb is None else limit_mb * 1_000_000,
            ),
            pooled_hosts=config.placement.hosts_or_default,
            history=self._memory.history,
            remember=self._memory.remember,
            store=lambda: self._memory.store(self._fleet.members),
        )
        self._operations = Operations(
            config,
            self._fleet,
            self._supervisor,
            self._memory,
            lock=self._lock,
            has_ended=self._has_ended,
        )
        self._is_open = True

    def _require_open(self) -> None:
        if not self._is_open:
            raise ServiceAwayError("strategy manager: is being started")

    def _spawn_core(self, endpoints: Endpoints) -> Core:
        """Start the two services, or find those an earlier life has started."""
        plan = self._plan
        names = {"namespace": plan.namespace, "lifetime": "detached", "get_if_exists": True}
        options: dict[str, Any] = {"threads": _THREADS_OF_SERVICE, "max_restarts": -1, **names}
        config = self._config
        market = spawn(
            MarketDataActor,
            config.market,
            list(config.wanted_streams),
            plan.replay,
            endpoints,
            name="market-data",
            **options,
        )
        # Strategies are told one by one; what is left is small enough to go with the call.
        accounts = config.model_copy(update={"strategies": config.strategies[:1]})
        orders = spawn(
            OrderManagerActor,
            accounts,
            endpoints,
            market,
            JournalPlace(str(Path(plan.state) / "orders.journal"), plan.is_durable),
            name="order-manager",
            **options,
        )
        return Core(
            market, orders, subscribers=self._fleet.living, repeat_all=self._fleet.repeat_all
        )

    # ------------------------------------------------------------------ the loop

    def _start(self) -> None:
        """Bring everything up and let candles flow; what is up already is taken over."""
        self._round(self._take_over)
        while not self._supervisor.is_settled():
            self._round(self._supervise)
            self._fleet.wait_for_change(ROUND_EVERY_S)
        if not self._core.has_begun:
            self._round(self._begin)
        self._phase = "running"

    def _take_over(self) -> None:
        """Open the services, and find the hosts an earlier life has started."""
        self._core.open()
        with self._lock:
            for member in self._fleet.members.values():
                self._operations.want(member)
            self._fleet.adopt(self._memory.kinds())

    def _begin(self) -> None:
        self._core.look_after()
        self._core.begin()

    def _round(self, step: Callable[[], T]) -> None:
        """Carry out a step until no service is away."""
        while True:
            with contextlib.suppress(ServiceAwayError):
                step()
                return
            time.sleep(ROUND_EVERY_S)

    def _run(self) -> None:
        """Supervise until every candle is decided and everybody has reported."""
        while self._extract is None:
            # A service that goes away in the middle is found, and what was begun is taken up, in
            # the next round.
            with contextlib.suppress(ServiceAwayError):
                self._supervise()
                if self._core.progress.finished and self._supervisor.is_settled():
                    self._extract = collect(self._fleet, self._line)
                    break
            self._fleet.wait_for_change(ROUND_EVERY_S)
        self._phase = "done"

    def _supervise(self) -> None:
        self._core.look_after()
        with self._lock:
            self._operations.store_confirmed()
            self._supervisor.reconcile(self._core.progress, self._core.feed.published)

    # ------------------------------------------------------------------ control calls

    def stop(self) -> None:
        """Stop the feed; what is published is still decided, then `run` returns."""
        self._require_open()
        self._phase = "draining"
        self._core.drain()

    def status(self) -> EngineStatus:
        """Return the state of everything as last heard."""
        self._require_open()
        progress = self._core.progress
        played = progress.candles - progress.stretch.after
        return EngineStatus(
            phase=self._phase,
            slice_number=progress.decided,
            candles=progress.candles,
            total_candles=self._core.facts.total_candles,
            candles_per_s=played / progress.elapsed_s if progress.elapsed_s else 0.0,
            elapsed_s=progress.elapsed_s,
            strategies=[self._line(member) for member in list(self._fleet.members.values())],
            latency_ms=progress.latency_ms,
        )

    def health(self) -> EngineHealth:
        """Return how the engine and each of its processes is."""
        self._require_open()
        return health_of(self._core, self._fleet, self._failure)

    def streams(self) -> tuple[str, ...]:
        """Return the streams of the feed."""
        self._require_open()
        return self._core.facts.streams

    def said(self, after: int, limit: int) -> tuple[int, list[SaidLine]]:
        """Return what strategies' code has said since; see `SaidLines.since`."""
        self._require_open()
        return self._fleet.said.since(after, limit)

    def order_manager(self) -> Any:
        """Return the order manager, for those who have much to ask it."""
        self._require_open()
        return self._core.orders.handle

    def candles(self, stream: str, limit: int, before_ms: int | None) -> list[Candle]:
        """Return the newest candles of a stream, oldest first.

        Raises:
            DataError: It is not in the feed.
        """
        self._require_open()
        found = call(self._core.market.handle.newest.remote(stream, limit, before_ms))
        return list(found)

    def _line(self, member: Member) -> StrategyStatus:
        status = member.status
        strikes = "" if status.cause else self._supervisor.strikes_of(member)
        return msgspec.structs.replace(status, cause=strikes) if strikes else status

    # ------------------------------------------------------------------ control calls that wait

    def metrics(self, strategy_id: str) -> StrategyOutcome:
        """Return one strategy's metrics; see `Operations`, as for all below."""
        with self._askers.place():
            return self._opened().metrics(strategy_id)

    def command(self, strategy_id: str, command: Command) -> None:
        """Pause, resume or update one strategy."""
        with self._changers.place():
            self._opened().command(strategy_id, command)

    def deploy(self, deployments: list[Deployment]) -> dict[str, str]:
        """Want strategies as they are deployed; return why some could not be taken over."""
        with self._changers.place():
            return self._opened().deploy(deployments)

    def start_strategy(self, config: StrategyConfig, plugin_file: str) -> None:
        """Add a strategy to the running engine."""
        with self._changers.place():
            self._opened().start(config, plugin_file)

    def stop_strategy(self, strategy_id: str) -> None:
        """Stop a strategy and end its host."""
        with self._changers.place():
            self._opened().stop(strategy_id)

    def restart_strategy(self, strategy_id: str) -> None:
        """Start a strategy afresh."""
        with self._changers.place():
            self._opened().restart(strategy_id)

    def move_strategy(self, strategy_id: str, isolation: str) -> None:
        """Move a strategy to a host of its own or among the pooled ones."""
        with self._changers.place():
            self._opened().move(strategy_id, isolation)

    def _opened(self) -> Operations:
        self._require_open()
        return self._operations

    # ------------------------------------------------------------------ the end

    def extract(self) -> EngineExtract:
        """Return everything the report needs: as of now, or of the end once there is one.

        Raises:
            ServiceAwayError: Too many others wait, or a process is on its way back.
        """
        self._require_open()
        with self._askers.place():
            return self._extract or collect(self._fleet, self._line)
