"""What to do so that the actual state becomes the desired one.

A plan goes through these steps, each on what the ones before leave; a state that is as desired
passes through all of them without an action.

1. A host that has failed (`observe` says so), that a later epoch has superseded, or that carries
   what another host carries too, is ended.
2. A host found alive is adopted.
3. Strategies that are stopped, of another version or set aside by a verdict leave their hosts.
4. Every strategy that is to run gets a target: its own host, or a place among the pooled ones.
   Hosts without a task are ended.
5. Statuses are set: pause, resume, the verdicts.
6. Instances move between running hosts; hosts that are empty then are ended.
7. Hosts that are missing start, or recover what they carried, once their delay is over.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.instance import Status
from engine.supervision.actions import (
    Action,
    Adopt,
    EndHost,
    FailStrategy,
    Move,
    PauseStrategy,
    RecoverHost,
    ResumeStrategy,
    StartHost,
    StopStrategy,
)
from engine.supervision.actual import Actual, ActualHost
from engine.supervision.desired import Desired, DesiredStrategy, Isolation
from engine.supervision.history import History, HostRecord
from engine.supervision.placement import pooled_hosts, spread
from engine.supervision.settings import SupervisionSettings

__all__ = ["plan"]


def plan(
    desired: Desired, actual: Actual, history: History, settings: SupervisionSettings
) -> list[Action]:
    """Return what to do now, in order; empty where all is as desired or has to be waited for.

    No strategy is started in a host before every other that carries it is ended.

    Args:
        desired: What is wanted.
        actual: What is there.
        history: As `observe` returned it for this actual state.
        settings: The limits.
    """
    planner = _Planner(desired, actual, history, settings)
    planner.end_unfit_hosts()
    planner.adopt()
    planner.take_out()
    targets = planner.targets()
    planner.end_hosts_without_task(targets)
    planner.set_statuses()
    planner.move(targets)
    planner.end_hosts_without_task(targets)
    planner.start_hosts(targets)
    return planner.actions


class _Planner:
    """The state as it will be once the actions so far are carried out.

    Attributes:
        actions: The plan so far.
        live: Hosts that stay alive.
        carried: Per live host what it carries.
        ended: Per host id the newest epoch that is over, with what it carried.
    """

    def __init__(
        self, desired: Desired, actual: Actual, history: History, settings: SupervisionSettings
    ) -> None:
        self._desired = desired
        self._wanted = {entry.id: entry for entry in sorted(desired.strategies, key=_id)}
        self._actual = actual
        self._history = history
        self._settings = settings
        self.actions: list[Action] = []
        self.live: dict[str, ActualHost] = {}
        self.carried: dict[str, list[str]] = {}
        self.ended: dict[str, ActualHost] = {}
        self._epochs = {name: record.epoch for name, record in history.hosts.items()}
        for host in actual.hosts:
            self._epochs[host.id] = max(host.epoch, self._epochs.get(host.id, 0))
        self._stopped: set[str] = set()

    # ------------------------------------------------------------------ hosts that must end

    def end_unfit_hosts(self) -> None:
        """End what has failed, is superseded or carries what another host carries."""
        taken: dict[str, str] = {}
        # Of two that carry the same, the one stays whose end would cost more.
        hosts = sorted(
            self._actual.hosts,
            key=lambda h: (h.state != "running", -len(h.instances), h.id, h.epoch),
        )
        for host in hosts:
            if host.state == "ended":
                self._lay_down(host)
                continue
            reason = self._unfit(host)
            if not reason:
                shared = next((name for name in host.instances if name in taken), None)
                if shared is not None:
                    reason = f"carries {shared!r}, and so does host {taken[shared]!r}"
            if reason:
                self._end(host, reason)
            else:
                self.live[host.id] = host
                self.carried[host.id] = list(host.instances)
                taken.update(dict.fromkeys(host.instances, host.id))

    def _unfit(self, host: ActualHost) -> str:
        record = self._history.hosts.get(host.id, HostRecord())
        if host.epoch < self._epochs[host.id]:
            return f"superseded by epoch {self._epochs[host.id]}"
        return record.cause if host.epoch <= record.closed else ""

    def _end(self, host: ActualHost, reason: str) -> None:
        self.actions.append(EndHost(host.id, host.epoch, reason))
        if self.live.get(host.id) is host:
            del self.live[host.id], self.carried[host.id]
        self._lay_down(host)

    def _lay_down(self, host: ActualHost) -> None:
        known = self.ended.get(host.id)
        if known is None or known.epoch < host.epoch:
            self.ended[host.id] = host

    def adopt(self) -> None:
        """Take in what was found alive and stays."""
        for name, host in sorted(self.live.items()):
            if host.is_found:
                self.actions.append(Adopt(name, host.epoch))

    # ------------------------------------------------------------------ strategies and statuses

    def take_out(self) -> None:
        """Take strategies out of their hosts that are not to be there; a dedicated host ends."""
        for name, host in sorted(self.live.items()):
            leaving = {i: reason for i in self.carried[name] if (reason := self._why_out(i))}
            if not leaving:
                continue
            staying = [i for i in self.carried[name] if i not in leaving]
            if host.state == "running":
                for instance, reason in leaving.items():
                    self._stop(instance, reason)
                self.carried[name] = staying
            if not staying and (host.kind == "dedicated" or host.state == "starting"):
                self._end(host, next(iter(leaving.values())))

    def _why_out(self, name: str) -> str:
        """Return why a strategy may not be in a host; empty if it may."""
        wanted = self._wanted.get(name)
        if wanted is None or wanted.status == "stopped":
            return "stopped"
        if (version := self._version(wanted)) != wanted.version:
            return f"version {wanted.version} replaces {version}"
        if self._status(name) is Status.STOPPED:
            return "stopped, and wanted again"
        record = self._history.of(wanted)
        return record.causes[-1] if record.verdict else ""

    def _stop(self, name: str, reason: str) -> None:
        self.actions.append(StopStrategy(name, reason))
        self._stopped.add(name)

    def _status(self, name: str) -> Status:
        if name in self._stopped:
            return Status.STOPPED
        known = self._actual.strategies.get(name)
        return known.status if known is not None else Status.CREATED

    def _version(self, wanted: DesiredStrategy) -> int:
        known = self._actual.strategies.get(wanted.id)
        return known.version if known is not None else wanted.version

    def set_statuses(self) -> None:
        """Pause and resume what is in a running host; set the status of what is in none."""
        places = self._places()
        unwanted = sorted(self._actual.strategies.keys() - self._wanted.keys())
        for name in (*self._wanted, *unwanted):
            status = self._status(name)
            host = places.get(name)
            wanted = self._wanted.get(name)
            if host is None:
                self._set_aside(name, status, wanted)
            elif wanted is not None and self.live[host].state == "running":
                if (status, wanted.status) == (Status.RUNNING, "paused"):
                    self.actions.append(PauseStrategy(name, "paused by an operator"))
                elif (status, wanted.status) == (Status.PAUSED, "running"):
                    self.actions.append(ResumeStrategy(name))

    def _set_aside(self, name: str, status: Status, wanted: DesiredStrategy | None) -> None:
        if wanted is None or wanted.status == "stopped":
            if status not in (Status.CREATED, Status.STOPPED):
                self._stop(name, "stopped")
            return
        record = self._history.of(wanted)
        if record.verdict == "paused" and status is not Status.PAUSED:
            self.actions.append(PauseStrategy(name, _verdict_text(record.causes)))
        elif record.verdict == "failed" and status is not Status.ERROR:
            self.actions.append(FailStrategy(name, _verdict_text(record.causes)))

    def _places(self) -> dict[str, str]:
        """Return the host of every instance that is in one."""
        return {name: host for host, names in self.carried.items() for name in names}

    # ------------------------------------------------------------------ where strategies belong

    def targets(self) -> dict[str, str]:
        """Return the host each strategy belongs in that is to be in one."""
        places = self._places()
        shared = pooled_hosts(self._desired.hosts)
        homes = {name: host for host in shared for name in self._continuing(host)} | places
        targets: dict[str, str] = {}
        pooled: dict[str, str | None] = {}
        for name, wanted in self._wanted.items():
            record = self._history.of(wanted)
            if wanted.status == "stopped" or record.verdict:
                continue
            belongs = [name] if wanted.isolation == "dedicated" or record.is_apart else shared
            if self._has_failed(wanted) and not self._can_stay(places.get(name), belongs):
                continue
            if belongs is shared:
                pooled[name] = homes.get(name)
            else:
                targets[name] = name
        return targets | spread(pooled, shared, uneven_by=self._settings.uneven_by)

    def _has_failed(self, wanted: DesiredStrategy) -> bool:
        """Return whether the wanted version has ended in `error`: it is not started again."""
        is_current = self._version(wanted) == wanted.version
        return is_current and self._status(wanted.id) is Status.ERROR

    def _can_stay(self, place: str | None, belongs: list[str]) -> bool:
        """Return whether an instance lives where it belongs, or can be moved there alive."""
        if place is None:
            return False
        return place in belongs or self.live[place].state == "running"

    # ------------------------------------------------------------------ getting there

    def end_hosts_without_task(self, targets: Mapping[str, str]) -> None:
        """End hosts nothing belongs in, unless they run and what they carry is still to move."""
        tasks = set(targets.values())
        for name, host in sorted(self.live.items()):
            if name in tasks:
                continue
            if host.state == "starting" or targets.keys().isdisjoint(self.carried[name]):
                self._end(host, "nothing belongs in it")

    def move(self, targets: Mapping[str, str]) -> None:
        """Move instances to where they belong, if both ends are running."""
        running = {name for name, host in self.live.items() if host.state == "running"}
        places = self._places()
        astray = sorted(name for name, target in targets.items() if places.get(name) != target)
        for name in astray:
            place, target = places.get(name, ""), targets[name]
            if target not in running or (place and place not in running):
                continue
            self.actions.append(Move(name, place, target))
            if place:
                self.carried[place].remove(name)
            self.carried[target].append(name)

    def start_hosts(self, targets: Mapping[str, str]) -> None:
        """Start or recover the hosts that are missing and due."""
        places = self._places()
        missing: dict[str, list[str]] = {}
        for name, target in targets.items():
            if target not in self.live:
                members = missing.setdefault(target, [])
                if name not in places:
                    members.append(name)
        for host, members in sorted(missing.items()):
            if self._is_due(host):
                self._start(host, sorted(members))

    def _is_due(self, host: str) -> bool:
        record = self._history.hosts.get(host)
        if record is None or record.is_due(self._actual.now):
            return True
        # What delays a strategy's own host are failures of a version that is wanted no more.
        wanted, sheet = self._wanted.get(host), self._history.strategies.get(host)
        return wanted is not None and sheet is not None and wanted.version != sheet.version

    def _start(self, host: str, members: list[str]) -> None:
        epoch = self._epochs.get(host, 0) + 1
        continuing = tuple(name for name in self._continuing(host) if name in members)
        if continuing:
            self.actions.append(RecoverHost(host, epoch, continuing))
            return
        kind: Isolation = "dedicated" if host in self._wanted else "pooled"
        self.actions.append(StartHost(host, epoch, kind, tuple(members)))

    def _continuing(self, host: str) -> list[str]:
        """Return what an ended host carried that goes on, in contrast to what begins."""
        before = self.ended.get(host)
        return [
            name
            for name in (before.instances if before is not None else ())
            if (wanted := self._wanted.get(name)) is not None
            and self._version(wanted) == wanted.version
            and self._status(name) is not Status.STOPPED
        ]


def _id(strategy: DesiredStrategy) -> str:
    return strategy.id


def _verdict_text(causes: tuple[str, ...]) -> str:
    return f"strike {len(causes)}: {causes[-1]}"
