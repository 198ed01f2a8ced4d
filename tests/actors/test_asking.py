"""What operators ask of strategies, while hosts hang, die, and the manager changes its mind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from actors import asking
from actors.asking import Asking
from actors.members import Member
from actors.requests import Obey
from actors.services import ServiceAwayError
from engine.config import StrategyConfig
from engine.errors import ChorusError, ConfigError, LifecycleError
from engine.instance import Command, Pause, Resume, Status, Update

ENOUGH_S = 60.0
"""Never waited for in a test that passes."""


def config_of(name: str, period: int = 5) -> StrategyConfig:
    return StrategyConfig.model_validate(
        {
            "id": name,
            "type": "EMA_CROSS",
            "symbol": "BTC/USDT",
            "timeframe": "1m",
            "parameters": {"fast_period": period},
        }
    )


class Manager:
    """One whose hosts do what a test says; its lock refuses whoever takes it twice."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.members: dict[str, Member] = {}
        self.places: dict[str, Any] = {}
        self.asked: list[tuple[str, Command]] = []
        self.stored: list[tuple[str | None, bool]] = []
        self.answer: Callable[[str, Command], None] = lambda _name, _command: None
        self.asking = Asking(self, self.lock, self._changed)  # type: ignore[arg-type]  # a fleet

    def add(self, name: str) -> Member:
        member = self.members[name] = Member(config_of(name), "file", "pooled")
        member.wanted = "running"
        member.begin()
        self.places[name] = SimpleNamespace(id=f"host of {name}", epoch=1)
        return member

    def host_of(self, name: str) -> Any:
        assert self.lock.locked(), "where it is may change while somebody looks"
        return self.places.get(name)

    def ask(self, host: Any, request: Obey, *, timeout_s: float = ENOUGH_S) -> None:
        assert timeout_s > 0
        self.asked.append((host.id, request.command))
        self.answer(request.instance, request.command)

    def _changed(self) -> None:
        assert self.lock.locked()
        self.stored += [(member.wanted, member.is_unsure) for member in self.members.values()]

    def change(self, member: Member, period: int) -> Future[str]:
        with self.lock:
            member.is_unsure = True
            return self.asking.change(member, {"fast_period": period})


class Hanging:
    """An answer that does not come before the test says so."""

    def __init__(self) -> None:
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()

    def __call__(self, _name: str, _command: Command) -> None:
        self.is_asked.set()
        assert self.may_answer.wait(ENOUGH_S)


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def one(manager: Manager) -> Member:
    return manager.add("one")


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as threads:
        yield threads


def period_of(member: Member) -> tuple[int, bool]:
    return member.parameters["fast_period"], member.is_unsure


def update(period: int) -> Update:
    return Update({"fast_period": period})


def test_parameters_are_noted_once_they_are_confirmed(manager: Manager, one: Member) -> None:
    seen = []

    def look(_name: str, _command: Command) -> None:
        with manager.lock:  # nobody holds it while a host is asked
            seen.append(period_of(one))

    manager.answer = look
    assert manager.change(one, 6).result(ENOUGH_S) == ""
    assert seen == [(5, True)]
    assert period_of(one) == (6, False)
    assert manager.asked == [("host of one", update(6))]
    assert manager.asking.take_confirmed()
    assert not manager.asking.take_confirmed()


@pytest.mark.parametrize(
    "error", [ConfigError("only with a restart"), ServiceAwayError("it died"), KeyError("a defect")]
)
def test_what_was_not_confirmed_may_have_been_done(
    manager: Manager, one: Member, error: Exception
) -> None:
    def fail(_name: str, _command: Command) -> None:
        raise error

    manager.answer = fail
    cause = manager.change(one, 6).result(ENOUGH_S)
    assert str(error) in cause
    assert period_of(one) == (5, True)
    manager.answer = lambda _name, _command: None
    assert manager.change(one, 5).result(ENOUGH_S) == ""
    assert period_of(one) == (5, False)


