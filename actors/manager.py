"""The StrategyManager actor: owns market data, order manager and one actor per strategy."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.exceptions import RayActorError, RayTaskError

from actors.cluster import spawn
from actors.control import AskOutcome
from actors.fleet import MAX_STRIKES, START_TIMEOUT_S, Fleet, Hosted
from actors.market_data import MarketDataActor, MarketFacts, MarketProgress
from actors.order_manager import ORDER_MANAGER, DecisionProgress, OrderManagerActor
from actors.services import ServiceAwayError, call, call_service, failure_text
from actors.wire import Endpoints, start_name
from engine.config import RunConfig, StrategyConfig
from engine.errors import ChorusError, ConfigError, LifecycleError
from engine.instance import Command, Stop
from engine.report import EngineExtract, StrategyOutcome, outcome_without_instance
from engine.status import EngineStatus, idle_status

__all__ = ["EnginePlan", "StrategyManager"]

SUPERVISE_EVERY_S = 0.25

MARKET_DATA = "market data"
ORDERS = "order manager"

_THREADS_OF_SERVICE = 4


class EnginePlan(msgspec.Struct, frozen=True):
    """What a StrategyManager is started with.

    Attributes:
        config: The run.
        plugin_files: File of each strategy type in use.
        replay: Candle files; empty for the configured market.
        folder: Private folder for the sockets.
    """

    config: RunConfig
    plugin_files: dict[str, str]
    replay: list[str]
    folder: str


class StrategyManager:
    """Starts, supervises and stops everything; the one address for control calls.

    `run` is the supervising loop and occupies one thread until the feed has ended or `stop` is
    called. Control calls come from other threads; the lock is held while the fleet changes.
    """

    def __init__(self, plan: EnginePlan) -> None:
        self._plan = plan
        self._endpoints = Endpoints.in_folder(Path(plan.folder))
        self._lock = threading.RLock()
        self._fleet = Fleet(plan.config, plugin_files=plan.plugin_files, endpoints=self._endpoints)
        self._phase = "starting"
        self._reign = 0
        self._away: set[str] = set()
        self._deaths: dict[str, tuple[int, int]] = {}
        self._facts: MarketFacts | None = None
        self._progress = DecisionProgress(-1, 0, False, 0.0, [], {})
        self._market: Any = None
        self._orders: Any = None

    def start(self) -> None:
        """Start market data, the order manager and every strategy, then let candles flow.

        Raises:
            ChorusError: The market or the order manager cannot be started. A strategy that cannot
                is reported as `error` and does not hold up the others.
        """
        config = self._plan.config
        market = spawn(
            MarketDataActor,
            config.market,
            list(config.wanted_streams),
            self._plan.replay,
            self._endpoints,
            threads=_THREADS_OF_SERVICE,
            max_restarts=-1,
        )
        facts: MarketFacts = call(market.open.remote(), START_TIMEOUT_S)
        orders = spawn(
            OrderManagerActor,
            config,
            facts.base_streams,
            self._endpoints,
            market,
            str(Path(self._plan.folder) / "orders.journal"),
            threads=_THREADS_OF_SERVICE,
            max_restarts=-1,
        )
        call(orders.open.remote(self._reign), START_TIMEOUT_S)
        self._market, self._orders, self._facts = market, orders, facts
        self._services = {MARKET_DATA: market.run.remote(), ORDERS: orders.run.remote()}
        self._fleet.connect(market, orders, facts.uncovered)
        with self._lock:
            members = self._fleet.hosted.values()
            self._fleet.start([m for m in members if m.config.enabled and self._has_data(m)])
        self._await_attached({start_name(ORDER_MANAGER, self._reign)})
        call(market.begin.remote())
        self._phase = "running"

    def _has_data(self, member: Hosted) -> bool:
        served = self._facts.streams if self._facts is not None else ()
        missing = [stream for stream in member.config.streams if stream not in served]
        member.status = idle_status(member.config, missing)
        return not missing

    def _await_attached(self, names: set[str]) -> None:
        """Wait until the subscriptions of all these starts are in force."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while absent := names - call(self._market.attached.remote()):
            if time.monotonic() > deadline:
                raise ChorusError(f"{', '.join(sorted(absent))}: no connection to market data")
            time.sleep(0.02)

    def run(self) -> None:
        """Supervise until every candle is decided or the engine is stopped.

        Raises:
            ChorusError: Market data or the order manager failed; the engine cannot go on.
        """
        while True:
            # A service that goes away in the middle is found, and what was begun is taken up, in
            # the next round.
            with contextlib.suppress(ServiceAwayError):
                self._look_after_services()
                with self._lock:
                    self._look_after_strategies()
            if self._progress.finished:
                self._phase = "done"
                return
            time.sleep(SUPERVISE_EVERY_S)

    def _look_after_services(self) -> None:
        """Ask how far things are; a service whose process died is started again.

        Raises:
            ChorusError: A service failed: it would fail again.
        """
        services = list(self._services.items())
        ended, _ = ray.wait([ref for _, ref in services], num_returns=len(services), timeout=0)
        for name, running in services:
            if running in ended or name in self._away:
                try:
                    ray.get(running)
                except RayTaskError as error:
                    raise ChorusError(f"{name} ended: {failure_text(error)}") from error
                except RayActorError as error:
                    self._revive(name, failure_text(error))
                    return
        market: MarketProgress = call(self._market.progress.remote())
        self._progress = call(self._orders.progress.remote())
        if market.failed:
            raise ChorusError(f"market data ended: {market.failed}")

    def _revive(self, name: str, cause: str) -> None:
        """Bring a service back to where it was when its process died.

        Raises:
            ChorusError: It died again and again without a single slice being decided, or cannot
                be started.
        """
        died_at, times = self._deaths.get(name, (-2, 0))
        if name not in self._away:
            times = times + 1 if died_at == self._progress.decided else 1
        self._deaths[name] = (self._progress.decided, times)
        if times >= MAX_STRIKES:
            raise ChorusError(f"{name} ended {times} times at one slice: {cause}")
        self._away.add(name)
        with self._lock:
            if name == ORDERS:
                self._revive_orders()
            else:
                self._revive_market()
            self._away.discard(name)
            # Whoever was waited for has the full time again.
            self._progress = msgspec.structs.replace(self._progress, stalled=[])

    def _revive_orders(self) -> None:
        """It builds itself again from its journal; then everybody tells what may be missing."""
        self._reign += 1
        call_service(self._orders.open, self._reign, timeout_s=START_TIMEOUT_S)
        self._services[ORDERS] = self._orders.run.remote()
        self._await_attached({start_name(ORDER_MANAGER, self._reign)})
        call(self._orders.catch_up.remote(), START_TIMEOUT_S)
        self._fleet.repeat_all(self._reign)

    def _revive_market(self) -> None:
        """It opens the market again and goes on after the last slice decided."""
        call_service(self._market.open, timeout_s=START_TIMEOUT_S)
        self._services[MARKET_DATA] = self._market.run.remote()
        present = self._fleet.resubscribe()
        self._await_attached({*present, start_name(ORDER_MANAGER, self._reign)})
        decided, known = call(self._orders.frontier.remote())
        call(self._market.begin.remote(decided + 1, known))

    def _look_after_strategies(self) -> None:
        for member in list(self._fleet.hosted.values()):
            if member.is_away:
                self._fleet.bring_back(member)
        for member, cause in self._fleet.ended():
            self._fleet.recover(member, cause)
        for stalled in self._progress.stalled:
            member = self._fleet.hosted[stalled.host]
            if member.actor is None or member.epoch != stalled.epoch:
                continue
            self._fleet.end(
                member,
                f"no answer for {stalled.waited_s:.1f} s at slice {stalled.slice} "
                f"(limit {self._plan.config.arbitration.window_ms / 1000:g} s); its process "
                "was ended",
                failed=True,
            )

    def stop(self) -> None:
        """Stop the feed; what is published is still decided, then `run` returns."""
        self._phase = "draining"
        call(self._market.stop.remote())

    def status(self) -> EngineStatus:
        """Return the state of everything as last heard."""
        progress = self._progress
        rate = progress.candles / progress.elapsed_s if progress.elapsed_s else 0.0
        return EngineStatus(
            phase=self._phase,
            slice_number=progress.decided,
            candles=progress.candles,
            total_candles=self._facts.total_candles if self._facts else 0,
            candles_per_s=rate,
            elapsed_s=progress.elapsed_s,
            strategies=[member.status for member in list(self._fleet.hosted.values())],
            latency_ms=progress.latency_ms,
        )

    def command(self, strategy_id: str, command: Command) -> None:
        """Pause, resume, stop or update one strategy while the others run on.

        Raises:
            ChorusError: Unknown strategy, not allowed in its state, or it does not answer.
        """
        self._fleet.ask(self._live(strategy_id), command)

    def start_strategy(self, config: StrategyConfig, plugin_file: str) -> None:
        """Add a strategy to the running engine; it takes part from the next slice on.

        Raises:
            ConfigError: Its id is taken, its account unknown or its streams are not in the feed.
            ChorusError: It could not be started.
        """
        with self._lock:
            if config.id in self._fleet.hosted:
                raise ConfigError(f"strategy {config.id!r}: the id is taken; restart or rename it")
            self._plan.config.account_of(config)
            if not self._has_data(probe := Hosted(config, plugin_file)):
                raise ConfigError(
                    f"strategy {config.id!r}: {probe.status.cause}; "
                    f"the feed has {', '.join(self._facts.streams) if self._facts else 'nothing'}"
                )
            member = self._fleet.add(config, plugin_file)
            self._fleet.start([member])
        if member.failure:
            raise ChorusError(f"strategy {config.id!r} {member.failure}")

    def stop_strategy(self, strategy_id: str) -> None:
        """Stop a strategy and end its actor; its position and protective orders stay.

        Raises:
            ChorusError: Unknown strategy.
        """
        with self._lock:
            member = self._fleet.member(strategy_id)
            if member.actor is not None:
                # One that does not answer is ended all the same, only without last words.
                with contextlib.suppress(ChorusError):
                    self._fleet.ask(member, Stop())
                    member.outcome = self._fleet.ask(member, AskOutcome())
                self._fleet.end(member, "stopped", failed=False)
            member.status = msgspec.structs.replace(member.status, status="stopped", cause="")

    def restart_strategy(self, strategy_id: str) -> None:
        """Start a strategy afresh, whatever state it is in; its position carries over.

        Raises:
            LifecycleError: The feed does not have its streams.
            ChorusError: Unknown strategy, or it could not be started.
        """
        with self._lock:
            member = self._fleet.member(strategy_id)
            if member.actor is not None:
                self._fleet.end(member, "restarted", failed=False)
            if not self._has_data(member):
                raise LifecycleError(f"strategy {strategy_id!r}: {member.status.cause}")
            self._fleet.start([member])
        if member.failure:
            raise ChorusError(f"strategy {strategy_id!r} {member.failure}")

    def metrics(self, strategy_id: str) -> StrategyOutcome:
        """Return one strategy's state and metrics as of its last candle.

        Raises:
            ChorusError: Unknown strategy, or it does not answer.
        """
        return self._ask_outcome(self._live(strategy_id), through=-1)

    def _ask_outcome(self, member: Hosted, *, through: int) -> StrategyOutcome:
        outcome = self._fleet.ask(member, AskOutcome(through))
        if outcome is None:
            raise ChorusError(f"strategy {member.config.id!r}: sent no outcome")
        return outcome

    def _live(self, strategy_id: str) -> Hosted:
        member = self._fleet.member(strategy_id)
        if member.actor is None:
            raise LifecycleError(
                f"strategy {strategy_id!r} is {member.status.status}"
                f"{': ' + member.failure if member.failure else ''}; restart it first"
            )
        return member

    def extract(self) -> EngineExtract:
        """Return everything the report needs; called when `run` has returned."""
        members = list(self._fleet.hosted.values())
        with ThreadPoolExecutor(max_workers=max(1, len(members))) as pool:
            outcomes = list(pool.map(self._outcome, members))
        for member, outcome in zip(members, outcomes, strict=True):
            member.status = outcome.last
        return EngineExtract(
            strategies=[member.config for member in members],
            outcomes={outcome.id: outcome for outcome in outcomes},
            ledger=call(self._orders.extract.remote(), START_TIMEOUT_S),
            candles=self._progress.candles,
            elapsed_s=self._progress.elapsed_s,
            latency_ms=self._progress.latency_ms,
        )

    def _outcome(self, member: Hosted) -> StrategyOutcome:
        if member.outcome is not None:
            return member.outcome
        if member.actor is None:
            return outcome_without_instance(member.status)
        through = self._progress.decided if self._progress.finished else -1
        try:
            return self._ask_outcome(member, through=through)
        except ChorusError as error:
            member.fail(str(error))
            return outcome_without_instance(member.status)
