"""The strategies' actors: one per strategy, started in waves, killed alone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
import ray
from ray.exceptions import RayActorError, RayTaskError

from actors.cluster import spawn
from actors.control import CatchUp, ControlHub, GoLive, Recover, Repeat, Request
from actors.services import CONTROL_TIMEOUT_S, ServiceAwayError, call, failure_text
from actors.strategy import StrategyActor, StrategySpec
from actors.wire import Endpoints, start_name
from engine.config import RunConfig, StrategyConfig
from engine.errors import ChorusError, PluginError, start_failure
from engine.money import instruments_by_symbol
from engine.report import StrategyOutcome
from engine.status import StrategyStatus, idle_status

__all__ = ["START_TIMEOUT_S", "Fleet", "Hosted"]

WAVE = 8
"""Actors started at the same time; each costs about half a second of processor time."""

START_TIMEOUT_S = 60.0
ATTACH_POLL_S = 0.02

MAX_STRIKES = 3
"""Deaths in a row without any progress after which a strategy is given up."""

HEALTHY_AFTER_S = 60.0
"""Progress or not: whoever lives as long as this starts with no strikes again."""


class Hosted:
    """One strategy and the actor that runs it now, if any.

    Attributes:
        epoch: Number of its starts; messages of an older one are refused.
        plugin_file: File its type is loaded from.
        actor: Handle, None while none runs.
        running: Reference to the actor's `run`; it resolves when the actor's process ends.
        failure: Why there is no actor although there should be one; empty otherwise.
        status: The newest status it sent.
        outcome: What it knew when it was stopped; None while it runs or if it could not be asked.
        is_live: Whether the actor takes part.
        is_away: Its process died, and it has yet to come back.
        strikes: How often its process died without getting beyond slice `struck_at`, the last
            time at `struck_s` of the monotonic clock.
    """

    def __init__(self, config: StrategyConfig, plugin_file: str) -> None:
        self.config = config
        self.plugin_file = plugin_file
        self.epoch = 0
        self.actor: Any = None
        self.running: Any = None
        self.failure = ""
        self.status = idle_status(config)
        self.outcome: StrategyOutcome | None = None
        self.is_live = False
        self.is_away = False
        self.strikes = 0
        self.struck_at = -1
        self.struck_s = 0.0

    @property
    def name(self) -> str:
        """Return the name of this start on the data plane."""
        return start_name(self.config.id, self.epoch)

    def fail(self, cause: str) -> None:
        """Note that the strategy cannot run."""
        self.actor = self.running = None
        self.failure = cause
        self.status = msgspec.structs.replace(self.status, status="error", cause=cause, lag=0)


class Fleet:
    """Starts and ends strategy actors; does not decide which.

    Not thread-safe: the manager calls it under its lock.
    """

    def __init__(
        self, config: RunConfig, *, plugin_files: dict[str, str], endpoints: Endpoints
    ) -> None:
        self._config = config
        self._control = ControlHub(endpoints, self._take_status)
        self._endpoints = endpoints
        self._market: Any = None
        self._orders: Any = None
        self._uncovered: frozenset[str] = frozenset()
        self.hosted: dict[str, Hosted] = {
            strategy.id: Hosted(strategy, plugin_files[strategy.type])
            for strategy in config.strategies
        }

    def _take_status(self, epoch: int, status: StrategyStatus) -> None:
        """Keep a strategy's newest status; called by the control thread."""
        member = self.hosted.get(status.id)
        if member is not None and member.actor is not None and epoch == member.epoch:
            member.status = status

    def ask(
        self, member: Hosted, request: Request, *, timeout_s: float = CONTROL_TIMEOUT_S
    ) -> StrategyOutcome | None:
        """Have a strategy carry out a request between two candles.

        Raises:
            ChorusError: It refused, or did not answer in time.
        """
        running = member.running

        def is_gone() -> bool:
            return running is None or bool(ray.wait([running], timeout=0)[0])

        host, epoch = member.config.id, member.epoch
        return self._control.ask(host, epoch, request, timeout_s=timeout_s, is_gone=is_gone)

    def add(self, config: StrategyConfig, plugin_file: str) -> Hosted:
        """Take in a strategy that was not there at the start; `start` starts it."""
        member = Hosted(config, plugin_file)
        self.hosted = {**self.hosted, config.id: member}
        return member

    def connect(self, market: Any, orders: Any, uncovered: Collection[str]) -> None:
        """Take the handles of market data and order manager, and the uncovered streams."""
        self._market = market
        self._orders = orders
        self._uncovered = frozenset(uncovered)

    def start(self, members: Sequence[Hosted]) -> None:
        """Start actors in waves and let each take part once it listens and knows its past.

        One that cannot start is noted as failed; the others are not held up.

        Raises:
            ChorusError: A strategy cannot trade on its account.
        """
        call(self._orders.register.remote([member.config for member in members]))
        for first in range(0, len(members), WAVE):
            wave = members[first : first + WAVE]
            for member in wave:
                self._spawn(member)
            for member in wave:
                self._attempt(member, self._connect_up)
        for member in members:
            self._attempt(member, self._await_met)
        for member in members:
            self._attempt(member, self._join)

    def _attempt(self, member: Hosted, step: Callable[[Hosted], None]) -> None:
        if member.actor is None:
            return
        try:
            step(member)
        except ChorusError as error:
            built = isinstance(error, PluginError)
            self.end(member, str(error) if built else start_failure(error), failed=True)

    def _spawn(self, member: Hosted) -> None:
        config = member.config
        if member.actor is not None:
            ray.kill(member.actor, no_restart=True)
        member.running = None
        member.is_live = False
        member.epoch += 1
        member.failure = ""
        member.outcome = None
        spec = StrategySpec(
            config=config,
            plugin_file=member.plugin_file,
            instruments=instruments_by_symbol(self._config.instruments),
            capital=self._config.capital_of(config),
            uncovered=tuple(s for s in config.streams if s in self._uncovered),
            epoch=member.epoch,
            endpoints=self._endpoints,
        )
        member.actor = spawn(StrategyActor, spec, self._market, threads=1)

    def _connect_up(self, member: Hosted) -> None:
        config = member.config
        call(member.actor.prepare.remote(), START_TIMEOUT_S)
        call(self._market.subscribe.remote(config.id, config.streams))
        call(member.actor.attach.remote(), START_TIMEOUT_S)
        member.running = member.actor.run.remote()

    def _await_met(self, member: Hosted) -> None:
        """Wait until candles reach the actor and the order manager can write to it."""
        host, deadline = member.config.id, time.monotonic() + START_TIMEOUT_S
        while not (
            member.name in call(self._market.attached.remote())
            and call(self._orders.has_met.remote(host, member.epoch))
        ):
            if ray.wait([member.running], timeout=0)[0]:
                call(member.running)
            if time.monotonic() > deadline:
                raise ChorusError("no connection to market data or the order manager")
            time.sleep(ATTACH_POLL_S)

    def _join(self, member: Hosted) -> None:
        """Bring the actor up to the present, then let it take part.

        Nobody waits for it before it joins, so however long its history is, the others go on; what
        is left to live through after joining is what they did meanwhile.
        """
        config = member.config
        decided, events = call(self._orders.past.remote([config.id]))
        if decided >= 0:
            self.ask(member, CatchUp(decided, events), timeout_s=START_TIMEOUT_S)
        live_from, events = call(
            self._orders.join.remote(config.id, member.epoch, [config.id], config.streams)
        )
        self.ask(member, GoLive(live_from, events))
        member.is_live = True

    def recover(self, member: Hosted, cause: str) -> None:
        """Let a strategy whose process died live on in a new one, as if nothing had happened.

        The order manager waits for it meanwhile. One that dies again and again without answering
        a single candle in between is given up at the third time.

        Raises:
            ServiceAwayError: Market data or the order manager is away too; `bring_back` later.
        """
        host, now = member.config.id, time.monotonic()
        through = call(self._orders.through_of.remote(host))
        is_same = through == member.struck_at and now - member.struck_s < HEALTHY_AFTER_S
        member.strikes = member.strikes + 1 if is_same else 1
        member.struck_at, member.struck_s = through, now
        if member.strikes >= MAX_STRIKES:
            times = f"{cause}; {member.strikes} times after slice {through}"
            self.end(member, times, failed=True)
            return
        member.is_away = True
        self.bring_back(member)

    def bring_back(self, member: Hosted) -> None:
        """Start a process for a strategy that is away.

        Raises:
            ServiceAwayError: Market data or the order manager is away too; try again later.
        """
        self._spawn(member)
        try:
            for step in (self._connect_up, self._await_met, self._resume):
                step(member)
            member.is_away = False
        except ServiceAwayError as error:
            if member.running is None or not ray.wait([member.running], timeout=0)[0]:
                raise
            self.recover(member, str(error))
        except ChorusError as error:
            self.end(member, start_failure(error), failed=True)

    def _resume(self, member: Hosted) -> None:
        past = call(self._orders.rejoin.remote(member.config.id, member.epoch))
        self.ask(member, Recover(past), timeout_s=START_TIMEOUT_S)
        member.is_live = True

    def repeat_all(self, reign: int) -> None:
        """Have everybody tell a new order manager what it may not know."""
        for member in self.hosted.values():
            if member.is_live:
                # One that does not answer is found by whoever looks after stalls and deaths.
                with contextlib.suppress(ChorusError):
                    self.ask(member, Repeat(reign))

    def resubscribe(self) -> frozenset[str]:
        """Register everybody's filter with new market data; return who has to be attached."""
        present = [member for member in self.hosted.values() if member.is_live]
        for member in present:
            call(self._market.subscribe.remote(member.config.id, member.config.streams))
        return frozenset(member.name for member in present)

    def end(self, member: Hosted, reason: str, *, failed: bool) -> None:
        """Kill a strategy's actor and let the order manager go on without it."""
        host = member.config.id
        # First what may fail because a service is away: then nothing has changed.
        call(self._orders.leave.remote(host, [host], reason))
        call(self._market.unsubscribe.remote(host))
        if member.actor is not None:
            ray.kill(member.actor, no_restart=True)
        member.actor = member.running = None
        member.is_live = member.is_away = False
        if failed:
            member.fail(reason)

    def ended(self) -> list[tuple[Hosted, str]]:
        """Return the members whose actor ended unasked, each with the cause."""
        runs = {m.running: m for m in self.hosted.values() if m.running and not m.is_away}
        if not runs:
            return []
        done, _ = ray.wait(list(runs), num_returns=len(runs), timeout=0)
        found = []
        for ref in done:
            try:
                ray.get(ref)
                cause = "its loop ended"
            except (RayTaskError, RayActorError) as error:
                cause = failure_text(error)
            found.append((runs[ref], cause))
        return found

    def member(self, strategy_id: str) -> Hosted:
        """Return a strategy by id.

        Raises:
            ChorusError: No such strategy.
        """
        try:
            return self.hosted[strategy_id]
        except KeyError:
            raise ChorusError(
                f"strategy {strategy_id!r} is not part of this engine; "
                f"there are: {', '.join(sorted(self.hosted))}"
            ) from None
