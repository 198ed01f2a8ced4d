"""The observer says what is wrong, and when it has been wrong for long enough."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.services import ServiceAwayError
from api.server.system import Recorded, SystemStatus
from api.service.observing import Observer
from engine.errors import StoreError
from engine.events import MemoryEventLog
from engine.recording import RecordingStatus
from engine.status import EngineHealth
from engine.store import Store
from tests.stores import an_empty_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with an_empty_store(tmp_path / "chorus.db") as opened:
        yield opened


class Scene:
    """An observer, what it sees, and its clock."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.now_s = 100.0
        self.engine: EngineHealth | Exception = EngineHealth([], published=4, decided=4)
        self.recording = RecordingStatus()
        self.executions = RecordingStatus(recorded=1, total=4)
        self.seen: list[SystemStatus] = []
        self.observer = Observer(
            store,
            MemoryEventLog(now_ms=lambda: 0),
            self._health,
            recording=lambda: self.recording,
            executions=lambda: self.executions,
            recorded=Recorded,
            folder=folder,
            now_ms=lambda: 1,
            monotonic=lambda: self.now_s,
            on_look=self.seen.append,
        )

    def _health(self) -> EngineHealth:
        if isinstance(self.engine, Exception):
            raise self.engine
        return self.engine

    def wrong(self) -> dict[str, str]:
        return {each.name: each.problem for each in self.observer.checks() if each.problem}


@pytest.fixture
def scene(store: Store, tmp_path: Path) -> Scene:
    return Scene(store, tmp_path)


def test_nothing_is_ready_before_the_first_look(scene: Scene) -> None:
    assert set(scene.wrong()) == {"engine", "feed"}
    scene.observer.look()
    assert scene.wrong() == {}


def test_an_engine_may_miss_a_look_but_not_several(scene: Scene) -> None:
    scene.observer.look()
    scene.engine = ServiceAwayError("strategy manager: away")
    scene.now_s += 10
    scene.observer.look()
    assert scene.wrong() == {}
    scene.now_s += 25
    assert scene.wrong() == {"engine": "strategy manager: away"}
    scene.engine = EngineHealth([], published=5, decided=5)
    scene.observer.look()
    assert scene.wrong() == {}


def test_an_observer_that_hangs_is_noticed_too(scene: Scene) -> None:
    scene.observer.look()
    scene.now_s += 60
    assert scene.wrong() == {"engine": "has not been heard of for 60 s"}


def test_a_failed_engine_an_ended_feed_and_stuck_recording_are_named(scene: Scene) -> None:
    scene.engine = EngineHealth([], published=4, decided=4, is_feed_over=True, failure="no disk")
    scene.recording = RecordingStatus(error="locked")
    scene.observer.look()
    assert scene.wrong() == {
        "engine": "no disk",
        "feed": "has come to its end",
        "recording": "locked",
    }


def test_a_store_that_is_away_is_named(
    scene: Scene, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.observer.look()
    with monkeypatch.context() as patch:
        patch.setattr(store, "read", _away)
        assert scene.wrong() == {"store": "away"}
    assert scene.wrong() == {}


def _away() -> None:
    raise StoreError("away")


def test_what_this_process_and_its_children_use_is_measured(scene: Scene) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        scene.observer.look()
        child.communicate(b"\n")
    (status,) = scene.seen
    assert status.executions.lag == 3
    assert status.service.processes == 1
    assert status.service.memory_bytes > 10_000_000
    assert status.service.cpu_s > 0
    assert status.children.processes >= 1
    assert status.children.memory_bytes > 1_000_000
    assert status.free_bytes > 0
