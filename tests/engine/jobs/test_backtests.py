"""A backtest is its owner's; one worker at a time has it, and none that died keeps it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from engine.access import CHORUS, Caller
from engine.errors import (
    ConfigError,
    ConflictError,
    ForbiddenError,
    LifecycleError,
    NotFoundError,
)
from engine.jobs import Claim
from engine.jobs.backtests import LEASE_MS
from engine.store import AuditEntry, BacktestJob
from tests.engine.jobs.conftest import ADMIN, ANN, BOB, EVE, LIMITS, RUN, Room
from tests.examples import examples

SUMMARY = {
    "ledger_sha256": "aa", "candles": 9, "elapsed_s": 0.1, "signals": 1, "orders": 1, "fills": 1,
    "errors": 0, "strategies": [{"id": "one", "metrics": {"sharpe": 1.5, "equity": 10.0}}],
}  # fmt: skip


def claimed(room: Room, worker: str = "w") -> Claim:
    claim = room.backtests.claim(worker)
    assert claim is not None
    return claim


def finished(room: Room, caller: Caller = ANN, **changes: Any) -> str:
    job_id = room.ask(caller, **changes)
    claim = claimed(room)
    assert claim.id == job_id
    assert room.backtests.finish(claim, summary=SUMMARY, report={"name": "ema"})
    return job_id


def test_a_backtest_is_asked_for_run_and_kept(room: Room) -> None:
    job_id = room.ask(name="first")
    claim = claimed(room)
    assert (claim.id, claim.config["config"]["name"]) == (job_id, "first")
    assert room.status(job_id) == "running"
    assert room.backtests.keep(claim, 0.5)
    assert room.backtests.get(job_id, ANN).progress == Decimal("0.5")
    assert room.backtests.finish(claim, summary=SUMMARY, report={"name": "ema"})
    job = room.backtests.get(job_id, ANN)
    assert (job.status, job.progress, job.summary, job.name) == ("done", 1, SUMMARY, "first")
    assert job.ended_ms is not None
    assert room.backtests.report(job_id, ANN) == {"name": "ema"}
    assert room.backtests.claim("w") is None
    assert room.told() == [("waiting", 0), ("running", 0), ("running", 0.5), ("done", 1)]


def test_others_see_none_of_it(room: Room) -> None:
    job_id = finished(room)
    second = finished(room)
    for caller in (BOB, EVE):
        assert room.backtests.page(caller).items == []
        backtests = room.backtests
        for ask in (backtests.get, backtests.report, backtests.cancel, backtests.delete):
            with pytest.raises(NotFoundError):
                ask(job_id, caller)
        with pytest.raises(NotFoundError):
            backtests.compare([job_id, second], caller)
    assert room.told(BOB) == []
    assert len(room.backtests.page(ADMIN).items) == 2
    assert room.backtests.delete(job_id, ADMIN).id == job_id


def test_who_may_only_look_asks_for_none(room: Room) -> None:
    for caller in (EVE, CHORUS):
        with pytest.raises(ForbiddenError):
            room.ask(caller)


def test_pages_hold_the_newest_first_and_no_large_parts(room: Room) -> None:
    first, second = finished(room), room.ask()
    assert [job.id for job in room.backtests.page(ANN).items] == [second, first]
    assert [job.id for job in room.backtests.page(ANN, status="done").items] == [first]
    page = room.backtests.page(ANN, limit=1)
    rest = room.backtests.page(ANN, after=page.next)
    assert [job.id for job in rest.items] == [first]
    for part in ("config", "summary", "report"):
        assert part not in vars(rest.items[0])


def test_a_canceled_one_is_not_run_and_its_worker_hears_of_it(room: Room) -> None:
    first, second = room.ask(), room.ask()
    claim = claimed(room)
    assert claim.id == first
    assert room.backtests.cancel(first, ANN).status == "canceled"
    assert room.backtests.cancel(second, ANN).status == "canceled"
    assert not room.backtests.keep(claim, 0.9)
    assert not room.backtests.finish(claim, summary=SUMMARY, report={})
    assert not room.backtests.fail(claim, "too late")
    assert not room.backtests.give_back(claim)
    assert room.status(first) == "canceled"
    assert room.backtests.claim("w") is None
    with pytest.raises(LifecycleError, match="is canceled; it has ended already"):
        room.backtests.cancel(first, ANN)
    with pytest.raises(LifecycleError, match="is canceled; there is a report once one is done"):
        room.backtests.report(first, ANN)


def test_only_what_has_ended_is_deleted(room: Room) -> None:
    job_id = room.ask()
    with pytest.raises(LifecycleError, match="is waiting; cancel it first"):
        room.backtests.delete(job_id, ANN)
    claimed(room)
    with pytest.raises(LifecycleError, match="is running; cancel it first"):
        room.backtests.delete(job_id, ANN)
    room.backtests.cancel(job_id, ANN)
    assert room.backtests.delete(job_id, ANN).id == job_id
    with pytest.raises(NotFoundError):
        room.backtests.get(job_id, ANN)


def test_who_did_what_is_on_record(room: Room) -> None:
    job_id = room.ask()
    room.backtests.cancel(job_id, ADMIN)
    room.backtests.delete(job_id, ANN)
    query = select(AuditEntry).where(AuditEntry.kind == "backtests").order_by(AuditEntry.id)
    with room.store.read() as session:
        rows = [(row.action, row.user_id, row.object_id) for row in session.scalars(query)]
    assert rows == [
        ("create", "u-ann", job_id),
        ("cancel", "u-admin", job_id),
        ("delete", "u-ann", job_id),
    ]


def test_one_user_may_have_only_so_many(room: Room) -> None:
    ids = [room.ask() for _ in range(LIMITS.unfinished)]
    with pytest.raises(ConflictError, match="3 of yours wait or run"):
        room.ask()
    room.ask(BOB)
    for job_id in ids:
        room.backtests.cancel(job_id, ANN)
    for _ in range(LIMITS.kept - len(ids)):
        room.backtests.cancel(room.ask(), ANN)
    with pytest.raises(ConflictError, match="you have 5, as many as are kept"):
        room.ask()
    room.backtests.delete(ids[0], ANN)
    room.ask()


def test_no_quota_is_passed_by_asking_at_once(room: Room) -> None:
    barrier = Barrier(6)

    def ask(_: int) -> bool:
        barrier.wait(30)
        try:
            room.ask()
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(ask, range(6))) == LIMITS.unfinished


def test_many_workers_at_once_take_each_backtest_once(room: Room) -> None:
    ids = {room.ask(caller) for caller in (ANN, BOB, ADMIN) for _ in range(LIMITS.unfinished)}
    barrier = Barrier(6)

    def work(number: int) -> list[str]:
        barrier.wait(30)
        taken = []
        while (claim := room.backtests.claim(f"w{number}")) is not None:
            taken.append(claim.id)
        return taken

    with ThreadPoolExecutor(6) as pool:
        taken = [job_id for some in pool.map(work, range(6)) for job_id in some]
    assert sorted(taken) == sorted(ids)


def test_users_take_turns(room: Room) -> None:
    for caller in (ANN, ANN, ANN, BOB):
        room.ask(caller)
    owners = []
    while (claim := room.backtests.claim("w")) is not None:
        owners.append(room.backtests.get(claim.id, ADMIN).owner_id)
    assert owners == ["u-ann", "u-bob", "u-ann", "u-ann"]


def test_a_worker_that_is_not_heard_of_loses_it(room: Room) -> None:
    job_id = room.ask()
    dead = claimed(room)
    room.now_ms += LEASE_MS - 100
    assert room.backtests.keep(dead)
    room.now_ms += LEASE_MS - 100
    assert room.backtests.claim("other") is None
    room.now_ms += 200
    heir = claimed(room, "other")
    assert heir.id == job_id
    assert not room.backtests.keep(dead, 0.7)
    assert not room.backtests.finish(dead, summary=SUMMARY, report={})
    assert room.backtests.finish(heir, summary=SUMMARY, report={"by": "heir"})
    assert room.backtests.report(job_id, ANN) == {"by": "heir"}


def test_one_whose_workers_die_again_and_again_fails(room: Room) -> None:
    job_id, next_id = room.ask(), room.ask()
    for _ in range(LIMITS.attempts):
        assert claimed(room).id == job_id
        room.now_ms += LEASE_MS + 100
    assert claimed(room).id == next_id
    job = room.backtests.get(job_id, ANN)
    assert job.status == "failed"
    assert "was begun 2 times, at last its worker was not heard of" in job.error
    assert ("failed", 0) in room.told()


def test_what_a_worker_gives_back_waits_again(room: Room) -> None:
    job_id = room.ask()
    for _ in range(2 * LIMITS.attempts):  # in good order that is no attempt
        assert room.backtests.give_back(claimed(room))
    assert room.backtests.give_back(claimed(room), "its process was killed")
    assert room.status(job_id) == "waiting"
    assert room.backtests.give_back(claimed(room), "its process was killed")
    job = room.backtests.get(job_id, ANN)
    assert job.status == "failed"
    assert "at last its process was killed" in job.error


def test_why_it_failed_is_kept_in_reasonable_length(room: Room) -> None:
    job_id = room.ask()
    assert room.backtests.fail(claimed(room), "no\0 good" + 10_000 * "x")
    error = room.backtests.get(job_id, ANN).error
    assert error.startswith("no\N{REPLACEMENT CHARACTER} good")
    assert len(error) == 4_000


def test_progress_is_told_by_the_hundredth(room: Room) -> None:
    room.ask()
    claim = claimed(room)
    for thousandth in range(100):
        room.backtests.keep(claim, thousandth / 1000)
    told = [progress for status, progress in room.told() if status == "running"]
    assert told == [0, *(part / 100 for part in range(1, 10))]


def test_backtests_stand_side_by_side(room: Room) -> None:
    first = finished(room)
    other = {**RUN["strategies"][0], "id": "two", "parameters": {"fast_period": 9}}
    second = finished(room, config={**RUN, "strategies": [other]})
    third = room.ask(config={**RUN, "execution": {"takerFeeBps": 5}})
    found = room.backtests.compare([first, second, third], ANN)
    assert [job.id for job in found.backtests] == [first, second, third]
    settings = {each.path: each.values for each in found.settings}
    assert settings == {
        "strategies.*.parameters.fast_period": [5, 9, 5],
        "execution.takerFeeBps": ["0", "0", "5"],
    }
    metrics = {each.path: each.values for each in found.metrics}
    assert metrics["strategies.*.sharpe"] == [1.5, 1.5, None]
    assert metrics["ledger_sha256"] == ["aa", "aa", None]


@pytest.mark.parametrize(
    ("number", "message"), [(0, "need 2 to 10"), (1, "need 2 to 10"), (11, "need 2 to 10")]
)
def test_too_few_or_many_are_not_compared(room: Room, number: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        room.backtests.compare([str(n) for n in range(number)], ANN)
    with pytest.raises(ConfigError, match="name one backtest twice"):
        room.backtests.compare(["a", "a"], ANN)


class Life(RuleBasedStateMachine):
    """Any order of users' wishes, workers' words and deaths leaves a job in one clear state."""

    room: Room

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[Claim] = []
        self.ended: dict[str, str] = {}

    @rule()
    def ask(self) -> None:
        try:
            self.room.ask()
        except ConflictError:
            page = self.room.backtests.page(ANN)
            assert len(page.items) >= LIMITS.unfinished

    @rule()
    def claim(self) -> None:
        claim = self.room.backtests.claim("w")
        if claim is not None:
            assert claim.id not in self.ended
            self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), what=st.sampled_from(["keep", "finish", "fail", "back", "dead"]))
    def speak(self, data: st.DataObject, what: str) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        is_newest = claim == [each for each in self.claims if each.id == claim.id][-1]
        backtests = self.room.backtests
        match what:
            case "keep":
                is_heard = backtests.keep(claim, 0.3)
            case "finish":
                is_heard = backtests.finish(claim, summary=SUMMARY, report={})
            case "fail":
                is_heard = backtests.fail(claim, "no")
            case "back":
                is_heard = backtests.give_back(claim)
            case _:
                is_heard = backtests.give_back(claim, "it died")
        assert is_newest or not is_heard
        assert not (is_heard and claim.id in self.ended)

    @precondition(lambda self: self.room.backtests.page(ANN).items)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.room.backtests.page(ANN).items))
        try:
            self.room.backtests.cancel(job.id, ANN)
        except LifecycleError:
            assert job.id in self.ended

    @rule()
    def time_passes(self) -> None:
        self.room.now_ms += LEASE_MS + 100

    @invariant()
    def what_has_ended_stays_so(self) -> None:
        for job in self.room.backtests.page(ANN).items:
            is_ended = job.status in {"done", "failed", "canceled"}
            assert is_ended == (job.ended_ms is not None)
            assert (job.status == "running") == (job.worker is not None)
            assert job.attempts <= LIMITS.attempts
            assert self.ended.get(job.id, job.status) == job.status
            if is_ended:
                self.ended[job.id] = job.status


@pytest.mark.slow
def test_any_order_of_events(room: Room) -> None:
    def machine() -> Life:
        with room.store.write() as session:
            session.execute(delete(BacktestJob))
        life = Life()
        life.room = room
        return life

    run_state_machine_as_test(
        machine,
        settings=examples(15, stateful_step_count=20, suppress_health_check=list(HealthCheck)),
    )
