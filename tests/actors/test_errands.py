"""Strategies are stopped, paused and resumed while their hosts hang, die, or answer late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from actors import errands
from actors.control import ControlHub, ControlLine
from actors.errands import put_off
from actors.members import HostProcess, Member
from actors.operations import Operations
from actors.progress import DecisionProgress
from actors.requests import AskOutcomes, Obey, Reply, Request
from actors.supervisor import Supervisor
from actors.wire import Endpoints
from engine.config import Isolation
from engine.errors import ChorusError, LifecycleError
from engine.instance import Command, Pause, Resume, Status, Stop
from engine.report import StrategyOutcome, outcome_without_instance
from engine.supervision import EndHost, History, StopStrategy, SupervisionSettings
from tests.actors.test_asking import ENOUGH_S, config_of
from tests.engine.supervision.test_convergence import BUGS, STEPS, any_world, take
from tests.engine.supervision.world import NAMES, World
from tests.examples import examples

# ------------------------------------------------------------------ what relies on a stop


def reconcile_but(world: World, silent: set[str]) -> None:
    """Carry out what does not rely on the stop of strategies that have yet to answer."""
    planned = world.plan()
    twice = world.doubles()
    running = {
        name: (process.id, process.epoch)
        for process in world.alive()
        if process.state == "running"
        for name in process.instances
    }
    stops = {action.id for action in planned if isinstance(action, StopStrategy)}
    asked = {name: running[name] for name in sorted(stops & silent & running.keys())}
    actions = put_off(planned, asked)
    assert asked or actions == planned
    world.history = world.history.with_actions(actions)
    for action in actions:
        before = world.doubles()
        world.carry_out(action)
        assert world.doubles() <= before, f"{action} makes a strategy run twice"
    for name in asked.keys() - twice:
        stop = next(
            n for n, a in enumerate(planned) if isinstance(a, StopStrategy) and a.id == name
        )
        unfit = {(a.id, a.epoch) for a in planned[:stop] if isinstance(a, EndHost)}
        if asked[name] in unfit:
            continue
        (home,) = [(p.id, p.epoch) for p in world.alive() if name in p.instances]
        assert home == asked[name], "it stays where it is until it has answered"


@given(
    any_world(),
    st.lists(
        st.one_of(STEPS, st.tuples(st.just("silent"), st.sets(st.sampled_from(NAMES)))),
        max_size=25,
    ),
    BUGS,
)
@examples(150)
def test_what_does_not_rely_on_a_stop_goes_on_and_all_ends_as_desired(
    world: World, steps: list[tuple[str, Any]], bugs: dict[tuple[str, int], str]
) -> None:
    world.bugs = bugs
    for step, argument in steps:
        if step == "silent":
            reconcile_but(world, argument)
        else:
            take(world, step, argument)
    world.settle()
    world.check_is_as_desired()


# ------------------------------------------------------------------ the loop


@dataclass
class Fleet:
    """One whose hosts answer when a test says so, and of which nobody waits for an answer."""

    hosts: dict[str, HostProcess] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    is_changed: bool = True
    posted: list[tuple[str, Request, Future[Reply]]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def add(self, name: str, host_id: str = "") -> Member:
        member = self.members[name] = Member(
            config_of(name), "file", "pooled" if host_id else "dedicated"
        )
        member.wanted = "running"
        self.start(host_id or name, 1, "pooled" if host_id else "dedicated", [name])
        self.run(host_id or name)
        return member

    def run(self, host_id: str) -> None:
        host = self.hosts[host_id]
        host.state = "running"
        host.has_reported.set()
        for name in host.carried:
            member = self.members[name]
            member.heard(msgspec.structs.replace(member.status, status="running"))

    def asked(self, name: str) -> list[Command | str]:
        """Return what was asked of a strategy."""
        return [
            request.command if isinstance(request, Obey) else "outcomes"
            for host, request, _ in self.posted
            if (isinstance(request, Obey) and request.instance == name)
            or (isinstance(request, AskOutcomes) and request.instances == [name])
        ]

    def answer(self, outcome: StrategyOutcome | None = None, error: str = "") -> None:
        """Answer whatever has not been answered."""
        for _, _, reply in self.posted:
            if not reply.done():
                if error:
                    reply.set_exception(ChorusError(error))
                else:
                    reply.set_result(Reply(outcomes=[outcome] if outcome else []))

    # What the supervisor calls.

    def host_of(self, name: str) -> HostProcess | None:
        running = (host for host in self.hosts.values() if host.state == "running")
        return next((host for host in running if name in host.carried), None)

    def post(self, host: HostProcess, request: Request) -> Future[Reply]:
        assert host.has_reported.is_set(), "it would be lost"
        self.posted.append((host.id, request, Future()))
        return self.posted[-1][2]

    def start(self, host_id: str, start: int, kind: Isolation, carried: Any) -> None:
        self.hosts[host_id] = HostProcess(host_id, start, kind, carried)
        for name in carried:
            self.members[name].begin()
        self.done.append(f"start {host_id}")

    def move(self, name: str, to_host: str) -> None:
        self.hosts[to_host].carried[name] = None
        self.members[name].begin()
        self.done.append(f"move {name}")

    def dismiss(self, host: HostProcess, name: str) -> None:
        host.carried.pop(name)
        self.done.append(f"dismiss {name}")

    def end(self, host: HostProcess, reason: str) -> None:
        host.end(reason)
        self.done.append(f"end {host.id}")

    def wake(self) -> None:
        self.is_changed = True

    def places_of(self, name: str) -> list[str]:
        return [host.id for host in self.hosts.values() if name in host.carried]

    def leave(self, host_id: str, names: list[str], _reason: str) -> None:
        self.done.append(f"leave {host_id} {' '.join(names)}")

    def take_out_stale(self) -> None: ...

    def busy_with(self, _host: HostProcess) -> None: ...


class Manager:
    """A fleet, its supervisor, and what operators do."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        fleet: Any = self.fleet
        self.lock = threading.RLock()
        self.has_ended = threading.Event()
        self.supervisor = Supervisor(
            fleet,
            SupervisionSettings(),
            pooled_hosts=1,
            history=History(),
            remember=lambda _: None,
            store=lambda: None,
        )
        memory: Any = self
        config: Any = None
        self.operations = Operations(
            config, fleet, self.supervisor, memory, lock=self.lock, has_ended=self.has_ended
        )

    def store(self, _members: object) -> None: ...

    def round(self) -> list[str]:
        """Reconcile once; return what was done."""
        before = len(self.fleet.done)
        with self.lock:
            self.supervisor.reconcile(DecisionProgress.none(), -1)
        return list(self.fleet.done[before:])


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as threads:
        yield threads


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the time for last words over as soon as they were asked for."""
    monkeypatch.setattr(errands, "LAST_WORDS_WITHIN_S", 0.0)


def last_words(member: Member) -> StrategyOutcome:
    return msgspec.structs.replace(outcome_without_instance(member.status), candles=17)


def test_a_stop_is_carried_out_once_the_last_words_are_there(manager: Manager) -> None:
    one, other = manager.fleet.add("one"), manager.fleet.add("other")
    one.wanted = "stopped"
    assert manager.round() == []
    assert manager.fleet.asked("one") == [Stop(), "outcomes"]
    assert not manager.supervisor.is_settled()
    assert manager.round() == manager.round() == []
    other.begin_anew(other.config)
    manager.fleet.is_changed = True
    assert manager.round() == []
    words = last_words(one)
    manager.fleet.answer(words)
    assert manager.round() == [
        "leave one one",
        "dismiss one",
        "end one",
        "leave other other",
        "dismiss other",
        "end other",
        "start other",
    ]
    assert one.outcome == words
    assert one.actual().status is Status.STOPPED
    assert manager.fleet.asked("one") == [Stop(), "outcomes"]
    manager.fleet.run("other")
    assert manager.round() == []
    assert manager.supervisor.is_settled()


def test_nobody_waits_for_one_that_hangs(manager: Manager) -> None:
    hanging = manager.fleet.add("hanging")
    hanging.wanted = "stopped"
    manager.round()
    dead = manager.fleet.add("dead")
    manager.fleet.hosts["dead"].end("signal 9")
    neighbour = manager.fleet.add("neighbour")
    neighbour.wanted = "stopped"
    assert manager.round() == ["start dead"]
    assert dead.started
    words = [reply for host, _, reply in manager.fleet.posted if host == "neighbour"]
    words[-1].set_result(Reply(outcomes=[last_words(neighbour)]))
    assert manager.round() == ["leave neighbour neighbour", "dismiss neighbour", "end neighbour"]
    assert not hanging.is_set_aside


@pytest.mark.usefixtures("impatient")
def test_one_that_hangs_is_stopped_without_last_words(manager: Manager) -> None:
    one = manager.fleet.add("one")
    one.wanted = "stopped"
    assert manager.round() == []
    assert manager.round() == ["leave one one", "dismiss one", "end one"]
    assert one.outcome is None
    manager.fleet.answer(last_words(one))
    manager.round()
    assert one.outcome is None


def test_one_that_refuses_is_stopped_without_last_words(manager: Manager) -> None:
    one = manager.fleet.add("one")
    one.wanted = "stopped"
    manager.round()
    manager.fleet.answer(error="a defect")
    assert manager.round() == ["leave one one", "dismiss one", "end one"]
    assert one.outcome is None


@pytest.mark.parametrize(
    ("host", "anew"),
    [("one", ["end one", "start one"]), ("pool:0", ["move one"])],
)
def test_a_restart_waits_for_the_life_before(manager: Manager, host: str, anew: list[str]) -> None:
    one = manager.fleet.add("one", host if host != "one" else "")
    one.wanted = "stopped"
    manager.round()
    one.wanted = "running"
    one.begin_anew(one.config)
    manager.fleet.is_changed = True
    assert manager.round() == []
    assert not manager.supervisor.is_settled(), "or the run would end without it"
    manager.fleet.answer(last_words(one))
    assert manager.round() == [f"leave {host} one", "dismiss one", *anew]
    assert manager.fleet.asked("one") == [Stop(), "outcomes"]


def test_one_whose_process_dies_meanwhile_is_not_waited_for(manager: Manager) -> None:
    one = manager.fleet.add("one")
    one.wanted = "stopped"
    manager.round()
    manager.fleet.hosts["one"].end("signal 9")
    assert "leave one one" in manager.round()
    assert one.actual().status is Status.STOPPED
    manager.round()
    assert manager.supervisor.is_settled()


def test_a_manager_that_comes_back_asks_again(manager: Manager) -> None:
    one = manager.fleet.add("one")
    one.wanted = "stopped"
    manager.round()
    after = Manager()
    after.fleet.members, after.fleet.hosts = manager.fleet.members, manager.fleet.hosts
    manager.fleet.hosts["one"].has_reported.clear()
    assert after.round() == []
    assert after.fleet.asked("one") == []
    after.fleet.hosts["one"].has_reported.set()
    assert after.round() == []
    assert after.fleet.asked("one") == [Stop(), "outcomes"]
    after.fleet.answer(last_words(one))
    assert after.round() == ["leave one one", "dismiss one", "end one"]
    assert one.outcome is not None


@pytest.mark.parametrize(
    ("wanted", "before", "command"),
    [("paused", "running", Pause()), ("running", "paused", Resume())],
)
def test_a_pause_is_asked_once_until_it_is_answered(
    manager: Manager, wanted: Any, before: str, command: Command
) -> None:
    one = manager.fleet.add("one")
    one.wanted = wanted
    one.heard(msgspec.structs.replace(one.status, status=before))
    for _ in range(3):
        manager.fleet.is_changed = True
        assert manager.round() == []
    assert manager.fleet.asked("one") == [command]
    manager.fleet.answer(error="not while it is warming")
    manager.round()
    assert manager.fleet.asked("one") == [command, command]
    manager.fleet.answer()
    one.heard(msgspec.structs.replace(one.status, status=wanted))
    manager.round()
    manager.fleet.is_changed = False
    manager.round()
    assert manager.fleet.asked("one") == [command, command]
    assert manager.fleet.done == ["start one"]


# ------------------------------------------------------------------ operators


def until(manager: Manager, is_so: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if is_so():
            return
        manager.round()
    pytest.fail("never came about")


def test_who_stops_a_strategy_waits_without_holding_anybody_up(
    manager: Manager, elsewhere: ThreadPoolExecutor
) -> None:
    one = manager.fleet.add("one")
    stopping = elsewhere.submit(manager.operations.stop, "one")
    until(manager, lambda: bool(manager.fleet.asked("one")))
    assert not stopping.done()
    assert one.wanted == "stopped"
    words = last_words(one)
    manager.fleet.answer(words)
    manager.round()
    stopping.result(ENOUGH_S)
    assert (one.outcome, one.status.status) == (words, "stopped")


def test_who_stops_a_strategy_hears_what_came_in_between(
    manager: Manager, elsewhere: ThreadPoolExecutor
) -> None:
    one = manager.fleet.add("one")
    stopping = elsewhere.submit(manager.operations.stop, "one")
    until(manager, lambda: bool(manager.fleet.asked("one")))
    with manager.lock:
        one.wanted = "running"
        one.begin_anew(one.config)
    with pytest.raises(LifecycleError, match="something else was decided meanwhile"):
        stopping.result(ENOUGH_S)


def test_what_takes_part_nowhere_is_stopped_at_once(manager: Manager) -> None:
    one = manager.fleet.add("one")
    manager.fleet.hosts["one"].end("signal 9")
    one.set_aside(Status.ERROR, "strike 3")
    manager.operations.stop("one")
    assert (one.wanted, one.status.status, one.status.cause) == ("stopped", "stopped", "")
    assert not manager.fleet.posted


def test_after_the_end_nobody_waits_for_a_stop(manager: Manager) -> None:
    manager.fleet.add("one")
    manager.has_ended.set()
    with pytest.raises(LifecycleError, match="the feed has come to its end"):
        manager.operations.stop("one")


# ------------------------------------------------------------------ the line


def test_posts_arrive_in_order_whoever_waits_for_them(tmp_path: Path) -> None:
    endpoints = Endpoints.in_folder(tmp_path)
    arrived = threading.Event()
    hub = ControlHub(endpoints, lambda _: arrived.set())
    context: zmq.Context[Any] = zmq.Context()
    line = ControlLine(context, endpoints, "host", 1)
    line.report(0, [])
    assert arrived.wait(ENOUGH_S)
    requests: list[Request] = [Obey("one", Stop()), AskOutcomes(["one"]), Obey("one", Pause())]
    replies = [hub.post("host", 1, request) for request in requests]
    assert replies[0].cancel()
    heard: list[Request] = []

    def handle(request: Request) -> Reply:
        heard.append(request)
        if len(heard) == 3:
            raise ChorusError("is stopped")
        return Reply(left=["heard"])

    while len(heard) < 3:
        assert line.socket.poll(int(ENOUGH_S * 1000))
        line.serve(handle, is_due=lambda _: True)
    assert heard == requests
    assert replies[1].result(ENOUGH_S).left == ["heard"]
    with pytest.raises(ChorusError, match="is stopped"):
        replies[2].result(ENOUGH_S)
    context.destroy(linger=0)