def test_what_does_not_run_is_not_asked(manager: Manager, one: Member) -> None:
    one.set_aside(Status.ERROR, "strike 3")
    manager.places.clear()
    assert "is error; its parameters are changed once it runs" in manager.change(one, 6).result()
    for command in (Pause(), update(6)):
        with pytest.raises(LifecycleError, match=r"is error: strike 3; restart it first"):
            manager.asking.obey(one, command)
    assert not manager.asked


def test_the_last_of_several_wishes_counts(manager: Manager, one: Member) -> None:
    manager.answer = hanging = Hanging()
    first = manager.change(one, 6)
    assert hanging.is_asked.wait(ENOUGH_S)
    again, second, last = (manager.change(one, period) for period in (6, 7, 8))
    assert {id(each) for each in (first, again, second, last)} == {id(first)}
    hanging.may_answer.set()
    assert last.result(ENOUGH_S) == ""
    assert period_of(one) == (8, False)
    assert manager.asked == [("host of one", update(period)) for period in (6, 8)]


def test_a_wish_that_was_given_up_may_be_refused(manager: Manager, one: Member) -> None:
    hanging = Hanging()

    def refuse_six(name: str, command: Command) -> None:
        if command == update(6):
            hanging(name, command)
            raise ConfigError("not six")

    manager.answer = refuse_six
    change = manager.change(one, 6)
    assert hanging.is_asked.wait(ENOUGH_S)
    manager.change(one, 7)
    hanging.may_answer.set()
    assert change.result(ENOUGH_S) == ""
    assert period_of(one) == (7, False)


def test_what_was_asked_of_an_earlier_life_is_not_taken_for_this_one(
    manager: Manager, one: Member
) -> None:
    manager.answer = hanging = Hanging()
    change = manager.change(one, 6)
    assert hanging.is_asked.wait(ENOUGH_S)
    with manager.lock:
        one.begin_anew(config_of("one", 9))
    after = manager.change(one, 9)
    assert after is not change
    hanging.may_answer.set()
    assert "was started afresh meanwhile" in change.result(ENOUGH_S)
    assert after.result(ENOUGH_S) == ""
    assert period_of(one) == (9, False)
    assert manager.asked[-1] == ("host of one", update(9))


def test_a_new_life_is_not_sure_while_the_one_before_is_asked(
    manager: Manager, one: Member
) -> None:
    manager.answer = hanging = Hanging()
    change = manager.change(one, 6)
    assert hanging.is_asked.wait(ENOUGH_S)
    with manager.lock:
        one.begin_anew(config_of("one", 9))
    hanging.may_answer.set()
    assert "afresh" in change.result(ENOUGH_S)
    assert period_of(one) == (9, True)
    one.turn.acquire()
    one.turn.release()
    one.begin_anew(config_of("one", 9))
    assert period_of(one) == (9, False)


@pytest.mark.parametrize("is_new_host", [True, False])
def test_one_that_was_moved_meanwhile_is_asked_where_it_is(
    manager: Manager, one: Member, *, is_new_host: bool
) -> None:
    def move_once(_name: str, _command: Command) -> None:
        with manager.lock:
            if len(manager.asked) > 1:
                return
            if is_new_host:
                manager.places["one"] = SimpleNamespace(id="another", epoch=1)
            else:
                manager.places["one"].epoch += 1  # away and back

    manager.answer = move_once
    assert manager.change(one, 6).result(ENOUGH_S) == ""
    where = "another" if is_new_host else "host of one"
    assert manager.asked == [("host of one", update(6)), (where, update(6))]
    assert period_of(one) == (6, False)


def test_hosts_are_asked_at_the_same_time(manager: Manager) -> None:
    together = threading.Barrier(asking.AT_ONCE)

    def meet(_name: str, _command: Command) -> None:
        together.wait(ENOUGH_S)

    manager.answer = meet
    members = [manager.add(f"s{number}") for number in range(asking.AT_ONCE)]
    changes = {member.id: manager.change(member, 6) for member in members}
    assert manager.asking.await_changes(changes, ENOUGH_S) == {}
    assert [period_of(member) for member in members] == [(6, False)] * asking.AT_ONCE


