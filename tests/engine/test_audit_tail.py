"""What is committed comes out of the audit log once, in whichever order it is committed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy.orm import Session

from engine import audit_tail
from engine.access import CHORUS, Caller
from engine.audit import record
from engine.audit_tail import AuditTail
from engine.store import Setting, Store, User

# SQLite has one writer at a time: there commits come in the order of writing.
several_writers = pytest.mark.parametrize(
    "kind", [pytest.param("postgresql", marks=pytest.mark.slow)]
)


@contextmanager
def changing(store: Store, key: str, caller: Caller = CHORUS) -> Iterator[Session]:
    """Write down a change; it is committed at the end."""
    with store.write() as session:
        record(session, caller, "update", Setting(key=key), change={}, at_ms=1)
        session.flush()
        yield session


def change(store: Store, *keys: str) -> None:
    for key in keys:
        with changing(store, key):
            pass


def taken(tail: AuditTail) -> list[str]:
    return [entry.object_id for entry, _ in tail.take()]


def test_what_comes_is_told_once_and_what_was_there_before_is_not(store: Store) -> None:
    change(store, "before")
    tail = AuditTail(store, "settings")
    assert taken(tail) == []
    change(store, "a", "b")
    assert taken(tail) == ["a", "b"]
    change(store, "c")
    assert taken(tail) == ["c"]
    assert taken(tail) == []


def test_only_changes_of_one_kind_are_told_with_whoever_made_them(store: Store) -> None:
    with store.write() as session:
        ann = User(id="u-ann", name="ann", role="trader", created_ms=0)
        session.add(ann)
        session.flush()
        record(session, CHORUS, "create", ann, change={}, at_ms=1)
    settings, users = AuditTail(store, "settings"), AuditTail(store, "users")
    with changing(store, "a", Caller("u-ann", "trader")):
        pass
    change(store, "b")
    assert [(told.entry.object_id, told.name) for told in settings.take()] == [
        ("a", "ann"),
        ("b", None),
    ]
    assert users.take() == []


def test_more_than_is_read_at_once_comes_at_the_next_calls(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_tail, "_AT_ONCE", 2)
    tail = AuditTail(store, "settings")
    change(store, *"abcde")
    assert [taken(tail) for _ in range(4)] == [["a", "b"], ["c", "d"], ["e"], []]


@several_writers
def test_what_is_committed_after_what_was_written_later_is_told(store: Store) -> None:
    tail = AuditTail(store, "settings")
    with ExitStack() as last, ExitStack() as first:
        last.enter_context(changing(store, "a"))
        first.enter_context(changing(store, "b"))
        change(store, "c")
        assert taken(tail) == ["c"]
        first.close()
        assert taken(tail) == ["b"]
        change(store, "d")
        assert taken(tail) == ["d"]
    assert taken(tail) == ["a"]
    assert taken(tail) == []


@several_writers
def test_what_was_rolled_back_is_not_waited_for_forever(store: Store) -> None:
    now = 0.0
    tail = AuditTail(store, "settings", lambda: now)
    with pytest.raises(KeyError), changing(store, "never"):
        raise KeyError
    change(store, "a")
    assert taken(tail) == ["a"]
    assert len(tail._missing) == 1
    now = 61.0
    assert taken(tail) == []
    assert tail._missing == {}


@several_writers
def test_numbers_that_are_waited_for_are_bounded(store: Store) -> None:
    tail = AuditTail(store, "settings")
    for _ in range(2):
        with store.write() as session:
            leap = "SELECT setval('audit_log_id_seq', nextval('audit_log_id_seq') + 100000000)"
            session.connection().exec_driver_sql(leap)
        change(store, "a")
        assert taken(tail) == ["a"]
    assert len(tail._missing) <= audit_tail._MOST_MISSING
