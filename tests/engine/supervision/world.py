"""Simulated hosts, a feed and a clock, and a manager that supervises them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from engine.instance import Status
from engine.supervision import (
    Action,
    Actual,
    ActualHost,
    ActualStrategy,
    Adopt,
    Desired,
    DesiredStrategy,
    EndHost,
    FailStrategy,
    History,
    Move,
    PauseStrategy,
    RecoverHost,
    ResumeStrategy,
    StartHost,
    StopStrategy,
    SupervisionSettings,
    decode,
    encode,
    observe,
    plan,
)

NAMES = ("a", "b", "c", "d", "e", "f")
LIMITS = SupervisionSettings(
    block_after_s=3.0,
    ping_within_s=6.0,
    start_within_s=8.0,
    healthy_after_s=10.0,
    backoff_cap_s=4.0,
    memory_limit_bytes=1000,
)


@dataclass
class Process:
    """One simulated process of a host."""

    id: str
    epoch: int
    kind: str
    instances: list[str]
    state: str = "starting"
    cause: str = ""
    answered: int = -1
    answered_at: float = 0.0
    pinged_at: float = 0.0
    busy_with: str | None = None
    busy_since: float | None = None
    memory: int = 0
    is_hung: bool = False
    is_found: bool = False

    @property
    def is_alive(self) -> bool:
        return self.state != "ended"

    def end(self, cause: str) -> None:
        self.state, self.cause = "ended", cause


@dataclass
class World:
    """Processes, a clock, a feed, and a manager that supervises them.

    `bugs` holds what a version of a strategy does whenever it runs: crash, hang, leak or never
    come up.
    """

    desired: Desired
    processes: list[Process] = field(default_factory=list)
    strategies: dict[str, ActualStrategy] = field(default_factory=dict)
    bugs: dict[tuple[str, int], str] = field(default_factory=dict)
    history: History = field(default_factory=History)
    now: float = 100.0
    feed: int = 10
    watched_since: float = 100.0
    random: random.Random = field(default_factory=lambda: random.Random(1))
    log: list[Action] = field(default_factory=list)

    # -------------------------------------------------------------- what the manager sees

    def actual(self) -> Actual:
        return Actual(
            hosts=tuple(
                ActualHost(
                    id=p.id,
                    epoch=p.epoch,
                    kind=p.kind,
                    instances=tuple(p.instances),
                    state=p.state,
                    cause=p.cause,
                    answered_slice=p.answered,
                    answered_at=p.answered_at,
                    pinged_at=p.pinged_at,
                    busy_with=p.busy_with,
                    busy_since=p.busy_since,
                    memory_bytes=p.memory,
                    is_found=p.is_found,
                )
                for p in self.processes
            ),
            strategies=dict(self.strategies),
            now=self.now,
            feed_slice=self.feed,
            watched_since=self.watched_since,
        )

    def plan(self) -> list[Action]:
        actual = self.actual()
        self.history = observe(self.history, actual, LIMITS, self.random)
        assert observe(self.history, actual, LIMITS, self.random) == self.history
        return plan(self.desired, actual, self.history, LIMITS)

    def reconcile(self, most: int | None = None) -> list[Action]:
        """Plan and carry out; with `most` the round breaks off after so many actions."""
        actions = self.plan()
        self.history = self.history.with_actions(actions)
        for action in actions[:most]:
            before = self.doubles()
            self.carry_out(action)
            assert self.doubles() <= before, f"{action} makes a strategy run twice"
        if most is None:
            assert self.plan() == [], f"not idempotent after {actions}"
        self.log += actions[:most]
        return actions

    def restart_manager(self) -> None:
        self.history = decode(encode(self.history), History)
        self.watched_since = self.now
        for process in self.alive():
            process.is_found = True

    # -------------------------------------------------------------- carrying out

    def alive(self, host: str | None = None) -> list[Process]:
        return [p for p in self.processes if p.is_alive and host in (None, p.id)]

    def doubles(self) -> set[str]:
        carried = [name for p in self.alive() for name in p.instances]
        return {name for name in carried if carried.count(name) > 1}

    def running(self, host: str) -> Process:
        (process,) = self.alive(host)
        assert process.state == "running", f"{host} is {process.state}"
        return process

    def wanted(self, name: str) -> DesiredStrategy | None:
        return next((s for s in self.desired.strategies if s.id == name), None)

    def begin(self, name: str) -> None:
        """Let an instance go on, or begin if it is stopped or of another version."""
        known, wanted = self.strategies.get(name), self.wanted(name)
        assert wanted is not None
        if known is None or known.version != wanted.version or known.status is Status.STOPPED:
            self.strategies[name] = ActualStrategy(Status.WARMING, wanted.version)
        elif known.status in (Status.RUNNING, Status.PAUSED):
            self.strategies[name] = ActualStrategy(Status(wanted.status), known.version)

    def set_status(self, name: str, status: Status) -> None:
        known, wanted = self.strategies.get(name), self.wanted(name)
        version = known.version if known else wanted.version if wanted else 0
        self.strategies[name] = ActualStrategy(status, version)

    def start(self, host: str, epoch: int, kind: str, instances: tuple[str, ...]) -> None:
        assert not self.alive(host), f"{host} is alive"
        assert all(p.epoch < epoch for p in self.processes if p.id == host), "epoch given twice"
        carried = {name for p in self.alive() for name in p.instances}
        assert not carried & set(instances), f"{instances} are in live hosts"
        for name in instances:
            self.begin(name)
        self.processes = [p for p in self.processes if p.id != host]
        self.processes.append(
            Process(
                host,
                epoch,
                kind,
                list(instances),
                answered_at=self.now,
                pinged_at=self.now,
            )
        )

    def carry_out(self, action: Action) -> None:
        match action:
            case StartHost(host, epoch, kind, instances):
                self.start(host, epoch, kind, instances)
            case RecoverHost(host, epoch, instances):
                before = max((p for p in self.processes if p.id == host), key=lambda p: p.epoch)
                assert set(instances) <= set(before.instances)
                self.start(host, epoch, before.kind, instances)
            case EndHost(host, epoch, reason):
                (process,) = [p for p in self.alive(host) if p.epoch == epoch]
                process.end(reason)
            case Move(instance, source, target):
                if source:
                    self.running(source).instances.remove(instance)
                else:
                    assert all(instance not in p.instances for p in self.alive())
                    self.begin(instance)
                self.running(target).instances.append(instance)
            case Adopt(host, epoch):
                (process,) = [p for p in self.alive(host) if p.epoch == epoch]
                process.is_found = False
            case _:
                self.command(action)

    def command(self, action: Action) -> None:
        match action:
            case PauseStrategy(name, cause):
                assert cause
                self.set_status(name, Status.PAUSED)
            case ResumeStrategy(name):
                assert self.strategies[name].status is Status.PAUSED
                self.set_status(name, Status.RUNNING)
            case StopStrategy(name, reason):
                assert reason
                for process in self.alive():
                    if name in process.instances:
                        assert process.state == "running"
                        process.instances.remove(name)
                self.set_status(name, Status.STOPPED)
            case FailStrategy(name, cause):
                assert cause
                assert all(name not in p.instances for p in self.alive())
                self.set_status(name, Status.ERROR)

    # -------------------------------------------------------------- time goes by

    def turn(self, seconds: float = 1.0) -> None:
        """Let the feed grow and every process do what it does."""
        self.now += seconds
        self.feed += 1
        for process in self.alive():
            bugs = {n: b for n in process.instances if (b := self.bug_of(n))}
            if process.state == "starting":
                if "never up" in bugs.values():
                    process.busy_with = next(n for n, b in bugs.items() if b == "never up")
                    continue
                process.state = "running"
                process.pinged_at = self.now
                self.wake(process)
            self.play(process, bugs)

    def bug_of(self, name: str) -> str | None:
        known = self.strategies.get(name)
        return self.bugs.get((name, known.version)) if known else None

    def wake(self, process: Process) -> None:
        for name in process.instances:
            if self.strategies[name].status in (Status.CREATED, Status.WARMING):
                self.set_status(name, Status.RUNNING)

    def play(self, process: Process, bugs: dict[str, str]) -> None:
        culprit = next((n for n, b in bugs.items() if b in ("hang", "crash")), None)
        if process.is_hung:
            return
        if culprit is not None:
            process.busy_with, process.busy_since = culprit, self.now
            if bugs[culprit] == "crash":
                process.end("signal 11")
            else:
                process.is_hung = True
            return
        self.wake(process)
        process.busy_with = process.busy_since = None
        process.memory = 2000 if "leak" in bugs.values() else 100
        process.answered, process.answered_at = self.feed, self.now
        process.pinged_at = self.now

    def settle(self, rounds: int = 300) -> None:
        """Turn and reconcile until nothing is left to do for longer than any delay."""
        quiet = 0
        for _ in range(rounds):
            quiet = 0 if self.reconcile() else quiet + 1
            if quiet > LIMITS.start_within_s + LIMITS.backoff_cap_s:
                return
            self.turn()
        pytest.fail(f"still planning after {rounds} rounds: {self.log[-8:]}")

    # -------------------------------------------------------------- what must be true at last

    def check_is_as_desired(self) -> None:
        assert not self.doubles()
        place = {name: p for p in self.alive() for name in p.instances}
        assert all(p.state == "running" and p.instances for p in self.alive())
        assert not any(p.is_found for p in self.alive())
        assert len({p.id for p in self.alive()}) == len(self.alive())
        assert set(place) <= {s.id for s in self.desired.strategies}
        for wanted in self.desired.strategies:
            self.check_strategy(wanted, place.get(wanted.id))
        self.check_spread()

    def check_strategy(self, wanted: DesiredStrategy, host: Process | None) -> None:
        record = self.history.of(wanted)
        known = self.strategies.get(wanted.id)
        status = known.status if known else Status.CREATED
        if wanted.status == "stopped":
            assert host is None
            assert status in (Status.STOPPED, Status.CREATED)
            return
        assert known is not None
        if record.verdict:
            assert host is None
            assert status is {"paused": Status.PAUSED, "failed": Status.ERROR}[record.verdict]
            assert len(record.causes) >= LIMITS.max_strikes
            return
        assert known.version == wanted.version
        if status is Status.ERROR:
            return
        assert host is not None
        # A leak in a shared process is not told apart; what runs already need not come up.
        harmless = {None, "never up", "leak" if host.kind == "pooled" else None}
        assert self.bug_of(wanted.id) in harmless
        assert status == Status(wanted.status)
        if wanted.isolation == "dedicated" or record.is_apart:
            assert (host.id, host.kind, host.instances) == (wanted.id, "dedicated", [wanted.id])
        else:
            assert host.id in {f"pool:{i}" for i in range(self.desired.hosts)}

    def check_spread(self) -> None:
        sizes = [len(p.instances) for p in self.alive() if p.kind == "pooled"]
        sizes += [0] * (self.desired.hosts - len(sizes))
        allowed = max(1.0, LIMITS.uneven_by * sum(sizes) / len(sizes))
        assert max(sizes) - min(sizes) <= allowed
