"""Settings are changed by admins, bound to a version, and every change is on record."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from sqlalchemy import select

from engine.access import CHORUS, Caller
from engine.audit import AuditLog
from engine.errors import ConfigError, ForbiddenError, NotFoundError, StaleError
from engine.settings import Settings
from engine.store import AuditEntry, Store, User

ROOT = Caller("root", "admin")


@pytest.fixture
def settings(store: Store) -> Settings:
    with store.write() as session:
        session.add(User(id="root", name="root", role="admin", created_ms=0))
    return Settings(store, count(1_700_000_000_000).__next__)


@pytest.mark.parametrize("value", [None, 0, 1.5, "a", [], {"a": [1, {"b": None}]}, True])
def test_a_setting_is_any_json(settings: Settings, value: Any) -> None:
    made = settings.put("retention.signals_days", value, ROOT)
    assert (made.value, made.version, made.updated_by) == (value, 1, "root")
    assert settings.get("retention.signals_days", ROOT) == made


def test_a_change_is_bound_to_a_version_and_on_record(settings: Settings, store: Store) -> None:
    settings.put("a", 1, ROOT)
    assert settings.put("a", 2, CHORUS, if_version=1).version == 2
    with pytest.raises(StaleError, match="setting 'a': has version 2 by now, not 1"):
        settings.put("a", 3, ROOT, if_version=1)
    with pytest.raises(StaleError, match="setting 'b': there is none"):
        settings.put("b", 3, ROOT, if_version=1)
    with store.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(e.user_id, e.action, e.kind, e.object_id, e.change) for e in entries] == [
        ("root", "create", "settings", "a", {"value": [None, 1]}),
        (None, "update", "settings", "a", {"value": [1, 2]}),
    ]


def test_settings_are_listed_by_name(settings: Settings) -> None:
    for key in "cab":
        settings.put(key, key, ROOT)
    first = settings.page(ROOT, limit=2)
    rest = settings.page(ROOT, after=first.next)
    assert [s.key for s in first.items + rest.items] == ["a", "b", "c"]


def test_only_admins_see_and_change_settings(settings: Settings) -> None:
    settings.put("a", 1, ROOT)
    for role in ("viewer", "trader"):
        caller = Caller("ann", role)  # type: ignore[arg-type]  # one of the two
        for ask in (
            lambda c=caller: settings.page(c),
            lambda c=caller: settings.get("a", c),
            lambda c=caller: settings.put("a", 2, c),
        ):
            with pytest.raises(ForbiddenError, match="needs the role admin"):
                ask()
    assert settings.get("a", ROOT).value == 1


@pytest.mark.parametrize("key", ["", "A", "1a", "a b", "a\0", "x" * 65, "a/b", "a\n"])
def test_names_that_cannot_be_are_refused(settings: Settings, key: str) -> None:
    with pytest.raises(ConfigError, match=r"^key: needs 1 to 64"):
        settings.put(key, 1, ROOT)
    with pytest.raises(NotFoundError):
        settings.get(key, ROOT)


def test_values_have_bounds(settings: Settings) -> None:
    settings.put("a", "x" * 65_534, ROOT)
    with pytest.raises(ConfigError, match=r"^value: must be at most 65536 bytes"):
        settings.put("a", "x" * 65_535, ROOT)
    with pytest.raises(ConfigError, match=r"^value: .*NUL"):
        settings.put("a", ["\0"], ROOT)


def test_the_audit_log_is_read_by_admins_newest_first(settings: Settings, store: Store) -> None:
    log = AuditLog(store)
    for number in range(3):
        settings.put("a", number, ROOT)
        settings.put("b", number, CHORUS)
    first = log.page(ROOT, limit=4)
    rest = log.page(ROOT, after=first.next)
    ids = [entry.id for entry in first.items + rest.items]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 6
    assert log.page(ROOT, object_id="a").items[0].change == {"value": [1, 2]}
    assert len(log.page(ROOT, user_id="root", kind="settings").items) == 3
    assert log.page(ROOT, kind="users").items == []
    with pytest.raises(ForbiddenError, match="read the audit log"):
        log.page(Caller("ann", "trader"))


def test_what_chorus_notes_for_itself_is_changed_by_nobody_else(settings: Settings) -> None:
    settings.put("service.leader", {"term": 1}, CHORUS)
    with pytest.raises(ForbiddenError, match="is changed by Chorus only"):
        settings.put("service.leader", {"term": 9}, ROOT)
    assert settings.get("service.leader", ROOT).value == {"term": 1}
