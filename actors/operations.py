"""What operators do with single strategies while the others run on."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from actors.asking import ANSWER_WITHIN_S, Asking, live_host
from actors.deployment import Deployment, take_over
from actors.fleet import START_TIMEOUT_S, Fleet
from actors.members import Member
from actors.memory import ManagerMemory
from actors.requests import AskOutcomes
from actors.services import call
from actors.supervisor import Supervisor
from engine.config import RunConfig, StrategyConfig
from engine.errors import ChorusError, ConfigError, LifecycleError
from engine.instance import Command, Status
from engine.report import StrategyOutcome
from engine.status import idle_status

__all__ = ["Operations"]

MOVE_TIMEOUT_S = 90.0
"""Less than the client waits, so that it hears why."""

POLL_S = 0.02


class Operations:
    """Notes what is wanted of strategies; the manager's loop brings it about.

    Args:
        config: The run.
        fleet: The strategies and their hosts.
        supervisor: Brings about what is wanted.
        memory: Where that is stored.
        lock: The manager's: held by its loop while the fleet changes, and here only to look and to
            note, as long as nobody has to answer for it.
        has_ended: The loop has come to its end.
    """

    def __init__(
        self,
        config: RunConfig,
        fleet: Fleet,
        supervisor: Supervisor,
        memory: ManagerMemory,
        *,
        lock: AbstractContextManager[Any],
        has_ended: threading.Event,
    ) -> None:
        self._config = config
        self._fleet = fleet
        self._supervisor = supervisor
        self._memory = memory
        self._lock = lock
        self._has_ended = has_ended
        self._asking = Asking(fleet, lock, self._changed)

    def want(self, member: Member) -> None:
        """Decide whether a strategy can be wanted at all; called under the lock."""
        served = self._fleet.core.facts.streams
        missing = [stream for stream in member.config.streams if stream not in served]
        if missing or not member.config.enabled:
            member.status = idle_status(member.config, missing if member.config.enabled else ())
            member.wanted = None
        elif member.wanted is None:
            member.wanted = "running"

    def store_confirmed(self) -> None:
        """Store what strategies have confirmed since; called by the loop under the lock."""
        if self._asking.take_confirmed():
            self._memory.store(self._fleet.members)

    def _require_feed(self) -> None:
        if self._has_ended.is_set():
            raise LifecycleError("the feed has come to its end; nothing runs any more")

    def _changed(self) -> None:
        """Store what is wanted and let the loop see to it."""
        self._memory.store(self._fleet.members)
        self._fleet.wake()

    def _member(self, strategy_id: str) -> Member:
        members = self._fleet.members
        if strategy_id not in members:
            raise ChorusError(
                f"strategy {strategy_id!r} is not part of this engine; "
                f"there are: {', '.join(sorted(members))}"
            )
        return members[strategy_id]

    # ------------------------------------------------------------------ what is asked of hosts

    def metrics(self, strategy_id: str) -> StrategyOutcome:
        """Return one strategy's state and metrics as of its last candle.

        Raises:
            ChorusError: Unknown strategy, or it does not answer.
        """
        host = live_host(self._fleet, self._member(strategy_id))
        request = AskOutcomes([strategy_id])
        return self._fleet.ask(host, request, timeout_s=ANSWER_WITHIN_S).outcomes[0]

    def command(self, strategy_id: str, command: Command) -> None:
        """Pause, resume or update one strategy.

        Raises:
            ChorusError: Unknown strategy, not allowed in its state, or it does not answer.
        """
        self._asking.obey(self._member(strategy_id), command)

    def deploy(self, deployments: Sequence[Deployment]) -> dict[str, str]:
        """Want strategies as they are deployed.

        Returns:
            By id, why some could not be taken over, or not yet: their hosts have not answered.

        Raises:
            LifecycleError: The feed has ended.
        """
        self._require_feed()
        with self._lock:
            refused, changing = take_over(deployments, self._fleet, self._config)
            self._changed()
            changes = {member.id: self._asking.change(member, wish) for member, wish in changing}
        return refused | self._asking.await_changes(changes)

    # ------------------------------------------------------------------ what the loop brings about

    def start(self, config: StrategyConfig, plugin_file: str) -> None:
        """Add a strategy to the running engine; it takes part from the next slice on.

        Raises:
            ConfigError: Its id is taken, its account unknown or its streams are not in the feed.
            ChorusError: It could not be started.
        """
        self._await_settled(self._add(config, plugin_file))

    def _add(self, config: StrategyConfig, plugin_file: str) -> Member:
        core = self._fleet.core
        with self._lock:
            if config.id in self._fleet.members:
                raise ConfigError(f"strategy {config.id!r}: the id is taken; restart or rename it")
            self._config.capital_of(config)
            member = Member(config, plugin_file, self._config.isolation_of(config))
            self.want(member)
            if member.wanted is None:
                raise ConfigError(
                    f"strategy {config.id!r}: {member.status.cause or 'is not enabled'}; "
                    f"the feed has {', '.join(core.facts.streams)}"
                )
            call(core.orders.handle.register.remote([member.registration()]))
            self._fleet.members = {**self._fleet.members, config.id: member}
            self._changed()
            return member

    def stop(self, strategy_id: str) -> None:
        """Stop a strategy and end its host; its position and protective orders stay.

        One that does not answer is stopped all the same, without its last metrics.

        Raises:
            LifecycleError: The feed has ended, or something else was decided meanwhile.
            ChorusError: Unknown strategy, or it is still on its way out.
        """
        with self._lock:
            member = self._member(strategy_id)
            if member.wanted is None:
                return
            self._require_feed()
            member.wanted = "stopped"
            self._changed()
            if self._fleet.host_of(strategy_id) is None:
                if not member.is_set_aside:
                    self._supervisor.take_out(member, "stopped")
                member.status = msgspec.structs.replace(member.status, status="stopped", cause="")
                return
            version = member.version
        self._await_stopped(member, version)

    def _await_stopped(self, member: Member, version: int) -> None:
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while time.monotonic() < deadline:
            with self._lock:
                if (member.version, member.wanted) != (version, "stopped"):
                    raise LifecycleError(
                        f"strategy {member.id!r}: something else was decided meanwhile; look at "
                        "it again"
                    )
                if member.actual().status is Status.STOPPED:
                    return
            self._require_feed()
            time.sleep(POLL_S)
        raise ChorusError(
            f"strategy {member.id!r}: is not out of its host after {ANSWER_WITHIN_S:g} s; it is "
            "taken out as soon as the engine's services answer"
        )

    def restart(self, strategy_id: str) -> None:
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
            member.begin_anew(member.config)
            self._changed()
        self._await_settled(member)

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
            time.sleep(POLL_S)
        raise ChorusError(f"strategy {member.id!r}: did not start within {START_TIMEOUT_S:g} s")

    def move(self, strategy_id: str, isolation: str) -> None:
        """Move a strategy to a host of its own or among the pooled ones, without losing anything.

        Raises:
            ChorusError: Unknown strategy or isolation, or it takes no part at present.
        """
        if isolation not in ("dedicated", "pooled"):
            raise ConfigError(f"isolation must be 'dedicated' or 'pooled', got {isolation!r}")
        with self._lock:
            member = self._member(strategy_id)
            live_host(self._fleet, member)
            member.isolation = "pooled" if isolation == "pooled" else "dedicated"
            self._changed()
        deadline = time.monotonic() + MOVE_TIMEOUT_S
        while time.monotonic() < deadline and not self._has_ended.is_set():
            host = self._fleet.host_of(strategy_id)
            if host is not None and host.kind == isolation:
                return
            time.sleep(POLL_S)
        why = (
            "the engine has ended" if self._has_ended.is_set() else f"{MOVE_TIMEOUT_S:g} s are over"
        )
        target = self._fleet.hosts.get(strategy_id)
        if target is not None and target.cause:
            why += f"; its own process: {target.cause}"
        raise ChorusError(f"strategy {strategy_id!r}: was not moved, {why}")
