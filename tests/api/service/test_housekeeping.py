"""What is kept for some time only goes by itself, and nobody waits for that at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from actors.members import Member
from actors.memory import ManagerMemory
from api.service.housekeeping import Housekeeping
from api.service.kept_code import KeptCode
from api.service.plan import Keep
from engine.config import StrategyConfig
from engine.recording.retention import DAY_MS
from engine.store import Account, Alert, AuditEntry, LogLine, Store, Strategy, User
from engine.store.base import Base
from tests.engine.deployments.conftest import CATALOG
from tests.stores import an_empty_store

EMA = {"type": "EMA_CROSS", "symbol": "BTC/USDT", "timeframe": "1m"}
USUAL = Keep()
FOR_GOOD = Keep(audit_days=0, alert_days=0, code_days=0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with an_empty_store(tmp_path / "chorus.db") as opened:
        yield opened


def keeper(store: Store, folder: Path, days: float, keep: Keep = USUAL) -> Housekeeping:
    """Return one that works so many days after what the tests put there."""
    code = KeptCode(folder / "code")
    return Housekeeping(store, lambda: int(days * DAY_MS), keep, code, run=folder / "run")


def fill(store: Store, lines: int) -> None:
    with store.write() as session:
        session.add_all(
            LogLine(strategy_id="a", at_ms=0, level="info", source="engine", text=str(n))
            for n in range(lines)
        )


def left(store: Store, table: type[Base] = LogLine) -> int:
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_what_is_too_old_is_deleted(store: Store, tmp_path: Path) -> None:
    fill(store, 3)
    assert keeper(store, tmp_path, 6).look() > 60
    assert left(store) == 3
    keeper(store, tmp_path, 8).look()
    assert left(store) == 0


def test_closing_ends_it_in_the_middle(store: Store, tmp_path: Path) -> None:
    fill(store, 1_200)
    stopped = keeper(store, tmp_path, 8)
    stopped.close()
    assert stopped.look() == 0
    assert left(store) == 700
    keeper(store, tmp_path, 8).look()
    assert left(store) == 0


def changed(store: Store, times: int) -> None:
    fields = {"user_id": None, "action": "update", "kind": "settings", "object_id": "a"}
    with store.write() as session:
        session.add_all(AuditEntry(at_ms=0, change={}, **fields) for _ in range(times))


def test_the_audit_log_goes_after_a_year_unless_it_is_kept_for_good(
    store: Store, tmp_path: Path
) -> None:
    changed(store, 1_001)
    keeper(store, tmp_path, 365).look()
    keeper(store, tmp_path, 10_000, FOR_GOOD).look()
    assert left(store, AuditEntry) == 1_001
    keeper(store, tmp_path, 365.01).look()
    assert left(store, AuditEntry) == 0


def test_alerts_go_once_they_are_acknowledged(store: Store, tmp_path: Path) -> None:
    with store.write() as session:
        for number, acknowledged in enumerate((None, 0, 5 * DAY_MS)):
            alert = Alert(at_ms=0, level="info", title=str(number), text="")
            alert.acknowledged_ms = acknowledged
            session.add(alert)

    def titles() -> list[str]:
        with store.read() as session:
            return list(session.scalars(select(Alert.title).order_by(Alert.id)))

    keeper(store, tmp_path, 90).look()
    keeper(store, tmp_path, 10_000, FOR_GOOD).look()
    assert titles() == ["0", "1", "2"]
    keeper(store, tmp_path, 90.01).look()
    assert titles() == ["0", "2"]
    keeper(store, tmp_path, 4, Keep(alert_days=1)).look()
    keeper(store, tmp_path, 6.01, Keep(alert_days=1)).look()
    assert titles() == ["0"]


class Shelf:
    """A data folder with kept code, and a run that was started from some of it."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.started: dict[str, Member] = {}
        (folder / "code").mkdir()
        (folder / "run").mkdir()

    def put(self, *names: str) -> None:
        """Keep files, at the time 0."""
        for name in names:
            file = self.folder / "code" / name
            file.write_text("")
            os.utime(file, (0, 0))

    def start(self, strategy: str, file: str, **row: object) -> None:
        """Put a strategy on record, and have the manager remember where it was started from."""
        config = StrategyConfig.model_validate({"id": strategy, **EMA})
        self.started[strategy] = Member(config, str(self.folder / "code" / file), "pooled")
        ManagerMemory(self.folder / "run", sync=False).store(self.started)
        fields = {"desired": "running", "owner_id": "u-ann", "account_id": "a", **row}
        moments = {"created_ms": 0, "updated_ms": 0}
        with self.store.write() as session:
            session.add(Strategy(id=strategy, given={}, config={}, **fields, **moments))

    def names(self) -> list[str]:
        return sorted(file.name for file in (self.folder / "code").iterdir())


@pytest.fixture
def shelf(store: Store, tmp_path: Path) -> Shelf:
    with store.write() as session:
        session.add(User(id="u-ann", name="ann", role="trader", created_ms=0))
        session.flush()
        session.add(
            Account(
                id="a",
                owner_id="u-ann",
                name="a",
                venue="paper",
                balances={},
                limits={},
                created_ms=0,
            )
        )
    return Shelf(store, tmp_path)


def test_code_no_strategy_is_started_from_goes(store: Store, shelf: Shelf) -> None:
    shelf.put("old-1.py", "used-1.py", "stopped-1.py", "deleted-1.py")
    shelf.start("one", "used-1.py")
    shelf.start("two", "stopped-1.py", desired="stopped")
    shelf.start("three", "deleted-1.py", deleted_ms=0)
    keeper(store, shelf.folder, 29.9).look()
    keeper(store, shelf.folder, 10_000, FOR_GOOD).look()
    assert len(shelf.names()) == 4
    keeper(store, shelf.folder, 31).look()
    assert shelf.names() == ["stopped-1.py", "used-1.py"]


def test_code_is_needed_wherever_the_run_was_moved_to(
    store: Store, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shelf.put("used-1.py")
    shelf.start("one", "used-1.py")
    shelf.folder = shelf.folder.rename(tmp_path_factory.mktemp("elsewhere") / "data")
    keeper(store, shelf.folder, 31).look()
    assert shelf.names() == ["used-1.py"]


def test_code_a_strategy_is_about_to_be_started_from_stays(store: Store, shelf: Shelf) -> None:
    kept = KeptCode(shelf.folder / "code").keep(CATALOG.types["EMA_CROSS"])
    os.utime(kept, (0, 0))
    assert KeptCode(shelf.folder / "code").keep(CATALOG.types["EMA_CROSS"]) == kept
    keeper(store, shelf.folder, 31).look()
    assert shelf.names() == [kept.name]


def test_a_run_without_strategies_or_code_is_no_trouble(store: Store, tmp_path: Path) -> None:
    assert keeper(store, tmp_path, 31).look() > 60
