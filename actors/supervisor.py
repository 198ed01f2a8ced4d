"""The reconcile loop's one round: look, remember, plan, carry out."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from msgspec.structs import replace

from actors.errands import Errands
from actors.fleet import Fleet
from actors.members import Member
from actors.progress import DecisionProgress
from actors.services import ServiceAwayError
from engine.config import Isolation
from engine.crash_points import ARMED, CrashPoint, reach
from engine.errors import ChorusError
from engine.instance import Status
from engine.supervision import (
    Action,
    Actual,
    Adopt,
    Desired,
    EndHost,
    FailStrategy,
    History,
    Move,
    PauseStrategy,
    RecoverHost,
    StartHost,
    StopStrategy,
    SupervisionSettings,
    observe,
    plan,
)

__all__ = ["Supervisor"]

LOOK_AT_LEAST_EVERY_S = 5.0
WORTH_A_LOOK_S = 0.5
"""Waiting for a host this long is nothing yet, but may become something."""


class Supervisor:
    """Makes the actual state of the fleet the desired one.

    Args:
        fleet: Carries the actions out.
        settings: The limits.
        pooled_hosts: Hosts to spread pooled strategies over.
        history: What an earlier life of the manager remembered.
        remember: Called with a history that has changed, before anything acts on it.
        store: Called when a host has been started or a strategy given up, to store what the
            strategies are.

    Attributes:
        history: What is remembered of hosts and strategies.
    """

    def __init__(
        self,
        fleet: Fleet,
        settings: SupervisionSettings,
        *,
        pooled_hosts: int,
        history: History,
        remember: Callable[[History], None],
        store: Callable[[], None],
    ) -> None:
        self._fleet = fleet
        self._errands = Errands(fleet)
        self._settings = settings
        self._pooled_hosts = pooled_hosts
        self.history = history
        self._remember = remember
        self._store = store
        self._watched_since = time.monotonic()
        self._looked_at = 0.0
        self._random = random.Random()  # noqa: S311 - jitter

    def is_settled(self) -> bool:
        """Tell whether every strategy that is wanted takes part or was given up."""
        if self._errands.has_stops:
            return False  # those may be about to begin anew
        hosts = self._fleet.hosts.values()
        running = {name for host in hosts if host.state == "running" for name in host.carried}
        return all(
            member.id in running or member.is_set_aside
            for member in self._fleet.members.values()
            if member.wanted in ("running", "paused")
        ) and not any(host.state == "starting" for host in hosts)

    def strikes_of(self, member: Member) -> str:
        """Return what is held against a strategy that goes on nevertheless; empty if nothing is."""
        causes = self.history.strategy(member.id, member.version).causes
        return f"strike {len(causes)}: {causes[-1]}" if causes else ""

    def reconcile(self, progress: DecisionProgress, published: int) -> None:
        """Do what there is to do now.

        Args:
            progress: How far deciding has come.
            published: Newest slice published.

        Raises:
            ServiceAwayError: A service is away; the rest is left to the next round.
        """
        fleet, settings = self._fleet, self._settings
        fleet.take_out_stale()
        if not self._has_to_look(progress):
            return
        fleet.is_changed = False
        self._looked_at = time.monotonic()
        actual = self._look(progress, published)
        wanted = (member.desired() for member in fleet.members.values())
        desired = Desired(
            tuple(strategy for strategy in wanted if strategy is not None), self._pooled_hosts
        )
        observed = observe(self.history, actual, settings, self._random)
        planned = plan(desired, actual, observed, settings)
        actions = self._errands.ready(planned)
        history = observed.with_actions(actions)
        if _lasting(history) != _lasting(self.history):
            self._remember(history)
            if ARMED:
                reach(CrashPoint.MANAGER_REMEMBERED)
        self.history = history
        self._errands.ask(planned)
        # What is done is looked at again at once, and so is what could not be done.
        fleet.is_changed = fleet.is_changed or bool(actions)
        owing = {owed.host for owed in progress.owing}
        for done, action in enumerate(actions):
            if ARMED and done:
                reach(CrashPoint.MANAGER_BETWEEN_ACTIONS)
            try:
                self._carry_out(action, owing)
            except ServiceAwayError:
                raise
            except ChorusError as error:
                self._could_not(action, str(error))
                break
        if any(isinstance(action, StartHost | RecoverHost | Move) for action in actions):
            self._store()
        self._let_go_of_strays(owing)

    def _has_to_look(self, progress: DecisionProgress) -> bool:
        """Tell whether anything may be other than at the last look, which was in order.

        With thousands of strategies looking at everything takes a good part of a second. A host
        that starts says itself when it runs or has failed.
        """
        hosts = list(self._fleet.hosts.values())
        return (
            self._fleet.is_changed
            or self._errands.has_news
            or time.monotonic() - self._looked_at > LOOK_AT_LEAST_EVERY_S
            or any(owed.waited_s > WORTH_A_LOOK_S for owed in progress.owing)
            or any(host.state == "ended" or host.has_died() for host in hosts)
        )

    def _could_not(self, action: Action, cause: str) -> None:
        """Take note of an action that was refused: it concerns one strategy, not the engine."""
        fleet = self._fleet
        if isinstance(action, Move):
            member, source = fleet.members[action.instance], fleet.host_of(action.instance)
            if source is None:
                self._set_aside(member, Status.ERROR, cause)
            else:
                member.isolation = source.kind  # it stays where it is
        elif isinstance(action, StartHost | RecoverHost):
            for name in action.instances:
                self._set_aside(fleet.members[name], Status.ERROR, cause)

    def _look(self, progress: DecisionProgress, published: int) -> Actual:
        now, hosts = time.monotonic(), []
        owing = {owed.host: owed for owed in progress.owing}
        for host in list(self._fleet.hosts.values()):
            host.look()
            if self._settings.memory_limit_bytes is not None and host.kind == "dedicated":
                host.weigh(now)
            owed = owing.get(host.id)
            is_current = owed is not None and owed.start == host.start
            hosts.append(
                host.actual(
                    answered=progress.through.get(host.id, -1),
                    owes_since=now - owed.waited_s if owed is not None and is_current else None,
                    busy_with=self._fleet.busy_with(host),
                )
            )
        strategies = {
            member.id: member.actual() for member in self._fleet.members.values() if member.started
        }
        return Actual(
            hosts=tuple(hosts),
            strategies=strategies,
            now=now,
            feed_slice=published,
            watched_since=self._watched_since,
        )

    # ------------------------------------------------------------------ actions

    def _carry_out(self, action: Action, owing: set[str]) -> None:
        fleet = self._fleet
        if isinstance(action, StartHost):
            fleet.start(action.id, action.epoch, action.kind, action.instances)
        elif isinstance(action, RecoverHost):
            kind: Isolation = "dedicated" if action.id in fleet.members else "pooled"
            fleet.start(action.id, action.epoch, kind, action.instances)
        elif isinstance(action, EndHost):
            self._end(action, owing)
        elif isinstance(action, Move):
            fleet.move(action.instance, action.to_host)
        elif isinstance(action, PauseStrategy):
            # One in a host obeys instead, as one that is to resume does: see `Errands`.
            self._set_aside(fleet.members[action.id], Status.PAUSED, action.cause)
        elif isinstance(action, StopStrategy):
            self.take_out(fleet.members[action.id], action.reason)
        elif isinstance(action, FailStrategy):
            self._set_aside(fleet.members[action.id], Status.ERROR, action.cause)
        elif isinstance(action, Adopt):
            fleet.hosts[action.id].is_found = False

    def _end(self, action: EndHost, owing: set[str]) -> None:
        fleet = self._fleet
        host = fleet.hosts.get(action.id)
        if host is None or host.start != action.epoch:
            return
        offender = fleet.busy_with(host)
        if host.state == "running" and host.id in owing and offender is not None:
            # It blocks: nobody waits for it again. It may come back later, as a newcomer.
            fleet.leave(host.id, [offender], action.reason)
            fleet.members[offender].leave()
            self._store()
        fleet.end(host, action.reason)

    def _set_aside(self, member: Member, status: Status, cause: str) -> None:
        member.set_aside(status, cause)
        self._leave_everywhere(member.id, cause)

    def take_out(self, member: Member, reason: str) -> None:
        """Take a strategy out of its host as stopped; its position and protection stay.

        What it was heard to know last stays, too; nobody is asked here.

        Raises:
            ServiceAwayError: A service is away.
        """
        fleet = self._fleet
        host = fleet.host_of(member.id)
        member.outcome = self._errands.take_outcome(member.id) or member.outcome
        member.set_aside(Status.STOPPED, reason)
        self._leave_everywhere(member.id, reason)
        if host is not None:
            fleet.dismiss(host, member.id)

    def _leave_everywhere(self, name: str, reason: str) -> None:
        for host_id in self._fleet.places_of(name):
            self._fleet.leave(host_id, [name], reason)

    def _let_go_of_strays(self, owing: set[str]) -> None:
        """Wait for nobody who does not come back.

        Whoever is waited for and runs nowhere here may have been set aside, or never be built
        again: its process died at the wrong moment.
        """
        fleet = self._fleet
        absent = {name for name in owing if not self._runs(name)}
        if not absent:
            return
        for place, names in fleet.places(absent).items():
            gone = [name for name in names if self._is_gone(name)]
            if gone:
                fleet.leave(place, gone, "does not come back")

    def _runs(self, host_id: str) -> bool:
        host = self._fleet.hosts.get(host_id)
        return host is not None and host.state == "running"

    def _is_gone(self, name: str) -> bool:
        member = self._fleet.members.get(name)
        return member is None or member.is_set_aside or member.wanted in (None, "stopped")


def _lasting(history: History) -> History:
    """Return what has to outlive the manager; the rest changes with every slice."""
    return History(
        history.strategies,
        {
            name: replace(record, behind_since=None, progressed_at=None)
            for name, record in history.hosts.items()
        },
    )
