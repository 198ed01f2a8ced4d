"""Lines of strategies: kept, bounded, published to whose they are, and shown to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from engine.access import Caller
from engine.deployments import NewStrategy
from engine.deployments.ownership import Ownership
from engine.errors import ConfigError, NotFoundError, StoreError
from engine.events import MemoryEventLog
from engine.logs import Line, StrategyLogs
from engine.recording.retention import DAY_MS, Retention
from engine.store import Store
from tests.engine.deployments.conftest import ADMIN, ANN, BOB, furnished
from tests.stores import an_empty_store

EMA = {"symbol": "BTC/USDT", "timeframe": "15m"}


class Scene:
    """Logs with room for ten lines per strategy, of which ann has one and bob another."""

    def __init__(self, store: Store) -> None:
        desk = furnished(store)
        for name, caller in (("a", ANN), ("b", BOB)):
            account = f"a-{str(caller.user_id)[2:]}"
            new = NewStrategy(id=name, definition="builtin-ema_cross", account=account, config=EMA)
            desk.strategies.create(new, caller)
        ticks = count(1_000_000)
        self.store = store
        self.events = MemoryEventLog(now_ms=lambda: 1)
        self.logs = StrategyLogs(
            store, self.events, Ownership(store).of, lambda: next(ticks), keep_lines=10
        )

    def texts(self, strategy: str, caller: Caller = ADMIN, **wanted: object) -> list[str]:
        page = self.logs.page(strategy, caller, limit=1000, **wanted)  # type: ignore[arg-type]  # as `page` takes
        return [line.text for line in page.items]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with an_empty_store(tmp_path / "chorus.db") as store:
        yield Scene(store)


def test_lines_are_read_newest_first_and_page_by_page(scene: Scene) -> None:
    for number in range(5):
        scene.logs.say("a", "info", f"line {number}")
    assert scene.logs.write() == 5
    assert scene.texts("a") == [f"line {n}" for n in (4, 3, 2, 1, 0)]
    first = scene.logs.page("a", ANN, limit=2)
    rest = scene.logs.page("a", ANN, limit=9, after=first.next)
    assert [line.text for line in rest.items] == ["line 2", "line 1", "line 0"]
    assert scene.texts("a", is_reversed=True)[0] == "line 0"


def test_a_level_shows_what_is_worse_too(scene: Scene) -> None:
    for level in ("debug", "info", "warning", "error"):
        scene.logs.say("a", level, level)
    scene.logs.say("a", "error", "stopped", source="operator")
    scene.logs.write()
    assert scene.texts("a", level="warning", is_reversed=True) == ["warning", "error", "stopped"]
    assert scene.texts("a", source="operator") == ["stopped"]
    with pytest.raises(ConfigError, match="level: must be one of debug"):
        scene.texts("a", level="loud")


def test_nobody_else_reads_them(scene: Scene) -> None:
    scene.logs.say("a", "info", "mine")
    scene.logs.write()
    assert scene.texts("a", ANN) == scene.texts("a", ADMIN) == ["mine"]
    for name, caller in (("a", BOB), ("nothing", ADMIN)):
        with pytest.raises(NotFoundError):
            scene.texts(name, caller)


def test_each_is_published_to_its_owner_once_it_is_on_record(scene: Scene) -> None:
    line = Line(strategy_id="a", level="info", source="strategy", text="hello", candle_ms=60_000)
    scene.logs.add(line)
    scene.logs.say("nobodys", "info", "x")
    assert scene.events.read(None, 10) == []
    scene.logs.write()
    (event,) = scene.events.read(None, 10)
    assert (event.topic, event.strategy_id, event.owner_id) == ("logs", "a", ANN.user_id)
    assert event.data == {
        "id": 1, "at": "1970-01-01T00:16:40.000Z", "level": "info", "source": "strategy",
        "text": "hello", "candle": "1970-01-01T00:01:00.000Z",
    }  # fmt: skip


def test_the_oldest_lines_of_a_strategy_go_and_no_others(scene: Scene) -> None:
    scene.logs.say("b", "info", "stays")
    for number in range(35):
        scene.logs.say("a", "info", str(number))
        scene.logs.write()
    assert scene.texts("b") == ["stays"]
    kept = scene.texts("a")
    assert kept[0] == "34"
    assert 10 <= len(kept) < 20
    assert kept == [str(n) for n in range(34, 34 - len(kept), -1)]


def test_lines_wait_for_a_store_that_is_away_and_keep_their_order(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.logs.say("a", "info", "one")
    with monkeypatch.context() as patch:
        patch.setattr(scene.store, "write", _away)
        with pytest.raises(StoreError):
            scene.logs.write()
    scene.logs.say("a", "info", "two")
    assert scene.logs.write() == 2
    assert scene.texts("a", is_reversed=True) == ["one", "two"]


def _away() -> None:
    raise StoreError("away")


def test_what_finds_no_room_is_counted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.logs.logs._MOST_WAITING", 3)
    for number in range(5):
        scene.logs.say("a", "info", str(number))
    scene.logs.write()
    assert (scene.logs.lost, scene.texts("a", is_reversed=True)) == (2, ["2", "3", "4"])


def test_no_secret_and_nothing_endless_is_kept(scene: Scene) -> None:
    scene.logs.say("a", "error", "cannot reach redis://:hunter2@cache/0 \0\ud800 " + "x" * 20_000)
    scene.logs.write()
    (text,) = scene.texts("a")
    assert text.startswith("cannot reach redis://:***@cache/0 �? xxx")
    assert len(text) < 9_000


def test_old_lines_go_after_a_week(scene: Scene) -> None:
    scene.logs.say("a", "info", "old")
    scene.logs.write()
    assert Retention(scene.store, lambda: 6 * DAY_MS).purge()["strategy_logs"] == 0
    assert Retention(scene.store, lambda: 8 * DAY_MS).purge()["strategy_logs"] == 1
    assert scene.texts("a") == []
