"""A request with a key is carried out once, by whichever of several processes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import select, text

from engine.errors import ConfigError, ConflictError
from engine.idempotency import KEPT_MS, LEASE_MS, Answer, Claim, Idempotency, Sent
from engine.store import IdempotencyKey, Store, User

SECRET = bytes(range(32))
MADE = Answer(201, {"etag": '"1"'}, b'{"id":"one"}')
START_MS = 1_700_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def requests(store: Store, clock: Clock) -> Idempotency:
    with store.write() as session:
        session.add_all(User(id=i, name=i, role="trader", created_ms=0) for i in ("ann", "bob"))
    return Idempotency(store, clock, SECRET)


def sent(
    key: str = "k1", *, user: str = "ann", path: str = "/strategies", body: bytes = b"{}"
) -> Sent:
    return Sent(user, key, "POST", path, (b"", body))


def begun(requests: Idempotency, request: Sent) -> Claim:
    claim = requests.begin(request)
    assert isinstance(claim, Claim)
    return claim


def test_a_repetition_gets_the_answer_of_the_first_time(requests: Idempotency) -> None:
    assert requests.finish(begun(requests, sent()), MADE)
    assert requests.begin(sent()) == MADE
    assert requests.begin(sent()) == MADE


def test_whose_where_to_and_which_key_make_a_request(requests: Idempotency) -> None:
    begun(requests, sent())
    for other in (sent("k2"), sent(user="bob"), sent(path="/accounts"), sent("K1")):
        begun(requests, other)


def test_something_else_with_the_same_key_is_refused(requests: Idempotency) -> None:
    claim = begun(requests, sent())
    for _ in range(2):  # while it is carried out, and after
        for content in ((b"", b"{ }"), (b"{}", b""), (b"{}",)):
            with pytest.raises(ConfigError, match="something else was sent with this key"):
                requests.begin(Sent("ann", "k1", "POST", "/strategies", content))
        requests.finish(claim, MADE)


def test_a_repetition_while_it_is_carried_out_has_to_wait(
    requests: Idempotency, clock: Clock
) -> None:
    begun(requests, sent())
    clock.now_ms += LEASE_MS - 1
    with pytest.raises(ConflictError, match=r"just being carried out.* in 1 s if the server was"):
        requests.begin(sent())


def test_of_many_at_once_one_carries_it_out(
    address: str, store: Store, requests: Idempotency, clock: Clock
) -> None:
    barrier = Barrier(6)

    def begin(number: int) -> Claim | Answer | None:
        with Store.open(address) as own:
            other = Idempotency(own, clock, SECRET)
            barrier.wait(60)
            try:
                return other.begin(sent(f"k{number % 2}"))
            except ConflictError:
                return None

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(begin, range(6)))
    assert [type(each) for each in found if each is not None] == [Claim, Claim]
    with store.read() as session:
        assert len(session.scalars(select(IdempotencyKey)).all()) == 2


def test_whoever_comes_after_the_lease_of_a_dead_process_carries_it_out(
    requests: Idempotency, clock: Clock
) -> None:
    dead = begun(requests, sent())
    clock.now_ms += LEASE_MS
    alive = begun(requests, sent())
    with pytest.raises(ConflictError):  # it has a lease of its own
        requests.begin(sent())
    # The first was only slow: what it says comes too late.
    assert not requests.finish(dead, Answer(500, {}, b"late"))
    requests.release(dead)
    assert requests.finish(alive, MADE)
    assert requests.begin(sent()) == MADE
    assert not requests.finish(alive, Answer(200, {}, b"twice"))


DYING = """
import os
import signal
import sys
from engine.idempotency import Idempotency, Sent
from engine.store import Store

store = Store.open(sys.argv[1])
requests = Idempotency(store, lambda: int(sys.argv[2]), bytes(range(32)))
requests.begin(Sent("ann", "k1", "POST", "/strategies", (b"", b"{}")))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_keeps_nobody_waiting_for_ever(
    address: str, requests: Idempotency, clock: Clock
) -> None:
    subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", DYING, address, str(clock())], check=False, timeout=120
    )
    with pytest.raises(ConflictError, match="in 121 s if the server was restarted meanwhile"):
        requests.begin(sent())
    clock.now_ms += LEASE_MS
    assert requests.finish(begun(requests, sent()), MADE)
    assert requests.begin(sent()) == MADE


def test_what_came_to_nothing_is_carried_out_again(requests: Idempotency) -> None:
    requests.release(begun(requests, sent()))
    begun(requests, sent(body=b"another"))


def test_a_secret_is_shown_once(requests: Idempotency) -> None:
    requests.finish(begun(requests, sent()), Answer(201, {}, None))
    with pytest.raises(ConflictError, match="was carried out; its answer held a secret"):
        requests.begin(sent())


def test_a_day_later_it_is_another_request(requests: Idempotency, clock: Clock) -> None:
    requests.finish(begun(requests, sent()), MADE)
    requests.finish(begun(requests, sent("old")), MADE)
    clock.now_ms += KEPT_MS - 1
    assert requests.begin(sent()) == MADE
    clock.now_ms += 1
    requests._purged_ms = clock.now_ms  # not yet swept away
    begun(requests, sent(body=b"another"))
    assert requests.purge() == 1


def test_old_ones_are_swept_away_along_the_way(
    requests: Idempotency, clock: Clock, store: Store
) -> None:
    begun(requests, sent())
    clock.now_ms += KEPT_MS
    begun(requests, sent("k2"))
    with store.read() as session:
        assert len(session.scalars(select(IdempotencyKey)).all()) == 1


def test_neither_key_nor_content_can_be_read_or_guessed_from_the_table(
    requests: Idempotency, store: Store, clock: Clock
) -> None:
    request = sent("the-key", body=b'{"password":"correct horse battery"}')
    begun(requests, request)
    begun(Idempotency(store, clock, bytes(32)), request)  # another secret: other hashes
    with store.read() as session:
        rows = session.execute(text("SELECT * FROM idempotency_keys")).all()
        hashes = session.scalars(select(IdempotencyKey.request_hash)).all()
    assert "the-key" not in str(rows)
    assert "horse" not in str(rows)
    assert len(set(hashes)) == 2
