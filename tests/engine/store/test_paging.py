"""Pages together are the list, whatever it is sorted by and whatever comes and goes meanwhile."""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import select

from engine.errors import ConfigError
from engine.store import AuditEntry, Store, User
from engine.store.paging import MAX_LIMIT, Order, Plain, take_page

ORDERS = {
    "oldest": [Order(User.created_ms), Order(User.id)],
    "newest": [Order(User.created_ms, is_descending=True), Order(User.id, is_descending=True)],
    "mixed": [Order(User.role), Order(User.created_ms, is_descending=True), Order(User.id)],
}
KEYS: dict[str, Callable[[User], tuple[object, ...]]] = {
    "oldest": lambda u: (u.created_ms, u.id),
    "newest": lambda u: (-u.created_ms, [-ord(c) for c in u.id]),
    "mixed": lambda u: (u.role, -u.created_ms, u.id),
}
ROLES = ("admin", "trader", "viewer")


@pytest.fixture
def users(store: Store) -> list[User]:
    made = [
        User(id=f"u{n:03d}", name=f"n{n}", role=ROLES[n % 3], created_ms=n * 7 % 5)
        for n in range(25)
    ]
    with store.write() as session:
        session.add_all(made)
    return made


def pages(store: Store, order: str, limit: int, between: Callable[[int], None]) -> list[User]:
    found: list[User] = []
    after, number = None, 0
    while True:
        with store.read() as session:
            page = take_page(session, select(User), ORDERS[order], after=after, limit=limit)
        found += page.items
        assert len(page.items) <= limit
        if page.next is None:
            return found
        assert len(page.items) == limit
        after, number = page.next, number + 1
        between(number)


@pytest.mark.parametrize("order", ORDERS)
def test_plain_rows_are_the_same(store: Store, users: list[User], order: str) -> None:
    wanted = select(User).where(User.role == "viewer")
    found = []
    for plain in (None, Plain()):
        with store.read() as session:
            page = take_page(session, wanted, ORDERS[order], after=None, limit=5, plain=plain)
        names = User.__table__.c.keys()
        found.append(([[getattr(row, n) for n in names] for row in page.items], page.next))
    assert found[0] == found[1]
    assert found[0][1] is not None


def test_documents_come_as_the_text_of_what_they_are(store: Store) -> None:
    change = {"ä": [1, 0.1, 2.5e-7, True, None, {"b": "'\"\n\u2028"}], "a": {}}
    entry = AuditEntry(at_ms=1, action="update", kind="x", object_id="1", change=change)
    with store.write() as session:
        session.add(entry)
    plain, order = Plain(as_text=(AuditEntry.change,)), [Order(AuditEntry.id)]
    with store.read() as session:
        page = take_page(session, select(AuditEntry), order, after=None, limit=5, plain=plain)
    sent = msgspec.json.encode(msgspec.Raw(str(page.items[0].change)))
    assert msgspec.json.decode(sent) == change


@pytest.mark.parametrize("limit", [1, 4, 5, 24, 25, 26, MAX_LIMIT])
@pytest.mark.parametrize("order", ORDERS)
def test_pages_together_are_the_sorted_list(
    store: Store, users: list[User], order: str, limit: int
) -> None:
    found = pages(store, order, limit, lambda _: None)
    assert [u.id for u in found] == [u.id for u in sorted(users, key=KEYS[order])]


def test_what_comes_and_goes_meanwhile_moves_nobody_else(store: Store, users: list[User]) -> None:
    def change(number: int) -> None:
        with store.write() as session:
            session.add(User(id=f"a{number}", name=f"a{number}", role="viewer", created_ms=0))
            session.delete(session.get_one(User, f"u{number:03d}"))

    found = [u.id for u in pages(store, "oldest", 5, change)]
    assert len(found) == len(set(found))
    untouched = {u.id for u in users} - {f"u{n:03d}" for n in range(1, 10)}
    assert untouched <= set(found)


def test_what_no_page_has_said_is_refused(store: Store, users: list[User]) -> None:
    with store.read() as session:
        page = take_page(session, select(User), ORDERS["oldest"], after=None, limit=3)
        assert page.next is not None
        huge = [["created_ms", "id"], [2**63, "a"]]
        cursor = base64.urlsafe_b64encode(msgspec.json.encode(huge)).decode()
        with pytest.raises(ConfigError, match="sorted otherwise"):
            take_page(session, select(User), ORDERS["oldest"], after=cursor, limit=3)
        for bad in ("", "x", "é", "A" * 5000, page.next[:-3], "eyJhIjogMX0", "W1tdLFtdXQ"):
            with pytest.raises(ConfigError, match=r"^after: "):
                take_page(session, select(User), ORDERS["oldest"], after=bad, limit=3)
        with pytest.raises(ConfigError, match="sorted otherwise"):
            take_page(session, select(User), ORDERS["mixed"], after=page.next, limit=3)
        for limit in (0, -1, MAX_LIMIT + 1):
            with pytest.raises(ConfigError, match=f"limit: must be from 1 to {MAX_LIMIT}"):
                take_page(session, select(User), ORDERS["oldest"], after=None, limit=limit)
