"""What is kept for some time only goes by itself, and nobody waits for that at the end."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from api.service.housekeeping import Housekeeping
from engine.recording.retention import DAY_MS
from engine.store import LogLine, Store
from tests.stores import an_empty_store


def fill(store: Store, lines: int) -> None:
    with store.write() as session:
        session.add_all(
            LogLine(strategy_id="a", at_ms=0, level="info", source="engine", text=str(n))
            for n in range(lines)
        )


def left(store: Store) -> int:
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(LogLine)) or 0


def test_what_is_too_old_is_deleted(tmp_path: Path) -> None:
    with an_empty_store(tmp_path / "chorus.db") as store:
        fill(store, 3)
        assert Housekeeping(store, lambda: 6 * DAY_MS).look() > 60
        assert left(store) == 3
        Housekeeping(store, lambda: 8 * DAY_MS).look()
        assert left(store) == 0


def test_closing_ends_it_in_the_middle(tmp_path: Path) -> None:
    with an_empty_store(tmp_path / "chorus.db") as store:
        fill(store, 1_200)
        keeper = Housekeeping(store, lambda: 8 * DAY_MS)
        keeper.close()
        assert keeper.look() == 0
        assert left(store) == 700
        Housekeeping(store, lambda: 8 * DAY_MS).look()
        assert left(store) == 0