def test_nobody_waits_for_ever(manager: Manager) -> None:
    hanging = Hanging()
    manager.answer = lambda name, command: None if name == "good" else hanging(name, command)
    good = manager.change(manager.add("good"), 6)
    bad = [manager.add(f"bad{number}") for number in range(asking.AT_ONCE - 1)]
    changes = {member.id: manager.change(member, 6) for member in bad} | {"good": good}
    assert good.result(ENOUGH_S) == ""
    refused = manager.asking.await_changes(changes, 0.0)
    assert refused.keys() == {member.id for member in bad}
    assert "its parameters change as soon as it does" in refused["bad0"]
    hanging.may_answer.set()
    assert manager.asking.await_changes(changes, ENOUGH_S) == {}
    assert [period_of(member) for member in bad] == [(6, False)] * len(bad)


def test_commands_are_noted_when_they_were_obeyed(manager: Manager, one: Member) -> None:
    manager.asking.obey(one, Pause())
    assert (one.wanted, one.status.status) == ("paused", "paused")
    manager.asking.obey(one, Resume())
    assert (one.wanted, one.status.status) == ("running", "running")
    manager.asking.obey(one, Update({"slow_period": 30}))
    assert one.parameters == {"fast_period": 5, "slow_period": 30}
    assert manager.stored == [("paused", False), ("running", False), ("running", True)]
    assert not one.turn.locked()


def test_a_command_that_was_refused_changes_nothing(manager: Manager, one: Member) -> None:
    def refuse(_name: str, _command: Command) -> None:
        raise ChorusError("not while it is warming")

    manager.answer = refuse
    for command in (Pause(), update(6)):
        with pytest.raises(ChorusError, match="not while it is warming"):
            manager.asking.obey(one, command)
        assert not one.turn.locked()
    assert one.wanted == "running"
    assert one.parameters == {"fast_period": 5}


def test_what_was_decided_while_a_command_was_obeyed_stays(
    manager: Manager, one: Member, elsewhere: ThreadPoolExecutor
) -> None:
    def stop() -> None:
        one.wanted = "stopped"

    def restart() -> None:
        one.begin_anew(one.config)

    for decide in (restart, stop):
        manager.answer = hanging = Hanging()
        pausing = elsewhere.submit(manager.asking.obey, one, Pause())
        assert hanging.is_asked.wait(ENOUGH_S)
        with manager.lock:
            decide()
        hanging.may_answer.set()
        with pytest.raises(LifecycleError, match="something else was decided meanwhile"):
            pausing.result(ENOUGH_S)
    assert one.wanted == "stopped"
    assert not manager.stored


def test_supervision_leaves_alone_what_is_being_asked(
    manager: Manager, one: Member, elsewhere: ThreadPoolExecutor
) -> None:
    manager.answer = hanging = Hanging()
    pausing = elsewhere.submit(manager.asking.obey, one, Pause())
    assert hanging.is_asked.wait(ENOUGH_S)
    one.heard(msgspec.structs.replace(one.status, status="paused"))
    assert one.actual().status is Status.RUNNING, "or it would be resumed"
    hanging.may_answer.set()
    pausing.result(ENOUGH_S)
    assert one.wanted == "paused"
    assert one.actual().status is Status.PAUSED


def test_one_thing_at_a_time_is_asked_of_a_strategy(
    manager: Manager,
    one: Member,
    elsewhere: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manager.answer = hanging = Hanging()
    change = manager.change(one, 6)
    assert hanging.is_asked.wait(ENOUGH_S)
    with monkeypatch.context() as patch:
        patch.setattr(asking, "ANSWER_WITHIN_S", 0.01)
        with pytest.raises(ChorusError, match="has not answered what it was asked before"):
            manager.asking.obey(one, Pause())
        with pytest.raises(ChorusError, match="has not answered yet"):
            manager.asking.obey(one, update(7))
    waiting = elsewhere.submit(manager.asking.obey, one, Pause())
    hanging.may_answer.set()
    waiting.result(ENOUGH_S)
    assert change.result(ENOUGH_S) == ""
    assert one.wanted == "paused"
    assert period_of(one) == (7, False)
