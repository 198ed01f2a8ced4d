"""Never two holders: whatever the network, the clocks of waiting, and the server do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import hypothesis.strategies as st
from hypothesis import HealthCheck, given

from engine.locks import Claim, Grant, LeaseLock, LockUnavailableError
from tests.examples import examples

LEASE_S = 10.0


class FakeServer:
    """A Redis as the scripts see it, whose last writes may be lost when it starts again."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.life = 0
        self.state: tuple[str, float, int, int] = ("", 0.0, 0, 0)  # holder, until, term, life
        self.before: deque[tuple[str, float, int, int]] = deque(maxlen=4)

    def _holder(self) -> str:
        return self.state[0] if self._now() < self.state[1] else ""

    def _write(self, *state: object) -> None:
        self.before.append(self.state)
        self.state = state  # type: ignore[assignment]  # four values, as above

    def take(self, token: str, lease_s: float, last: Claim) -> Grant | None:
        holder, (_, _, term, life) = self._holder(), self.state
        if holder:
            return Grant(term, is_sure=False) if holder == token else None
        sure = (term == 0 and last.term == 0) or (term >= last.term and life == self.life)
        term = max(term, last.term) + 1
        self._write(token, self._now() + lease_s, term, self.life)
        return Grant(term, sure)

    def renew(self, token: str, term: int, lease_s: float) -> bool:
        if self._holder() not in {"", token} or self.state[2] != term:
            return False
        self._write(token, self._now() + lease_s, term, self.life)
        return True

    def release(self, token: str) -> None:
        if self._holder() == token:
            self._write("", 0.0, self.state[2], self.state[3])

    def restart(self, lost: int) -> None:
        """Start again without the last writes."""
        self.life += 1
        for _ in range(min(lost, len(self.before))):
            self.state = self.before.pop()
        if lost > 4:
            self.state = ("", 0.0, 0, 0)


class World:
    """Some engines, a server, and what happens while one of them waits for an answer."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.now = 0.0
        self.server = FakeServer(lambda: self.now)
        self.record = Claim()
        self.locks = [
            LeaseLock(Line(self), lease_s=LEASE_S, clock=lambda: self.now, token=f"engine-{n}")
            for n in range(3)
        ]
        self.leads: dict[int, bool] = {}
        self.seen: dict[int, Claim] = {}
        self.calling: set[int] = set()
        self.late: list[Callable[[], object]] = []
        self.depth = 0

    def pass_time(self, longest: float) -> None:
        """Let time go by; others may do something meanwhile."""
        self.now += self._data.draw(st.sampled_from([0.0, 0.1, 1.0, 3.0, longest]))
        self.check()
        if self.depth < 3 and self._data.draw(st.booleans()):
            self.depth += 1
            self.step()
            self.depth -= 1

    def step(self) -> None:
        kind = self._data.draw(st.sampled_from(["work", "work", "work", "time", "restart", "late"]))
        if kind == "time":
            self.now += self._data.draw(st.sampled_from([0.5, 2.0, 9.5, 30.0]))
        elif kind == "restart":
            self.server.restart(self._data.draw(st.sampled_from([0, 1, 2, 9])))
        elif kind == "late" and self.late:
            self.late.pop(0)()
        else:
            self.work(self._data.draw(st.integers(0, 2)))
        self.check()

    def work(self, n: int) -> None:
        """Let an engine do what it would do next."""
        if n in self.calling:
            return
        self.calling.add(n)
        lock = self.locks[n]
        try:
            if lock.is_lost():
                self.leads[n] = False  # it ends, and another process begins
                self.seen[n] = self.record
                self.pass_time(5.0)
                lock.take(self.seen[n])
            else:
                lock.renew()
            # As `Leadership.claim`: in one transaction, if the record is the one seen before.
            if lock.is_held() and not self.leads.get(n) and self.record is self.seen[n]:
                self.record = Claim(lock.term, is_released=False)
                self.leads[n] = True
        except LockUnavailableError:
            pass
        finally:
            self.calling.discard(n)

    def check(self) -> None:
        holders = [n for n, lock in enumerate(self.locks) if lock.is_held() and self.leads.get(n)]
        assert len(holders) <= 1, (self.now, holders)

    def draw_fate(self) -> str:
        return self._data.draw(st.sampled_from(["fine", "fine", "fine", "lost", "unheard", "late"]))


class Line:
    """The network between an engine and the server."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _call(self, call: Callable[[], object]) -> object:
        world, fate = self._world, self._world.draw_fate()
        world.pass_time(12.0)
        if fate == "lost":
            raise LockUnavailableError("lost")
        if fate == "late":
            world.late.append(call)
            raise LockUnavailableError("late")
        answer = call()
        world.pass_time(12.0)
        if fate == "unheard":
            raise LockUnavailableError("unheard")
        return answer

    def take(self, token: str, lease_s: float, last: Claim) -> Grant | None:
        return self._call(lambda: self._world.server.take(token, lease_s, last))  # type: ignore[return-value]  # of that call

    def renew(self, token: str, term: int, lease_s: float) -> bool:
        return bool(self._call(lambda: self._world.server.renew(token, term, lease_s)))

    def release(self, token: str) -> None:
        self._call(lambda: self._world.server.release(token))


@examples(150, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_there_are_never_two_holders(data: st.DataObject) -> None:
    world = World(data)
    for _ in range(25):
        world.step()


def test_a_holder_that_was_stopped_knows_at_once_that_it_has_lost() -> None:
    now = [0.0]
    lock = LeaseLock(FakeServer(lambda: now[0]), lease_s=LEASE_S, clock=lambda: now[0])
    assert lock.take(Claim())
    assert lock.is_held()
    now[0] = 9.1
    assert lock.is_lost()
    lock.renew()
    assert lock.is_lost()


def test_renewing_keeps_it_for_as_long_as_one_likes() -> None:
    now = [0.0]
    lock = LeaseLock(FakeServer(lambda: now[0]), lease_s=LEASE_S, clock=lambda: now[0])
    assert lock.take(Claim())
    for _ in range(20):
        now[0] += 8.0
        lock.renew()
        assert lock.is_held()


def test_after_a_restart_that_forgot_a_new_holder_waits_for_a_lease() -> None:
    now = [0.0]
    server = FakeServer(lambda: now[0])
    first, second = (
        LeaseLock(server, lease_s=LEASE_S, clock=lambda: now[0], token=name) for name in "ab"
    )
    assert first.take(Claim())
    server.restart(9)
    assert second.take(Claim(first.term, is_released=False))
    assert not second.is_held()
    assert second.term > first.term
    for _ in range(4):
        now[0] += 2.5
        second.renew()
    assert first.is_lost()
    assert second.is_held()
