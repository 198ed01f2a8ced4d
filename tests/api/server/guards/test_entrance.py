"""Who asks, how often somebody may, and how often somebody may be wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from threading import Event

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from httpx2 import Response
from msgspec.structs import replace
from starlette.testclient import WebSocketDenialResponse

from api.server import Guards, Limits, Services
from engine.store import Store
from engine.users import Hasher, Users
from tests.api.server.conftest import PASSWORD, SECRET
from tests.api.server.guards.conftest import START_S, Clock, Serve
from tests.api.server.test_routes import problem


def guards(**limits: str | int) -> Guards:
    return Guards(limits=Limits(**limits))  # type: ignore[arg-type]  # of the one or the other


def too_many(answer: Response) -> str:
    detail: str = problem(answer, 429)["detail"]
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    return detail


@pytest.fixture
def ann(services: Services, admin_key: str) -> str:
    """Return a key of a user called ann."""
    admin = services.users.authenticate_key(admin_key)
    user = services.users.create("ann", "trader", admin, password=PASSWORD)
    return services.users.keys.create(user.id, "one", admin)


def another_key(services: Services, key: str) -> str:
    caller = services.users.authenticate_key(key)
    return services.users.keys.create(str(caller.user_id), "two", caller)


def test_every_answer_says_how_often_one_may_still_ask(serve: Serve, clock: Clock) -> None:
    client = serve(guards(per_key="3/minute"))
    answers = [client.get("/me"), client.get("/nothing"), client.post("/users", content=b"{")]
    told = [(a.headers["ratelimit-limit"], a.headers["ratelimit-remaining"]) for a in answers]
    assert told == [("3", "2"), ("3", "1"), ("3", "0")]
    refused = client.get("/me")
    assert "no more than 3" in too_many(refused)
    assert refused.headers["ratelimit-remaining"] == "0"
    assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"]
    clock.now_s += 120
    assert client.get("/me").status_code == 200


def test_each_key_has_its_rate_and_all_of_a_user_have_one(
    serve: Serve, services: Services, admin_key: str, ann: str, clock: Clock
) -> None:
    one = serve(guards(per_key="2/minute", per_user="3/minute"), key=ann)
    two = serve(key=another_key(services, ann), behind=one)
    assert [one.get("/me").status_code for _ in range(3)] == [200, 200, 429]
    assert [two.get("/me").status_code for _ in range(2)] == [429, 429]  # three of ann's
    assert serve(key=admin_key, behind=one).get("/me").status_code == 200
    token = services.users.issue_token(services.users.authenticate_key(ann))
    bearer = {"Authorization": f"Bearer {token}"}
    assert serve(key="", behind=one).get("/me", headers=bearer).status_code == 429


def test_nobody_is_counted_by_address(serve: Serve, clock: Clock) -> None:
    nobody = serve(guards(per_address="2/minute"), key="")
    assert [nobody.get("/me").status_code for _ in range(3)] == [401, 401, 429]
    too_many(nobody.get("/openapi.json"))
    too_many(nobody.post("/sessions", json={"name": "a", "password": "b"}))
    elsewhere = serve(key="", address="10.0.0.2", behind=nobody)
    assert elsewhere.get("/me").status_code == 401
    assert serve(behind=nobody).get("/me").status_code == 200  # same address, but somebody


def test_a_bot_with_an_old_key_keeps_nobody_from_signing_in(
    serve: Serve, services: Services, ann: str, clock: Clock
) -> None:
    caller = services.users.authenticate_key(ann)
    services.users.keys.revoke(ann.split("_")[1], caller)
    bot = serve(guards(per_address="3/minute", failures_per_address="3/minute"), key=ann)
    assert [bot.get("/me").status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    neighbour = serve(key="", behind=bot)
    signed_in = neighbour.post("/sessions", json={"name": "ann", "password": PASSWORD})
    assert signed_in.status_code == 200


# ------------------------------------------------------------------ wrong passwords and keys


class Counting(Hasher):
    """Counts what costs an argon2; `gate` keeps them waiting."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = Event()
        self.gate.set()
        super().__init__(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1), at_once=100)

    def verify(self, hashed: str | None, secret: str) -> bool:
        self.count += 1
        assert self.gate.wait(60)
        return super().verify(hashed, secret)


@pytest.fixture
def counted(services: Services) -> Services:
    store: Store = services.users._store
    return replace(
        services, users=Users(store, lambda: int(START_S * 1000), SECRET, hasher=Counting())
    )


def hasher_of(services: Services) -> Counting:
    hasher: Counting = services.users._hasher  # type: ignore[assignment]  # as made above
    return hasher


def sign_in(client: TestClient, name: str, password: str = "wrong") -> Response:  # noqa: S107 - it is wrong
    return client.post("/sessions", json={"name": name, "password": password})


