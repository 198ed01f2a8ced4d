"""From any actual state, planning and carrying out leads to the desired one, and stays there."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.instance import Status
from engine.supervision import (
    Action,
    ActualStrategy,
    Desired,
    DesiredStrategy,
    EndHost,
    Move,
    RecoverHost,
    StartHost,
)
from tests.engine.supervision.world import LIMITS, NAMES, Process, World
from tests.examples import examples

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
@examples(150)
def test_any_state_becomes_the_desired_one(world: World) -> None:
    world.settle()
    world.check_is_as_desired()


@given(any_world(), st.lists(STEPS, max_size=25), BUGS)
@examples(150)
def test_crashes_hangs_restarts_and_changes_of_mind_end_as_desired(
    world: World, steps: list[tuple[str, object]], bugs: dict[tuple[str, int], str]
) -> None:
    world.bugs = bugs
    for step, argument in steps:
        take(world, step, argument)
    world.settle()
    world.check_is_as_desired()


@given(DESIRED, BUGS)
@examples(100)
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
@examples(50)
def test_what_is_as_desired_is_left_alone(world: World, step_s: float) -> None:
    world.settle()
    for _ in range(60):
        world.turn(step_s)
        assert world.plan() == []


@given(any_world(), st.sampled_from(NAMES), st.sampled_from(["running", "paused", "stopped"]))
@examples(100)
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
