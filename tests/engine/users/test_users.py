"""Users are made and changed by whom they may be, and one admin always stays."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import select

from engine.access import CHORUS, Caller
from engine.errors import ConfigError, ConflictError, ConstraintError, ForbiddenError, NotFoundError
from engine.store import AuditEntry, Store, User
from engine.users import AuthenticationError, Hasher, Users, UserView
from tests.engine.users.conftest import PASSWORD, SECRET, Clock, fast

MakeUser = Callable[..., UserView]

OTHER = "staple and a wire"


def caller(user: UserView) -> Caller:
    return Caller(user.id, user.role)


def audit(store: Store) -> list[tuple[str | None, str, str, str, dict[str, object]]]:
    with store.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(r.user_id, r.action, r.kind, r.object_id, r.change) for r in rows]


def test_the_first_start_makes_an_admin_and_says_its_key_once(users: Users, store: Store) -> None:
    key = users.ensure_admin()
    assert key is not None
    found = users.authenticate_key(key)
    assert found.role == "admin"
    (admin,) = users.page(found).items
    assert (admin.id, admin.name, admin.has_password) == (found.user_id, "admin", False)
    assert [entry[:3] for entry in audit(store)] == [
        (None, "create", "users"),
        (None, "create", "api_keys"),
    ]
    assert users.ensure_admin() is None
    assert len(users.page(found).items) == 1


def test_where_there_are_users_no_admin_is_made(users: Users, a_user: MakeUser) -> None:
    a_user("ann", "viewer")
    assert users.ensure_admin() is None


class Together(Hasher):
    """Goes on only when all have come to the point at which each has seen that nobody is there."""

    def __init__(self, barrier: Barrier) -> None:
        self._barrier: Barrier | None = None
        super().__init__(fast())
        self._barrier = barrier

    def hash(self, secret: str) -> str:
        if self._barrier is not None:
            self._barrier.wait(60)
        return super().hash(secret)


def test_of_engines_that_start_at_once_only_one_makes_an_admin(
    address: str, store: Store, clock: Clock
) -> None:
    barrier = Barrier(4)

    def start(_: int) -> str | None:
        with Store.open(address) as own:
            return Users(own, clock, SECRET, hasher=Together(barrier)).ensure_admin()

    with ThreadPoolExecutor(4) as pool:
        keys = [key for key in pool.map(start, range(4)) if key is not None]
    users = Users(store, clock, SECRET, hasher=Hasher(fast()))
    assert len(keys) == 1
    assert users.authenticate_key(keys[0]).is_admin
    assert len(users.page(CHORUS).items) == 1
    assert len(audit(store)) == 2


@pytest.mark.parametrize("name", ["a", "Ann.B-c_d@example.org", "x" * 64, "007"])
def test_users_are_found_whatever_the_case(users: Users, a_user: MakeUser, name: str) -> None:
    made = a_user(name)
    assert made.name == name.lower()
    for written in (name, name.upper(), name.lower()):
        assert users.authenticate(written, PASSWORD) == caller(made)
        with pytest.raises(ConflictError, match="is taken; choose another"):
            a_user(written)


def test_a_name_that_is_taken_shows_no_hash(users: Users, a_user: MakeUser, store: Store) -> None:
    a_user()
    with pytest.raises(ConflictError) as refused:
        a_user()
    assert "argon2" not in "".join(traceback.format_exception(refused.value))
    assert len(audit(store)) == 1


def test_a_user_nobody_has_made_cannot_make_others(users: Users) -> None:
    with pytest.raises(ConstraintError):
        users.create("ann", "viewer", Caller("nobody", "admin"))


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "Änn", "ann\n", "a\0", "\ud800", "a/b"])
def test_names_that_nobody_can_have_are_refused(users: Users, name: str) -> None:
    with pytest.raises(ConfigError, match=r"user name: must be 1 to 64 .* got"):
        users.create(name, "viewer", CHORUS)


def test_who_changes_its_own_password_says_the_present_one(
    users: Users, a_user: MakeUser, store: Store
) -> None:
    ann = a_user()
    before = audit(store)
    for wrong in (None, "", OTHER, "\ud800", "x" * 2000):
        with pytest.raises(ForbiddenError, match="has to say the present one") as refused:
            users.set_password(ann.id, OTHER, caller(ann), present=wrong)
        assert OTHER not in str(refused.value)
    assert audit(store) == before
    users.set_password(ann.id, OTHER, caller(ann), present=PASSWORD)
    assert users.authenticate("ann", OTHER) == caller(ann)
    admin = a_user("root", "admin")
    users.set_password(ann.id, PASSWORD, caller(admin))
    with pytest.raises(ForbiddenError, match="has to say the present one"):
        users.set_password(admin.id, OTHER, caller(admin))


def test_who_has_no_password_yet_needs_none_to_set_one(users: Users, a_user: MakeUser) -> None:
    ann = a_user(password=None)
    users.set_password(ann.id, OTHER, caller(ann))
    with pytest.raises(ForbiddenError, match="has to say the present one"):
        users.set_password(ann.id, PASSWORD, caller(ann))


def test_a_role_that_is_none_is_refused(users: Users, a_user: MakeUser) -> None:
    with pytest.raises(ConfigError, match="role: must be one of viewer, trader, admin, got 'king'"):
        users.create("ann", "king", CHORUS)
    with pytest.raises(ConfigError, match="role: must be one of"):
        users.set_role(a_user().id, "Admin", CHORUS)


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("", "at least 12 characters, got 0"),
        ("eleven char", "at least 12 characters, got 11"),
        ("e\u0301" * 11, "at least 12 characters, got 11"),
        ("secret" * 200, "at most 1024 characters"),
        ("broken \ud800 surrogate", "valid Unicode"),
        (" correct horse battery", "begins or ends with a space"),
        ("correct horse battery\n", "begins or ends with a space"),
        ("abababababab", "at least 5 different characters, got 2"),
        ("Ann@Example.org", "must not be the user's name"),
    ],
)
def test_passwords_that_are_no_good_are_refused_and_not_shown(
    users: Users, a_user: MakeUser, password: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=f"^password: .*{problem}") as refused:
        users.create("ann@example.org", "viewer", CHORUS, password=password)
    assert not password.strip() or password.strip() not in str(refused.value)
    made = a_user("ann@example.org")
    with pytest.raises(ConfigError, match=problem):
        users.set_password(made.id, password, CHORUS)
    assert users.get(made.id, CHORUS) == made


def test_who_is_no_admin_sees_and_changes_only_itself(users: Users, a_user: MakeUser) -> None:
    ann, bob = a_user("ann"), a_user("bob", "viewer")
    for own, other in ((ann, bob), (bob, ann)):
        me = caller(own)
        assert users.get(own.id, me) == own
        assert users.page(me).items == [own]
        users.set_password(own.id, OTHER, me, present=PASSWORD)
        assert users.authenticate(own.name, OTHER) == me
        with pytest.raises(NotFoundError, match="there is none"):
            users.get(other.id, me)
        with pytest.raises(NotFoundError, match="there is none"):
            users.set_password(other.id, OTHER, me)
        with pytest.raises(ForbiddenError, match="only admins may change roles, not a"):
            users.set_role(own.id, "admin", me)
        with pytest.raises(ForbiddenError, match="only admins may enable and disable users"):
            users.enable(other.id, me, is_enabled=False)
        with pytest.raises(ForbiddenError, match="only admins may make users"):
            users.create("eve", "admin", me)


def test_admins_see_everybody_page_by_page(users: Users, a_user: MakeUser, clock: Clock) -> None:
    made = []
    for number in range(5):
        clock.now_ms += 1
        made.append(a_user(f"user{number}", password=None))
    first = users.page(CHORUS, limit=3)
    rest = users.page(CHORUS, limit=3, after=first.next)
    assert first.items + rest.items == made
    assert rest.next is None


@pytest.mark.parametrize("user_id", ["", "nobody", "a\0b", "\ud800"])
def test_a_user_that_is_not_there_is_not_found(users: Users, user_id: str) -> None:
    with pytest.raises(NotFoundError, match=r"user .*there is none"):
        users.get(user_id, CHORUS)
    with pytest.raises(NotFoundError):
        users.set_role(user_id, "viewer", CHORUS)


def test_every_change_is_written_down_with_who_made_it(
    users: Users, a_user: MakeUser, store: Store
) -> None:
    admin = a_user("root", "admin")
    by = caller(admin)
    ann = users.create("ann", "viewer", by)
    assert users.set_role(ann.id, "trader", by, if_version=1).version == 2
    assert users.set_role(ann.id, "trader", by).version == 2
    assert users.enable(ann.id, by, is_enabled=False).version == 3
    assert users.set_password(ann.id, OTHER, by).version == 4
    assert audit(store)[1:] == [
        (admin.id, "create", "users", ann.id, {"name": "ann", "role": "viewer"}),
        (admin.id, "update", "users", ann.id, {"role": ["viewer", "trader"]}),
        (admin.id, "update", "users", ann.id, {"is_disabled": [False, True]}),
        (admin.id, "update", "users", ann.id, {"password": "changed"}),
    ]


def test_a_change_of_what_has_changed_meanwhile_is_refused(
    users: Users, a_user: MakeUser, store: Store
) -> None:
    ann = a_user()
    users.set_role(ann.id, "viewer", CHORUS, if_version=1)
    for change in (
        lambda: users.set_role(ann.id, "admin", CHORUS, if_version=1),
        lambda: users.enable(ann.id, CHORUS, is_enabled=False, if_version=1),
        lambda: users.set_password(ann.id, OTHER, CHORUS, if_version=1),
    ):
        with pytest.raises(ConflictError, match="has version 2 by now, not 1; read it again"):
            change()
    assert users.get(ann.id, CHORUS).version == 2
    assert len(audit(store)) == 2


def test_the_last_admin_who_is_let_in_stays_one(users: Users, a_user: MakeUser) -> None:
    ann, bob = a_user("ann", "admin"), a_user("bob", "admin")
    users.enable(bob.id, CHORUS, is_enabled=False)
    with pytest.raises(ConflictError, match="'ann': is the last admin who is let in"):
        users.enable(ann.id, CHORUS, is_enabled=False)
    with pytest.raises(ConflictError, match="make somebody else an admin first"):
        users.set_role(ann.id, "trader", CHORUS)
    assert users.set_role(ann.id, "admin", CHORUS) == ann
    users.set_role(bob.id, "viewer", CHORUS)
    users.set_role(bob.id, "admin", CHORUS)
    users.enable(bob.id, CHORUS, is_enabled=True)
    assert users.set_role(ann.id, "trader", CHORUS).role == "trader"


def test_of_two_who_each_take_the_other_admin_away_one_is_refused(
    users: Users, a_user: MakeUser
) -> None:
    both = [a_user("ann", "admin"), a_user("bob", "admin")]
    for _ in range(10):
        barrier = Barrier(2)

        def take_away(user: UserView, barrier: Barrier = barrier) -> bool:
            barrier.wait(60)
            try:
                users.enable(user.id, CHORUS, is_enabled=False)
            except ConflictError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(take_away, both)) == [False, True]
        for user in both:
            users.enable(user.id, CHORUS, is_enabled=True)


def test_who_has_no_password_does_not_get_in_with_one(users: Users, a_user: MakeUser) -> None:
    a_user(password=None)
    for password in ("", PASSWORD, "None"):
        with pytest.raises(AuthenticationError):
            users.authenticate("ann", password)


def test_a_password_is_the_same_however_its_letters_are_made(
    users: Users, a_user: MakeUser
) -> None:
    ann = a_user("ann", "trader", "fünf süße Äpfel")
    assert users.authenticate("ann", "fu\u0308nf su\u0308ße A\u0308pfel") == caller(ann)


def test_a_hash_of_older_parameters_is_made_anew_when_its_user_signs_in(
    users: Users, a_user: MakeUser, store: Store, clock: Clock
) -> None:
    def stored() -> str | None:
        with store.read() as session:
            return session.get_one(User, ann.id).password_hash

    ann, before = a_user(), None
    before = stored()
    later = Users(store, clock, SECRET, hasher=Hasher(fast(time_cost=2)))
    with pytest.raises(AuthenticationError):
        later.authenticate("ann", OTHER)
    assert stored() == before
    later.authenticate("ann", PASSWORD)
    after = stored()
    assert after is not None
    assert "t=2" in after
    assert audit(store)[-1] == (
        None, "update", "users", ann.id, {"password_hash": "new parameters"},
    )  # fmt: skip
    later.authenticate("ann", PASSWORD)
    assert stored() == after
    assert users.get(ann.id, CHORUS).version == ann.version


class Meanwhile(Hasher):
    """Does something while a secret is verified."""

    def __init__(self, deed: Callable[[], object]) -> None:
        super().__init__(fast())
        self.deed = deed

    def verify(self, hashed: str | None, secret: str) -> bool:
        is_right = super().verify(hashed, secret)
        self.deed()
        return is_right


def test_who_is_disabled_while_the_password_is_verified_is_not_let_in(
    users: Users, a_user: MakeUser, store: Store, clock: Clock
) -> None:
    ann = a_user()
    for deed in (
        lambda: users.set_password(ann.id, OTHER, CHORUS),
        lambda: users.enable(ann.id, CHORUS, is_enabled=False),
    ):
        slow = Users(store, clock, SECRET, hasher=Meanwhile(deed))
        with pytest.raises(AuthenticationError):
            slow.authenticate("ann", PASSWORD)


def test_a_password_that_was_changed_meanwhile_is_the_present_one_no_more(
    users: Users, a_user: MakeUser, store: Store, clock: Clock
) -> None:
    ann = a_user()
    deed = Meanwhile(lambda: users.set_password(ann.id, "an admin set it", CHORUS))
    slow = Users(store, clock, SECRET, hasher=deed)
    with pytest.raises(ForbiddenError, match="has to say the present one"):
        slow.set_password(ann.id, OTHER, caller(ann), present=PASSWORD)
    assert users.authenticate("ann", "an admin set it") == caller(ann)


def test_a_password_changed_while_it_is_hashed_anew_stays_changed(
    users: Users, a_user: MakeUser, store: Store, clock: Clock
) -> None:
    class Late(Hasher):
        is_ready = False

        def hash(self, secret: str) -> str:
            if self.is_ready:
                users.set_password(ann.id, OTHER, CHORUS)
            return super().hash(secret)

    ann = a_user()
    hasher = Late(fast(time_cost=2))
    hasher.is_ready = True
    Users(store, clock, SECRET, hasher=hasher).authenticate("ann", PASSWORD)
    assert users.authenticate("ann", OTHER) == caller(ann)
    with pytest.raises(AuthenticationError):
        users.authenticate("ann", PASSWORD)


def test_a_wrong_name_takes_the_same_work_as_a_wrong_password(
    store: Store, clock: Clock, a_user: MakeUser
) -> None:
    class Counting(Hasher):
        checked: list[str]

        def verify(self, hashed: str | None, secret: str) -> bool:
            self.checked.append(secret)
            return super().verify(hashed, secret)

    a_user()
    a_user("bob", password=None)
    hasher = Counting(fast())
    hasher.checked = []
    users = Users(store, clock, SECRET, hasher=hasher)
    for name in ("ann", "bob", "nobody", "not a name"):
        with pytest.raises(AuthenticationError):
            users.authenticate(name, OTHER)
    assert hasher.checked == [OTHER] * 4
