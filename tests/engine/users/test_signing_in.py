"""Whatever was done before: whoever may sign in does, nobody else, and no secret is shown."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import delete

from engine.access import CHORUS, Caller
from engine.errors import ChorusError, ConflictError
from engine.store import ApiKey, AuditEntry, Store, User
from engine.users import AuthenticationError, Hasher, Users, UserView
from tests.engine.users.conftest import PASSWORD, SECRET, Clock, fast
from tests.examples import examples

ROLES = ("viewer", "trader", "admin")
PASSWORDS = ("correct horse battery", "staple and a wire", "one more long one")
LIFE_S = 900


@dataclass
class Person:
    """A user, as it should be."""

    id: str
    role: str
    password: str
    is_disabled: bool = False


@dataclass
class Key:
    """A key, as it should be."""

    text: str
    owner: Person
    expires_ms: int | None
    is_revoked: bool = False


@dataclass
class Model:
    """Does the same as the users under test, in the simplest way, and compares."""

    users: Users
    clock: Clock
    people: list[Person] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    tokens: list[tuple[str, Person, int]] = field(default_factory=list)

    def begin(self) -> None:
        for number, role in enumerate(("admin", "trader", "admin")):
            made = self.users.create(f"user{number}", role, CHORUS, password=PASSWORDS[0])
            self.people.append(Person(made.id, role, PASSWORDS[0]))
            self.add_key(number, None)

    def add_key(self, who: int, life_ms: int | None) -> None:
        owner = self.people[who]
        expires_ms = None if life_ms is None else self.clock.now_ms + life_ms
        text = self.users.keys.create(owner.id, "a key", CHORUS, expires_ms=expires_ms)
        self.keys.append(Key(text, owner, expires_ms))

    def add_token(self, who: int) -> None:
        owner = self.people[who]
        text = self.users.issue_token(Caller(owner.id, "viewer"))
        self.tokens.append((text, owner, self.clock.now_ms // 1_000))

    def revoke(self, which: int) -> None:
        key = self.keys[which % len(self.keys)]
        self.users.keys.revoke(key.text.split("_")[1], CHORUS)
        key.is_revoked = True

    def set_role(self, who: int, role: str) -> None:
        person = self.people[who]
        if role != "admin" and self.is_last_admin(person):
            with pytest.raises(ConflictError, match="last admin"):
                self.users.set_role(person.id, role, CHORUS)
            return
        self.users.set_role(person.id, role, CHORUS)
        person.role = role

    def enable(self, who: int, is_enabled: bool) -> None:
        person = self.people[who]
        if not is_enabled and self.is_last_admin(person):
            with pytest.raises(ConflictError, match="last admin"):
                self.users.enable(person.id, CHORUS, is_enabled=False)
            return
        self.users.enable(person.id, CHORUS, is_enabled=is_enabled)
        person.is_disabled = not is_enabled

    def set_password(self, who: int, password: str) -> None:
        self.users.set_password(self.people[who].id, password, CHORUS)
        self.people[who].password = password

    def wait(self, ms: int) -> None:
        self.clock.now_ms += ms

    def is_last_admin(self, person: Person) -> bool:
        return [p for p in self.people if p.role == "admin" and not p.is_disabled] == [person]

    def compare(self) -> None:
        now = self.clock.now_ms
        for number, person in enumerate(self.people):
            for password in PASSWORDS:
                is_right = password == person.password
                self.expect(is_right, person, self.users.authenticate, f"user{number}", password)
        for key in self.keys:
            is_over = key.is_revoked or (key.expires_ms is not None and key.expires_ms <= now)
            self.expect(not is_over, key.owner, self.users.authenticate_key, key.text)
        for text, owner, issued_s in self.tokens:
            is_fresh = now < (issued_s + LIFE_S) * 1_000
            self.expect(is_fresh, owner, self.users.caller_of_token, text)

    def expect(
        self, is_right: bool, person: Person, way: Callable[..., Caller], *words: str
    ) -> None:
        if is_right and not person.is_disabled:
            found = way(*words)
            assert (found.user_id, found.role) == (person.id, person.role)
        else:
            with pytest.raises(AuthenticationError):
                way(*words)


WHO = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("add_key"), WHO, st.none() | st.integers(1, 200_000)),
    st.tuples(st.just("add_token"), WHO),
    st.tuples(st.just("revoke"), st.integers(0, 10)),
    st.tuples(st.just("set_role"), WHO, st.sampled_from(ROLES)),
    st.tuples(st.just("enable"), WHO, st.booleans()),
    st.tuples(st.just("set_password"), WHO, st.sampled_from(PASSWORDS)),
    st.tuples(st.just("wait"), st.sampled_from([1, 59_999, 60_000, 450_000, 900_000])),
)


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=15))
def test_whoever_may_sign_in_does_and_nobody_else(
    store: Store, hasher: Hasher, steps: list[tuple[str, *tuple[object, ...]]]
) -> None:
    with store.write() as session:
        for table in (AuditEntry, ApiKey, User):
            session.execute(delete(table))
    clock = Clock()
    model = Model(Users(store, clock, SECRET, hasher=hasher), clock)
    model.begin()
    model.compare()
    for name, *words in steps:
        getattr(model, name)(*words)
        model.compare()


def failures(ways: list[Callable[[], object]]) -> list[ChorusError]:
    found = []
    for way in ways:
        with pytest.raises(ChorusError) as refused:
            way()
        found.append(refused.value)
    return found


def test_whoever_is_not_let_in_is_always_told_the_same(
    users: Users, a_user: Callable[..., UserView], clock: Clock
) -> None:
    ann, bob = a_user("ann"), a_user("bob")
    a_user("keyonly", password=None)
    expired, revoked, disabled = (
        users.keys.create(owner.id, "a key", CHORUS, expires_ms=expires_ms)
        for owner, expires_ms in ((ann, clock.now_ms + 1), (ann, None), (bob, None))
    )
    over, of_bob = (users.issue_token(Caller(u.id, "viewer")) for u in (ann, bob))
    users.keys.revoke(revoked.split("_")[1], CHORUS)
    users.enable(bob.id, CHORUS, is_enabled=False)
    ways: list[Callable[[], object]] = [
        lambda: users.caller_of_token(of_bob),
        lambda: users.caller_of_token("nonsense"),
        lambda: users.authenticate("ann", PASSWORDS[1]),
        lambda: users.authenticate("ann", "x" * 2_000),
        lambda: users.authenticate("ann", "\ud800"),
        lambda: users.authenticate("bob", PASSWORD),
        lambda: users.authenticate("keyonly", PASSWORD),
        lambda: users.authenticate("nobody", PASSWORD),
        lambda: users.authenticate("not a name\0", PASSWORD),
        *(
            lambda key=key: users.authenticate_key(key)
            for key in (revoked, disabled, "", "chorus_")
        ),
    ]
    found = failures(ways)
    clock.now_ms += 900_000
    found += failures(
        [lambda: users.authenticate_key(expired), lambda: users.caller_of_token(over)]
    )
    assert {type(error) for error in found} == {AuthenticationError}
    assert len({str(error) for error in found}) == 1
    assert all(
        error.__cause__ is None and error.__suppress_context__
        for error in found
        if error.__context__  # a trace tells no more, either
    )


def test_no_secret_is_in_a_log_an_error_or_a_representation(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "sqlalchemy")  # which would show all it sends
    clock, shown = Clock(), list[object]()
    with Store.open(address) as store:
        users = Users(store, clock, SECRET, hasher=Hasher(fast()))
        first = users.ensure_admin()
        assert first is not None
        admin = users.authenticate_key(first)
        ann = users.create("ann", "trader", admin, password=PASSWORDS[0])
        key = users.keys.create(ann.id, "a key", admin)
        token = users.issue_token(users.authenticate("ann", PASSWORDS[0]))
        me = users.caller_of_token(token)
        users.set_password(ann.id, PASSWORDS[1], me, present=PASSWORDS[0])
        Users(store, clock, SECRET, hasher=Hasher(fast(time_cost=2))).authenticate(
            "ann", PASSWORDS[1]
        )
        shown += [users, users.keys, users._tokens, users._hasher, admin, me, ann]
        shown += [
            users.page(admin),
            users.keys.page(ann.id, me),
            users.set_role(ann.id, "viewer", admin),
        ]
        wrong, short = f"{key[:-1]}{'1' if key[-1] == '0' else '0'}", PASSWORDS[2][:11]
        shown += failures(
            [
                lambda: users.create("ann", "viewer", admin, password=PASSWORDS[2]),
                lambda: users.create("bob", "viewer", admin, password=short),
                lambda: users.set_password(ann.id, short, me, present=PASSWORDS[1]),
                lambda: users.set_password(ann.id, PASSWORDS[2], me, present=PASSWORDS[0]),
                lambda: users.authenticate("ann", PASSWORDS[0]),
                lambda: users.authenticate_key(wrong),
                lambda: users.caller_of_token(token + "x"),
                lambda: Users(store, clock, SECRET[:31]),
            ]
        )
        shown += [
            users.keys.revoke(key.split("_")[1], me),
            users.enable(ann.id, admin, is_enabled=False),
        ]
        shown += failures(
            [lambda: users.authenticate_key(key), lambda: users.caller_of_token(token)]
        )
        with store.read() as session:
            shown += [row.change for row in session.query(AuditEntry)]
            hashes = [row.password_hash for row in session.query(User) if row.password_hash]
            hashes += [row.secret_hash for row in session.query(ApiKey)]
    assert "INSERT INTO users" in caplog.text
    texts = [caplog.text]
    for each in shown:
        texts += [repr(each), str(each)]
        if isinstance(each, BaseException):
            texts += traceback.format_exception(each)
    secrets = [*PASSWORDS, short, token, token.split(".")[2], SECRET.hex(), repr(SECRET)[2:-1]]
    secrets += [text.split("_")[2] for text in (first, key, wrong)]
    for secret in secrets:
        assert not any(secret in text for text in texts)
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("sqlalchemy")]
    for hashed in hashes:
        assert not any(hashed in text for text in [*texts[1:], *ours])
