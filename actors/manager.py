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
from actors.deployment import Deployment, take_over
from actors.fleet import START_TIMEOUT_S, Fleet
from actors.health import health_of
from actors.journal_place import JournalPlace
from actors.market_data import MarketDataActor
from actors.members import HostProcess, Member
from actors.memory import ManagerMemory
from actors.order_manager import OrderManagerActor
from actors.outcomes import collect
from actors.requests import AskOutcomes, Obey
from actors.services import ServiceAwayError, call
from actors.supervisor import Supervisor
from actors.wire import Endpoints
from engine.config import RunConfig, StrategyConfig
from engine.errors import ChorusError, ConfigError, LifecycleError
from engine.instance import Command, Pause, Resume, SaidLine
from engine.report import EngineExtract, StrategyOutcome
from engine.status import EngineHealth, EngineStatus, StrategyStatus, idle_status
from engine.supervision import SupervisionSettings
from engine.types import Candle

__all__ = ["EnginePlan", "StrategyManager"]

ROUND_EVERY_S = 0.25

MOVE_TIMEOUT_S = 90.0
"""Less than the client waits, so that it hears why."""

SHORTEST_SILENCE_S = 10.0
"""A host that has given no sign of life for less than this is never taken for dead."""

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
    it. Control calls come from other threads; the lock is held while the fleet changes.

    Ray starts it again when its process dies; it then finds the other actors by their names and
    goes on. They do not need it to trade.
    """

    def __init__(self, plan: EnginePlan) -> None:
        self._plan = plan
        self._lock = threading.RLock()
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
                self._want(member)
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
            self._supervisor.reconcile(self._core.progress, self._core.feed.published)

    # ------------------------------------------------------------------ what is wanted

    def _want(self, member: Member) -> None:
        """Decide whether a strategy can be wanted at all."""
        served = self._core.facts.streams
        missing = [stream for stream in member.config.streams if stream not in served]
        if missing or not member.config.enabled:
            member.status = idle_status(member.config, missing if member.config.enabled else ())
            member.wanted = None
        elif member.wanted is None:
            member.wanted = "running"

    def _changed(self) -> None:
        """Store what is wanted and let the loop see to it."""
        self._memory.store(self._fleet.members)
        self._fleet.wake()

    def _await_settled(self, member: Member) -> None:
        """Wait until a strategy takes part, or is reported as failed.

        Raises:
            ChorusError: It could not be started.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            # Under the lock: it may be on its way into a host that runs.
            with self._lock:
                host = self._fleet.host_of(member.id) if member.started == member.version else None
                if member.is_set_aside and member.started == member.version:
                    raise ChorusError(f"strategy {member.id!r} {member.failure}")
            if host is not None:
                return
            time.sleep(0.02)
        raise ChorusError(f"strategy {member.id!r}: did not start within {START_TIMEOUT_S:g} s")

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

    def command(self, strategy_id: str, command: Command) -> None:
        """Pause, resume or update one strategy while the others run on.

        Raises:
            ChorusError: Unknown strategy, not allowed in its state, or it does not answer.
        """
        with self._lock:
            member, host = self._live(strategy_id)
            self._fleet.ask(host, Obey(strategy_id, command))
            if isinstance(command, Pause | Resume):
                member.wanted = "paused" if isinstance(command, Pause) else "running"
                member.status = msgspec.structs.replace(member.status, status=member.wanted)
                self._changed()

    def start_strategy(self, config: StrategyConfig, plugin_file: str) -> None:
        """Add a strategy to the running engine; it takes part from the next slice on.

        Raises:
            ConfigError: Its id is taken, its account unknown or its streams are not in the feed.
            ChorusError: It could not be started.
        """
        self._require_open()
        with self._lock:
            if config.id in self._fleet.members:
                raise ConfigError(f"strategy {config.id!r}: the id is taken; restart or rename it")
            self._config.capital_of(config)
            member = Member(config, plugin_file, self._config.isolation_of(config))
            self._want(member)
            if member.wanted is None:
                raise ConfigError(
                    f"strategy {config.id!r}: {member.status.cause or 'is not enabled'}; "
                    f"the feed has {', '.join(self._core.facts.streams)}"
                )
            call(self._core.orders.handle.register.remote([member.registration()]))
            self._fleet.members = {**self._fleet.members, config.id: member}
            self._changed()
        self._await_settled(member)

    def deploy(self, deployments: list[Deployment]) -> dict[str, str]:
        """Want strategies as they are deployed; the loop brings it about.

        Returns:
            By id, why some could not be taken over.
        """
        self._require_open()
        if self._has_ended.is_set():
            raise LifecycleError("the feed has come to its end; nothing runs any more")
        refused = {}
        for deployment in deployments:
            with self._lock:
                try:
                    take_over(deployment, self._fleet, self._config)
                except ChorusError as error:
                    refused[deployment.config.id] = str(error)
        with self._lock:
            self._changed()
        return refused

    def stop_strategy(self, strategy_id: str) -> None:
        """Stop a strategy and end its host; its position and protective orders stay.

        Raises:
            ChorusError: Unknown strategy.
        """
        with self._lock:
            member = self._member(strategy_id)
            if member.wanted is not None:
                member.wanted = "stopped"
                self._changed()
                if not member.is_set_aside:
                    self._supervisor.take_out(member, "stopped")
                member.status = msgspec.structs.replace(member.status, status="stopped", cause="")

    def restart_strategy(self, strategy_id: str) -> None:
        """Start a strategy afresh, whatever state it is in; its position carries over.

        Raises:
            LifecycleError: The feed does not have its streams.
            ChorusError: Unknown strategy, or it could not be started.
        """
        with self._lock:
            member = self._member(strategy_id)
            if member.wanted is None:
                raise LifecycleError(
                    f"strategy {strategy_id!r}: {member.status.cause or 'is not enabled'}"
                )
            member.wanted = "running"
            member.version += 1
            self._changed()
        self._await_settled(member)

    def move_strategy(self, strategy_id: str, isolation: str) -> None:
        """Move a strategy to a host of its own or among the pooled ones, without losing anything.

        Raises:
            ChorusError: Unknown strategy or isolation, or it takes no part at present.
        """
        if isolation not in ("dedicated", "pooled"):
            raise ConfigError(f"isolation must be 'dedicated' or 'pooled', got {isolation!r}")
        with self._lock:
            member, _ = self._live(strategy_id)
            member.isolation = "pooled" if isolation == "pooled" else "dedicated"
            self._changed()
        deadline = time.monotonic() + MOVE_TIMEOUT_S
        while time.monotonic() < deadline and not self._has_ended.is_set():
            host = self._fleet.host_of(strategy_id)
            if host is not None and host.kind == isolation:
                return
            time.sleep(0.02)
        why = (
            "the engine has ended" if self._has_ended.is_set() else f"{MOVE_TIMEOUT_S:g} s are over"
        )
        target = self._fleet.hosts.get(strategy_id)
        if target is not None and target.cause:
            why += f"; its own process: {target.cause}"
        raise ChorusError(f"strategy {strategy_id!r}: was not moved, {why}")

    def metrics(self, strategy_id: str) -> StrategyOutcome:
        """Return one strategy's state and metrics as of its last candle.

        Raises:
            ChorusError: Unknown strategy, or it does not answer.
        """
        _, host = self._live(strategy_id)
        return self._fleet.ask(host, AskOutcomes([strategy_id])).outcomes[0]

    def _member(self, strategy_id: str) -> Member:
        self._require_open()
        members = self._fleet.members
        if strategy_id not in members:
            raise ChorusError(
                f"strategy {strategy_id!r} is not part of this engine; "
                f"there are: {', '.join(sorted(members))}"
            )
        return members[strategy_id]

    def _live(self, strategy_id: str) -> tuple[Member, HostProcess]:
        member = self._member(strategy_id)
        host = self._fleet.host_of(strategy_id)
        if host is None:
            raise LifecycleError(
                f"strategy {strategy_id!r} is {member.status.status}"
                f"{': ' + member.failure if member.failure else ''}; restart it first"
            )
        return member, host

    # ------------------------------------------------------------------ the end

    def extract(self) -> EngineExtract:
        """Return everything the report needs: as of now, or of the end once there is one."""
        self._require_open()
        return self._extract or collect(self._fleet, self._line)