@pytest.mark.usefixtures("clock")
def test_whoever_is_wrong_too_often_has_to_wait_and_costs_nothing(
    serve: Serve, ann: str, counted: Services, caplog: pytest.LogCaptureFixture
) -> None:
    hasher = hasher_of(counted)
    client = serve(guards(failures_per_address="3/minute"), key="", work_with=counted)
    for name in ("ann", "nobody", "ann"):
        problem(sign_in(client, name, "a wrong password"), 401)
    assert hasher.count == 3
    assert "sign-in: was wrong too often" in too_many(sign_in(client, "ann", PASSWORD))
    assert hasher.count == 3
    elsewhere = serve(key="", address="10.0.0.2", behind=client)
    assert sign_in(elsewhere, "ann", PASSWORD).status_code == 200
    assert serve(key=ann, behind=client).get("/me").status_code == 200  # by key, from there
    assert "a wrong sign-in or name was given" in caplog.text
    assert not any(secret in caplog.text for secret in (PASSWORD, "a wrong password", "nobody"))


def test_who_was_wrong_too_often_may_try_again_later(serve: Serve, ann: str, clock: Clock) -> None:
    client = serve(guards(failures_per_address="1/minute"), key="")
    problem(sign_in(client, "ann"), 401)
    too_many(sign_in(client, "ann", PASSWORD))
    clock.now_s += 120
    assert sign_in(client, "ann", PASSWORD).status_code == 200


def test_a_name_is_guarded_from_many_addresses_whatever_its_case(
    serve: Serve, ann: str, clock: Clock
) -> None:
    client = serve(guards(failures_per_name="2/minute"), key="")
    for number, name in enumerate(("ann", "ANN")):
        there = serve(key="", address=f"10.0.1.{number}", behind=client)
        problem(sign_in(there, name), 401)
    assert "name: was wrong too often" in too_many(sign_in(client, "Ann", PASSWORD))
    problem(sign_in(client, "bob"), 401)


def test_who_signs_in_rightly_is_not_counted(serve: Serve, ann: str, clock: Clock) -> None:
    client = serve(guards(failures_per_address="2/minute"), key="")
    assert {sign_in(client, "ann", PASSWORD).status_code for _ in range(6)} == {200}


def test_wrong_secrets_of_a_key_make_only_that_key_wait_there(
    serve: Serve, services: Services, ann: str, clock: Clock, counted: Services
) -> None:
    hasher = hasher_of(counted)
    other = another_key(services, ann)
    wrong = f"{ann[:-1]}{'1' if ann[-1] == '0' else '0'}"
    client = serve(guards(failures_per_name="2/minute"), key=wrong, work_with=counted)
    assert [client.get("/me").status_code for _ in range(3)] == [401, 401, 429]
    assert hasher.count == 2
    too_many(serve(key=ann, behind=client).get("/me"))  # not verified yet, so nobody can tell
    assert serve(key=other, behind=client).get("/me").status_code == 200
    assert serve(key=ann, address="10.0.0.2", behind=client).get("/me").status_code == 200
    assert serve(key=ann, behind=client).get("/me").status_code == 200  # verified by now
    made_up = serve(key=f"chorus_{'0' * 16}_{'0' * 64}", behind=client)
    assert {made_up.get("/me").status_code for _ in range(5)} == {401}
    assert hasher.count == 4


def test_wrong_keys_of_websockets_count_as_well(
    serve: Serve, ann: str, clock: Clock, counted: Services
) -> None:
    hasher = hasher_of(counted)
    wrong = f"{ann[:-1]}{'1' if ann[-1] == '0' else '0'}"
    client = serve(guards(failures_per_name="2/minute"), key=wrong, work_with=counted)
    statuses = []
    for _ in range(3):
        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            client.websocket_connect("ws://localhost/api/v1/stream"),
        ):
            pass
        statuses.append(refused.value.status_code)
    assert statuses == [401, 401, 429]
    assert hasher.count == 2


def test_the_present_password_cannot_be_tried_for_ever(
    serve: Serve, ann: str, clock: Clock
) -> None:
    client = serve(guards(failures_per_name="2/minute"), key=ann)
    form = {"password": "another battery", "present": "wrong"}
    assert [client.put("/users/me/password", json=form).status_code for _ in range(3)] == [
        403, 403, 429,
    ]  # fmt: skip
    right = {**form, "present": PASSWORD}
    assert "password: was wrong" in too_many(client.put("/users/me/password", json=right))
    clock.now_s += 120
    assert client.put("/users/me/password", json=right).status_code == 200


def test_many_wrong_passwords_at_once_leave_everybody_else_alone(
    serve: Serve, ann: str, counted: Services
) -> None:
    hasher = hasher_of(counted)
    limits = {"passwords_at_once": 2, "passwords_waiting": 3}
    client = serve(guards(**limits), key=ann, work_with=counted)
    assert client.get("/me").status_code == 200
    before = hasher.count
    hasher.gate.clear()
    addresses = [f"10.1.0.{n}" for n in range(40)]
    with ThreadPoolExecutor(40) as pool:
        tries = [
            pool.submit(sign_in, serve(key="", address=a, behind=client), a) for a in addresses
        ]
        try:
            # All but those that are thought about, or wait for that, are answered at once.
            early = [each.result() for each in islice(as_completed(tries, 60), 35)]
            assert client.get("/me").status_code == 200
            account = {"name": "paper", "balances": {"USDT": "1"}}
            assert client.post("/accounts", json=account).status_code == 201
            assert hasher.count <= before + 2
        finally:
            hasher.gate.set()
        answers = [each.result(60) for each in tries]
    assert all("at the same time" in too_many(answer) for answer in early)
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 35
