"""Keys are found by one part, proved by the other, and refused as soon as they are taken back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from engine.access import CHORUS, Caller
from engine.errors import ConfigError, NotFoundError, StoreError
from engine.store import ApiKey, AuditEntry, Store
from engine.users import AuthenticationError, Hasher, Users, UserView
from engine.users.verified import VerifiedKeys
from tests.engine.users.conftest import SECRET, Clock, fast
from tests.examples import examples

MakeUser = Callable[..., UserView]


class Counting(Hasher):
    """Counts how often argon2 had to say something of a secret."""

    def __init__(self) -> None:
        super().__init__(fast())
        self.count = 0

    def verify(self, hashed: str | None, secret: str) -> bool:
        self.count += 1
        return super().verify(hashed, secret)


def id_of(key: str) -> str:
    return key.split("_")[1]


def test_a_key_says_whose_it_is_and_with_which_role(users: Users, a_user: MakeUser) -> None:
    ann = a_user()
    key = users.keys.create(ann.id, "laptop", CHORUS)
    assert users.authenticate_key(key) == Caller(ann.id, "trader")
    users.set_role(ann.id, "viewer", CHORUS)
    assert users.authenticate_key(key) == Caller(ann.id, "viewer")


def test_a_key_looks_as_documented_and_only_its_hash_is_kept(
    users: Users, a_user: MakeUser, store: Store
) -> None:
    key = users.keys.create(a_user().id, "laptop", CHORUS)
    prefix, public, secret = key.split("_")
    assert (prefix, len(public), len(secret)) == ("chorus", 16, 64)
    with store.read() as session:
        row = session.scalars(select(ApiKey)).one()
        entries = session.scalars(select(AuditEntry)).all()
    assert row.id == public
    assert row.secret_hash.startswith("$argon2id$")
    assert not any(secret in str(e.change) or row.secret_hash in str(e.change) for e in entries)


def test_a_key_is_recalled_without_argon2_only_if_it_was_verified_lately(
    store: Store, clock: Clock
) -> None:
    hasher = Counting()
    users = Users(store, clock, SECRET, hasher=hasher)
    ann = users.create("ann", "trader", CHORUS)
    key = users.keys.create(ann.id, "laptop", CHORUS)
    wrong = f"{key[:-1]}{'1' if key[-1] == '0' else '0'}"
    assert users.keys.recall(key) is None
    assert users.authenticate_key(key) == Caller(ann.id, "trader")
    assert users.keys.recall(key) == Caller(ann.id, "trader")
    assert users.keys.recall(wrong) is None
    assert hasher.count == 1
    for nobodys in ("chorus_x_y", f"chorus_{'0' * 16}_{'0' * 64}"):
        with pytest.raises(AuthenticationError):
            users.keys.recall(nobodys)
    users.keys.revoke(id_of(key), CHORUS)
    with pytest.raises(AuthenticationError):
        users.keys.recall(key)


def test_what_is_not_quite_the_key_is_refused(users: Users, a_user: MakeUser) -> None:
    ann = a_user()
    key, other = (users.keys.create(ann.id, name, CHORUS) for name in ("one", "two"))
    _, public, secret = key.split("_")
    wrong = [
        "", key[:-1], key + "0", key + "\n", key.upper(), f"chorus_{public}_{'0' * 64}",
        f"chorus_{id_of(other)}_{secret}", f"chorus_{'0' * 16}_{secret}", "chorus__", "\ud800",
        key.replace("chorus", "chOrus"), f"chorus_{public}_{secret[:-1]}\0",
    ]  # fmt: skip
    texts = set()
    for is_verified in (False, True):
        if is_verified:
            users.authenticate_key(key)
        for text in wrong:
            with pytest.raises(AuthenticationError) as refused:
                users.authenticate_key(text)
            texts.add(str(refused.value))
    assert len(texts) == 1


def test_argon2_is_asked_once_a_minute_for_each_key(
    users: Users, a_user: MakeUser, store: Store, clock: Clock
) -> None:
    keys = [users.keys.create(a_user().id, "laptop", CHORUS)]
    keys += [users.keys.create(a_user("bob").id, "desk", CHORUS)]
    hasher = Counting()
    users = Users(store, clock, SECRET, hasher=hasher)
    for _ in range(6):  # 0 to 59,995 ms
        for key in keys:
            users.authenticate_key(key)
        clock.now_ms += 11_999
    assert hasher.count == 2
    clock.now_ms += 5
    users.authenticate_key(keys[0])
    assert hasher.count == 3
    clock.now_ms -= 1  # set back: nothing lasts longer by that
    users.authenticate_key(keys[0])
    assert hasher.count == 4


@pytest.mark.parametrize("way", ["revoked", "expired", "disabled"])
@pytest.mark.parametrize("is_verified", [True, False])
def test_a_key_is_refused_from_the_moment_it_is_over(
    users: Users, a_user: MakeUser, clock: Clock, way: str, is_verified: bool
) -> None:
    ann = a_user()
    key = users.keys.create(ann.id, "laptop", CHORUS, expires_ms=clock.now_ms + 1_000)
    clock.now_ms += 999
    if is_verified:
        users.authenticate_key(key)
    if way == "revoked":
        users.keys.revoke(id_of(key), CHORUS)
    elif way == "disabled":
        users.enable(ann.id, CHORUS, is_enabled=False)
    else:
        clock.now_ms += 1
    with pytest.raises(AuthenticationError):
        users.authenticate_key(key)
    if way == "disabled":
        users.enable(ann.id, CHORUS, is_enabled=True)
        assert users.authenticate_key(key).user_id == ann.id


def test_a_key_taken_back_while_it_is_verified_is_refused(
    users: Users, a_user: MakeUser, store: Store, clock: Clock
) -> None:
    key = users.keys.create(a_user().id, "laptop", CHORUS)

    class Meanwhile(Hasher):
        def verify(self, hashed: str | None, secret: str) -> bool:
            users.keys.revoke(id_of(key), CHORUS)
            return super().verify(hashed, secret)

    with pytest.raises(AuthenticationError):
        Users(store, clock, SECRET, hasher=Meanwhile(fast())).authenticate_key(key)


def test_when_a_key_is_used_is_written_once_a_minute(
    users: Users, a_user: MakeUser, clock: Clock
) -> None:
    ann = a_user()
    key = users.keys.create(ann.id, "laptop", CHORUS)

    def used_ms() -> int | None:
        return users.keys.page(ann.id, CHORUS).items[0].used_ms

    assert used_ms() is None
    first = clock.now_ms
    for after, expected in ((0, 0), (30_000, 0), (59_999, 0), (60_000, 60_000), (90_000, 60_000)):
        clock.now_ms = first + after
        users.authenticate_key(key)
        assert used_ms() == first + expected


def test_a_key_is_accepted_though_its_use_cannot_be_written(
    users: Users, a_user: MakeUser, clock: Clock, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def full() -> None:
        raise StoreError("store: has no room left")

    ann = a_user()
    key = users.keys.create(ann.id, "laptop", CHORUS)
    users.authenticate_key(key)
    monkeypatch.setattr(users.keys._store, "write", full)
    clock.now_ms += 59_999
    assert users.authenticate_key(key).user_id == ann.id
    assert caplog.text == ""  # it is not even tried
    clock.now_ms += 1
    assert users.authenticate_key(key).user_id == ann.id
    assert "has no room left" in caplog.text


def test_keys_are_seen_and_taken_back_by_their_users_and_admins(
    users: Users, a_user: MakeUser, store: Store, clock: Clock
) -> None:
    ann, bob, root = a_user("ann", "viewer"), a_user("bob"), a_user("root", "admin")
    me, other, admin = (Caller(u.id, u.role) for u in (ann, bob, root))
    made = []
    for name in ("one", "two", "three"):
        clock.now_ms += 1
        made.append(id_of(users.keys.create(ann.id, name, me)))
    for asks in (me, admin):
        first = users.keys.page(ann.id, asks, limit=2)
        rest = users.keys.page(ann.id, asks, limit=2, after=first.next)
        assert [key.id for key in first.items + rest.items] == made
    with pytest.raises(NotFoundError):
        users.keys.page(ann.id, other)
    with pytest.raises(NotFoundError):
        users.keys.create(ann.id, "mine", other)
    for key_id in (made[0], "0" * 16, "", "a\0"):
        with pytest.raises(NotFoundError, match=r"key .*there is none"):
            users.keys.revoke(key_id, other)
    assert users.keys.revoke(made[0], me).revoked_ms == clock.now_ms
    assert users.keys.revoke(made[1], admin).revoked_ms == clock.now_ms
    clock.now_ms += 1
    assert users.keys.revoke(made[0], admin).revoked_ms == clock.now_ms - 1
    with store.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "revoke"))
        assert [(e.user_id, e.kind, e.object_id) for e in entries] == [
            (ann.id, "api_keys", made[0]),
            (root.id, "api_keys", made[1]),
        ]


def test_keys_that_make_no_sense_are_refused(users: Users, a_user: MakeUser, clock: Clock) -> None:
    ann = a_user()
    for name in ("", " ", "x" * 65, "a\nb", "a\0"):
        with pytest.raises(ConfigError, match="key name: must be 1 to 64 printable"):
            users.keys.create(ann.id, name, CHORUS)
    for expires_ms in (0, clock.now_ms // 1_000, clock.now_ms, 1 << 63):
        with pytest.raises(ConfigError, match="expires_ms: must be milliseconds since 1970"):
            users.keys.create(ann.id, "laptop", CHORUS, expires_ms=expires_ms)
    with pytest.raises(NotFoundError):
        users.keys.create("nobody", "laptop", CHORUS)
    assert users.keys.page(ann.id, CHORUS).items == []


def test_the_keys_not_used_for_longest_are_forgotten_first() -> None:
    known = VerifiedKeys(life_ms=100, most=2)
    for key in ("a", "b"):
        known.add(f"text {key}", key, "hash", 0)
    assert known.has("text a", "a", "hash", 1)
    known.add("text c", "c", "hash", 1)
    assert [known.has(f"text {key}", key, "hash", 2) for key in "abc"] == [True, False, True]
    assert len(known) == 2


def test_a_key_is_known_only_with_its_text_and_the_hash_it_was_verified_against() -> None:
    known = VerifiedKeys(life_ms=100)
    known.add("text", "a", "hash", 1_000)
    assert known.has("text", "a", "hash", 1_000)
    assert not known.has("text.", "a", "hash", 1_000)
    assert known.has("text", "a", "hash", 1_099)
    assert not known.has("text", "a", "other", 1_000)
    assert not known.has("text", "a", "hash", 1_000)
    assert len(known) == 0


@examples(200)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "has"]), st.sampled_from("abcd"), st.integers(0, 60)),
        max_size=40,
    )
)
def test_what_is_known_was_added_within_the_life(steps: list[tuple[str, str, int]]) -> None:
    known, added, now = VerifiedKeys(life_ms=100, most=3), dict[str, int](), 0
    for step, key, wait in steps:
        now += wait
        if step == "add":
            known.add(key, key, "hash", now)
            added[key] = now
        elif known.has(key, key, "hash", now):
            assert now - added[key] < 100
        assert len(known) <= 3
