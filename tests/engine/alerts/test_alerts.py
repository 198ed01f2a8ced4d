"""Alerts are raised once, seen by those they concern, and acknowledged once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from sqlalchemy import select

from engine.access import Caller
from engine.alerts import Alerts
from engine.errors import ConfigError, ConstraintError, ForbiddenError, NotFoundError
from engine.events import Interest, MemoryEventLog
from engine.store import Alert, AuditEntry, Store, User

ANN, BOB = Caller("u-ann", "trader"), Caller("u-bob", "trader")
EVE, ADMIN = Caller("u-eve", "viewer"), Caller("u-admin", "admin")


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog(now_ms=lambda: 5)


@pytest.fixture
def alerts(store: Store, log: MemoryEventLog) -> Iterator[Alerts]:
    ticks = count(1_000)
    with store.write() as session:
        for caller in (ANN, BOB, EVE, ADMIN):
            user_id = str(caller.user_id)
            session.add(User(id=user_id, name=user_id, role=caller.role, created_ms=0))
    return Alerts(store, log, lambda: next(ticks))


def raised(alerts: Alerts, title: str = "lost", **changes: str) -> Alert:
    return alerts.raise_alert("error", title, "look", **{"owner_id": "u-ann", **changes})


def seen(log: MemoryEventLog, caller: Caller) -> list[tuple[str, int]]:
    interest = Interest(caller=caller, topics=frozenset({"alerts"}))
    events = [event for event in log.read(None, 100) if interest.covers(event)]
    return [(event.data["what"], event.data["id"]) for event in events]


def test_the_same_alert_is_raised_again_only_when_it_was_acknowledged(
    alerts: Alerts, log: MemoryEventLog
) -> None:
    first = raised(alerts)
    assert raised(alerts).id == first.id
    assert alerts.raise_alert("error", "lost", "other text", owner_id="u-ann").id == first.id
    others = {
        raised(alerts, "found").id,
        raised(alerts, owner_id="u-bob").id,
        alerts.raise_alert("info", "lost", "look", owner_id="u-ann").id,
    }
    assert len(others | {first.id}) == 4
    alerts.acknowledge(first.id, ANN)
    again = raised(alerts)
    assert again.id > first.id
    assert seen(log, ANN).count(("raised", first.id)) == 1
    assert ("raised", again.id) in seen(log, ANN)


def test_of_many_who_raise_the_same_at_once_one_is_on_record(
    alerts: Alerts, store: Store, log: MemoryEventLog
) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: raised(alerts).id, range(16)))
    assert len(found) == 1
    with store.read() as session:
        assert len(session.scalars(select(Alert)).all()) == 1
    assert len(seen(log, ANN)) == 1


def test_alerts_are_seen_by_their_owner_and_by_admins(alerts: Alerts, log: MemoryEventLog) -> None:
    own = raised(alerts).id
    engine = alerts.raise_alert("warning", "the disk is nearly full", "").id
    for caller, numbers in ((ANN, [own]), (BOB, []), (EVE, []), (ADMIN, [engine, own])):
        assert [row.id for row in alerts.page(caller).items] == numbers
        assert sorted(number for _, number in seen(log, caller)) == sorted(numbers)
    for caller, number in ((BOB, own), (ANN, engine), (EVE, own)):
        with pytest.raises(NotFoundError, match=f"alert {number}: there is none"):
            alerts.get(number, caller)
        with pytest.raises(NotFoundError):
            alerts.acknowledge(number, caller)
    assert alerts.get(engine, ADMIN).id == engine


def test_acknowledging_is_on_record_with_who_did(
    alerts: Alerts, store: Store, log: MemoryEventLog
) -> None:
    number = raised(alerts).id
    done = alerts.acknowledge(number, ADMIN)
    assert (done.acknowledged_by, done.open_key) == ("u-admin", None)
    assert alerts.acknowledge(number, ANN).acknowledged_by == "u-admin"
    assert seen(log, ANN) == [("raised", number), ("acknowledged", number)]
    with store.read() as session:
        [entry] = session.scalars(select(AuditEntry)).all()
    assert (entry.user_id, entry.action, entry.kind) == ("u-admin", "acknowledge", "alerts")
    assert entry.object_id == str(number)


def test_a_viewer_only_looks(alerts: Alerts) -> None:
    number = raised(alerts, owner_id="u-eve").id
    with pytest.raises(ForbiddenError, match="to acknowledge an alert"):
        alerts.acknowledge(number, EVE)
    assert alerts.get(number, EVE).acknowledged_ms is None


def test_alerts_are_narrowed_and_sorted(alerts: Alerts) -> None:
    numbers = [raised(alerts, f"t{n}").id for n in range(4)]
    alerts.acknowledge(numbers[1], ANN)
    at = alerts.get(numbers[2], ANN).at_ms
    assert [row.id for row in alerts.page(ANN, is_open=False).items] == [numbers[1]]
    assert len(alerts.page(ANN, is_open=True).items) == 3
    assert [row.id for row in alerts.page(ANN, sort="at", since_ms=at).items] == numbers[2:]
    assert [row.id for row in alerts.page(ANN, sort="at", until_ms=at).items] == numbers[:2]
    assert alerts.page(ANN, level="info").items == []
    assert alerts.page(ANN, strategy="x").items == []
    first = alerts.page(ANN, limit=3)
    assert [row.id for row in alerts.page(ANN, after=first.next).items] == numbers[:1]


def test_what_cannot_be_kept_is_an_error(alerts: Alerts, log: MemoryEventLog) -> None:
    with pytest.raises(ConfigError, match="level must be one of info, warning, error, got 'bad'"):
        alerts.raise_alert("bad", "t", "")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ConstraintError):
        raised(alerts, owner_id="nobody")
    assert log.read(None, 10) == []
