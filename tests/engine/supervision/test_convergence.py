"""From any actual state, planning and carrying out leads to the desired one, and stays there."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


# ------------------------------------------------------------------ any state, any course

DESIRED = st.builds(
    Desired,
    st.lists(
        st.builds(
            DesiredStrategy,
            st.sampled_from(NAMES),
            st.sampled_from(["running", "running", "paused", "stopped"]),
            st.sampled_from(["dedicated", "pooled", "pooled"]),
            st.integers(1, 2),
        ),
        unique_by=lambda strategy: strategy.id,
    ).map(tuple),
    st.integers(1, 3),
)

HOST_NAMES = st.sampled_from(["pool:0", "pool:1", "pool:2", "pool:7", *NAMES, "ghost"])


@st.composite
def a_process(draw: st.DrawFn) -> Process:
    host = draw(HOST_NAMES)
    kind = "pooled" if host.startswith("pool:") else "dedicated"
    most = 4 if kind == "pooled" else 1
    names = st.sampled_from([*NAMES, "stranger"])
    return Process(
        host,
        draw(st.integers(1, 3)),
        kind,
        draw(st.lists(names, max_size=most, unique=True)),
        draw(st.sampled_from(["starting", "running", "running", "ended"])),
        is_hung=draw(st.booleans()),
        is_found=draw(st.booleans()),
        answered=draw(st.integers(-1, 10)),
        answered_at=draw(st.sampled_from([0.0, 99.0, 100.0])),
        pinged_at=draw(st.sampled_from([0.0, 99.0, 100.0])),
        memory=draw(st.sampled_from([0, 5000])),
    )


PROCESSES = st.lists(a_process(), max_size=7, unique_by=lambda p: (p.id, p.epoch))
STRATEGIES = st.fixed_dictionaries(
    {},
    optional={
        name: st.builds(ActualStrategy, st.sampled_from(Status), st.integers(1, 2))
        for name in (*NAMES, "stranger")
    },
)
BUGS = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.integers(1, 2)),
    st.sampled_from(["crash", "hang", "leak", "never up"]),
    max_size=3,
)


@st.composite
def any_world(draw: st.DrawFn) -> World:
    world = World(draw(DESIRED), draw(PROCESSES), draw(STRATEGIES))
    for process in world.alive():  # what is in a live host has been started once
        for name in process.instances:
            world.strategies.setdefault(name, ActualStrategy(Status.RUNNING, 1))
    return world


STEPS = st.one_of(
    st.tuples(st.just("round"), st.none()),
    st.tuples(st.just("broken round"), st.integers(0, 3)),
    st.tuples(st.just("turn"), st.sampled_from([0.25, 1.0, 4.0])),
    st.tuples(st.just("crash"), st.integers(0, 9)),
    st.tuples(st.just("hang"), st.integers(0, 9)),
    st.tuples(st.just("restart manager"), st.none()),
    st.tuples(st.just("wish"), DESIRED),
)


def take(world: World, step: str, argument: object) -> None:
    match step, argument:
        case "round", _:
            world.reconcile()
        case "broken round", int(most):
            world.reconcile(most)
        case "turn", float(seconds):
            world.turn(seconds)
        case "restart manager", _:
            world.restart_manager()
        case "wish", Desired() as desired:
            world.desired = desired
        case (("crash" | "hang"), int(pick)):
            if alive := world.alive():
                process = alive[pick % len(alive)]
                process.busy_with = next(iter(process.instances[pick // 5 :]), None)
                process.busy_since = world.now if process.busy_with else None
                if step == "crash":
                    process.end("killed")
                else:
                    process.is_hung = True


@given(any_world())
@settings(deadline=None, max_examples=150)
def test_any_state_becomes_the_desired_one(world: World) -> None:
    world.settle()
    world.check_is_as_desired()


@given(any_world(), st.lists(STEPS, max_size=25), BUGS)
@settings(deadline=None, max_examples=150)
def test_crashes_hangs_restarts_and_changes_of_mind_end_as_desired(
    world: World, steps: list[tuple[str, object]], bugs: dict[tuple[str, int], str]
) -> None:
    world.bugs = bugs
    for step, argument in steps:
        take(world, step, argument)
    world.settle()
    world.check_is_as_desired()


@given(DESIRED, BUGS)
@settings(deadline=None, max_examples=100)
def test_only_culprits_get_strikes(desired: Desired, bugs: dict[tuple[str, int], str]) -> None:
    world = World(desired, bugs=bugs)
    world.settle()
    world.check_is_as_desired()
    for wanted in desired.strategies:
        bug = bugs.get((wanted.id, wanted.version))
        expected = LIMITS.max_strikes if bug and wanted.status != "stopped" else 0
        if bug == "leak" and wanted.isolation == "pooled":
            continue
        assert len(world.history.of(wanted).causes) == expected


@given(any_world(), st.sampled_from([0.25, 1.0, 2.0]))
@settings(deadline=None, max_examples=50)
def test_what_is_as_desired_is_left_alone(world: World, step_s: float) -> None:
    world.settle()
    for _ in range(60):
        world.turn(step_s)
        assert world.plan() == []


@given(any_world(), st.sampled_from(NAMES), st.sampled_from(["running", "paused", "stopped"]))
@settings(deadline=None, max_examples=100)
def test_a_wish_for_a_strategy_of_its_own_host_touches_nothing_else(
    world: World, name: str, status: str
) -> None:
    others = tuple(s for s in world.desired.strategies if s.id != name)
    before = DesiredStrategy(name, "running", "dedicated", 1)
    world.desired = Desired((*others, before), world.desired.hosts)
    world.settle()
    version = next(v for v in count(1) if v > world.strategies[name].version)
    wish = DesiredStrategy(name, status, "dedicated", version)
    world.desired = Desired((*others, wish), world.desired.hosts)
    for action in world.reconcile():
        touched = action.instance if isinstance(action, Move) else action.id
        assert touched == name


def test_the_same_seed_gives_the_same_course() -> None:
    def course() -> list[Action]:
        strategies = tuple(DesiredStrategy(n, "running", "pooled", 1) for n in NAMES)
        bugs = {("b", 1): "crash", ("d", 1): "hang"}
        world = World(Desired(strategies, 2), bugs=bugs)
        world.settle()
        return world.log

    assert course() == course()


def a_pool(bug: str) -> World:
    """Return a world in which one of three strategies of a pooled host has a bug."""
    strategies = tuple(DesiredStrategy(name, "running", "pooled", 1) for name in "abc")
    return World(Desired(strategies, 1), bugs={("b", 1): bug})


@pytest.mark.parametrize(
    ("bug", "ends", "status"), [("hang", 3, Status.PAUSED), ("crash", 0, Status.ERROR)]
)
def test_a_culprit_goes_apart_and_after_three_strikes_aside(
    bug: str, ends: int, status: Status
) -> None:
    world = a_pool(bug)
    world.settle()
    assert [action for action in world.log if not isinstance(action, EndHost)][:-1] == [
        StartHost("pool:0", 1, "pooled", ("a", "b", "c")),
        StartHost("b", 1, "dedicated", ("b",)),
        RecoverHost("pool:0", 2, ("a", "c")),
        RecoverHost("b", 2, ("b",)),
    ]
    assert sum(isinstance(action, EndHost) for action in world.log) == ends
    assert world.strategies["b"].status is status
    assert world.strategies["a"].status is world.strategies["c"].status is Status.RUNNING
    causes = world.history.strategies["b"].causes
    assert [cause.split(", ")[0] for cause in causes] == ["host 'pool:0'", "host 'b'", "host 'b'"]


def test_a_mended_version_goes_back_to_the_pool() -> None:
    world = a_pool("hang")
    world.settle()
    strategies = tuple(DesiredStrategy(name, "running", "pooled", 1) for name in "ac")
    world.desired = Desired((*strategies, DesiredStrategy("b", "running", "pooled", 2)), 1)
    assert world.reconcile() == [Move("b", "", "pool:0")]
