"""A POST with a key is carried out once, and its repetitions get the same answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from msgspec.structs import replace
from sqlalchemy import select, text

from api.server import Services
from engine.errors import StoreError
from engine.idempotency import LEASE_MS, Answer, Claim, Idempotency, Sent
from engine.store import Account, IdempotencyKey, Store
from tests.api.server.conftest import PASSWORD, SECRET
from tests.api.server.guards.conftest import Serve
from tests.api.server.test_routes import problem

ACCOUNT = {"name": "paper", "balances": {"USDT": "100"}}
START_MS = 1_700_000_000_000


@pytest.fixture
def store(services: Services) -> Store:
    found: Store = services.users._store
    return found


def keyed(key: str = "k1") -> dict[str, str]:
    return {"Idempotency-Key": key}


def accounts(client: TestClient) -> list[str]:
    return [each["name"] for each in client.get("/accounts").json()["items"]]


def same(first: Response, again: Response) -> None:
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("etag", "content-type", "location"):
        assert again.headers.get(name) == first.headers.get(name)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


def test_a_repetition_gets_the_very_same_answer(serve: Serve) -> None:
    client = serve()
    first = client.post("/accounts", json=ACCOUNT, headers=keyed())
    assert (first.status_code, first.headers["etag"]) == (201, '"1"')
    same(first, client.post("/accounts", json=ACCOUNT, headers=keyed()))
    same(first, client.post("/accounts", json=ACCOUNT, headers=keyed()))
    assert accounts(client) == ["paper"]
    problem(client.post("/accounts", json=ACCOUNT), 409)
    problem(client.post("/accounts", json=ACCOUNT, headers=keyed("k2")), 409)


def test_what_was_refused_is_refused_again_in_the_same_words(serve: Serve) -> None:
    client = serve()
    wrong = {**ACCOUNT, "name": ""}
    first = client.post("/accounts", json=wrong, headers=keyed())
    problem(first, 422)
    same(first, client.post("/accounts", json=wrong, headers=keyed()))
    first = client.post("/nothing", json={}, headers=keyed())
    problem(first, 404)
    same(first, client.post("/nothing", json={}, headers=keyed()))


def test_something_else_with_the_same_key_is_refused(serve: Serve) -> None:
    client = serve()
    made = client.post("/users", json={"name": "ann", "role": "trader"}).json()
    place = f"/users/{made['id']}/disable"
    assert client.post(place, headers=keyed()).json()["version"] == 2
    for again in (
        client.post(place, headers=keyed(), json={}),
        client.post(place, headers={**keyed(), "If-Match": '"2"'}),
        client.post(f"{place}?x=1", headers=keyed()),
    ):
        assert "something else was sent with this key" in problem(again, 422)["detail"]
    assert client.post(place, headers=keyed()).json()["version"] == 2


def test_keys_are_each_users_own_and_each_places(serve: Serve, services: Services) -> None:
    client = serve()
    admin = services.users.authenticate_key(client.headers["X-API-Key"])
    ann = services.users.create("ann", "trader", admin, password=PASSWORD)
    other = serve(key=services.users.keys.create(ann.id, "one", admin), behind=client)
    answers = [each.post("/accounts", json=ACCOUNT, headers=keyed()) for each in (client, other)]
    answers.append(client.post("/users", json={"name": "bob", "role": "viewer"}, headers=keyed()))
    assert [a.status_code for a in answers] == [201, 201, 201]
    assert len({a.json()["id"] for a in answers}) == 3


def test_elsewhere_a_key_does_nothing(serve: Serve, store: Store) -> None:
    client = serve()
    for value in (1, 2):
        put = client.put("/settings/a", json={"value": value}, headers=keyed())
        assert put.json()["value"] == value
        assert client.get("/settings/a", headers=keyed("bad\x7f")).json()["value"] == value
    refused = serve(key="").post("/accounts", json=ACCOUNT, headers=keyed())
    problem(refused, 401)
    with store.read() as session:
        assert session.scalars(select(IdempotencyKey)).all() == []


def test_keys_that_cannot_be_are_refused(serve: Serve) -> None:
    client = serve()
    for key in ("", "x" * 256, "a\x7f", "a\tb", "\xe4"):
        headers = {"Idempotency-Key": key.encode("latin-1")}
        refused = client.post("/accounts", json=ACCOUNT, headers=headers)
        assert "must be 1 to 255 visible characters" in problem(refused, 422)["detail"]
    for number, key in enumerate(("x" * 255, "a b", "8e03978e-40d5-43e8-bc93-6894a57f9324")):
        account = {**ACCOUNT, "name": f"a{number}"}
        made = client.post("/accounts", json=account, headers=keyed(key))
        assert made.status_code == 201


# ------------------------------------------------------------------ at the same time


class Slow:
    """Accounts that are opened when a test says so."""

    def __init__(self, accounts: Any) -> None:
        self._accounts = accounts
        self.begun, self.may_end = Event(), Event()

    def create(self, *args: Any, **more: Any) -> Account:
        self.begun.set()
        assert self.may_end.wait(60)
        made: Account = self._accounts.create(*args, **more)
        return made


def test_a_repetition_while_the_first_is_carried_out_is_told_to_wait(
    serve: Serve, services: Services
) -> None:
    slow: Any = Slow(services.accounts)
    client = serve(work_with=replace(services, accounts=slow))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/accounts", json=ACCOUNT, headers=keyed())
        assert slow.begun.wait(60)
        waits = client.post("/accounts", json=ACCOUNT, headers=keyed())
        slow.may_end.set()
        assert "just being carried out" in problem(waits, 409)["detail"]
        same(first.result(60), client.post("/accounts", json=ACCOUNT, headers=keyed()))


def test_of_many_at_once_one_is_carried_out(serve: Serve) -> None:
    client, barrier = serve(), Barrier(8)
    assert client.get("/me").status_code == 200

    def post(_: int) -> Response:
        barrier.wait(60)
        return client.post("/accounts", json=ACCOUNT, headers=keyed())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    made = [a for a in answers if a.status_code == 201]
    assert len({a.content for a in made}) == 1
    assert len([a for a in made if "idempotency-replayed" not in a.headers]) == 1
    assert {a.status_code for a in answers} <= {201, 409}
    assert all("just being carried out" in a.text for a in answers if a.status_code == 409)
    assert accounts(client) == ["paper"]


# ------------------------------------------------------------------ crashes and failures


class Clock:
    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


class Forgetful(Idempotency):
    """Cannot keep answers, as if the process died just before."""

    def finish(self, claim: Claim, answer: Answer) -> bool:
        raise StoreError("away")


def test_a_process_that_died_before_the_change_is_followed_by_one_that_makes_it(
    serve: Serve, services: Services, store: Store
) -> None:
    clock = Clock()
    requests = Idempotency(store, clock, SECRET)
    client = serve(work_with=replace(services, idempotency=requests))
    me = client.get("/me").json()["userId"]
    body = b'{"name":"paper","balances":{"USDT":"1"}}'
    requests.begin(Sent(me, "k1", "POST", "/api/v1/accounts", (b"", b"", body)))  # and no more

    def post() -> Response:
        headers = {**keyed(), "Content-Type": "application/json"}
        return client.post("/accounts", content=body, headers=headers)

    assert "if the server was restarted" in problem(post(), 409)["detail"]
    clock.now_ms += LEASE_MS
    first = post()
    assert first.status_code == 201
    same(first, post())


def test_a_process_that_died_after_the_change_leaves_what_has_a_name_made_once(
    serve: Serve, services: Services, store: Store
) -> None:
    clock = Clock()
    forgetful = serve(work_with=replace(services, idempotency=Forgetful(store, clock, SECRET)))
    assert forgetful.post("/accounts", json=ACCOUNT, headers=keyed()).status_code == 201
    client = serve(work_with=replace(services, idempotency=Idempotency(store, clock, SECRET)))
    problem(client.post("/accounts", json=ACCOUNT, headers=keyed()), 409)
    clock.now_ms += LEASE_MS
    again = client.post("/accounts", json=ACCOUNT, headers=keyed())
    assert "there is one of that name already" in problem(again, 409)["detail"]
    same(again, client.post("/accounts", json=ACCOUNT, headers=keyed()))
    assert accounts(client) == ["paper"]


class Failing:
    """Accounts that cannot be opened at first."""

    def __init__(self, accounts: Any, *errors: Exception) -> None:
        self._accounts = accounts
        self._errors = list(errors)

    def create(self, *args: Any, **more: Any) -> Account:
        if self._errors:
            raise self._errors.pop()
        made: Account = self._accounts.create(*args, **more)
        return made


@pytest.mark.parametrize(
    ("error", "status"), [(StoreError("away"), 503), (ZeroDivisionError(), 500)]
)
def test_a_failure_of_the_server_is_not_kept(
    serve: Serve, services: Services, error: Exception, status: int
) -> None:
    failing: Any = Failing(services.accounts, error)
    client = serve(work_with=replace(services, accounts=failing))
    problem(client.post("/accounts", json=ACCOUNT, headers=keyed()), status)
    assert client.post("/accounts", json=ACCOUNT, headers=keyed()).status_code == 201


# ------------------------------------------------------------------ secrets


def rows(store: Store) -> str:
    with store.read() as session:
        return str(session.execute(text("SELECT * FROM idempotency_keys")).all())


def test_a_key_is_shown_once_also_to_whoever_repeats_the_request(
    serve: Serve, store: Store
) -> None:
    client = serve()
    made = client.post("/keys", json={"name": "laptop"}, headers=keyed())
    assert made.status_code == 201
    again = client.post("/keys", json={"name": "laptop"}, headers=keyed())
    assert "its answer held a secret, which is shown once" in problem(again, 409)["detail"]
    assert made.json()["key"] not in again.text
    assert [k["name"] for k in client.get("/keys").json()["items"]] == ["first start", "laptop"]
    assert made.json()["key"].split("_")[2] not in rows(store)
    wrong = client.post("/keys", json={"name": ""}, headers=keyed("k2"))
    same(wrong, client.post("/keys", json={"name": ""}, headers=keyed("k2")))


def test_tokens_and_passwords_are_not_kept(serve: Serve, store: Store) -> None:
    client = serve()
    form = {"name": "ann", "role": "trader", "password": PASSWORD}
    assert client.post("/users", json=form, headers=keyed()).status_code == 201
    sign_in = {"name": "ann", "password": PASSWORD}
    token = client.post("/sessions", json=sign_in, headers=keyed()).json()["token"]
    problem(client.post("/sessions", json=sign_in, headers=keyed()), 409)
    nobody = serve(key="", behind=client)
    for _ in range(2):
        assert nobody.post("/sessions", json=sign_in, headers=keyed()).status_code == 200
    kept = rows(store)
    assert token not in kept
    assert PASSWORD not in kept
