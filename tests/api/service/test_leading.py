"""One of several services on a store leads; the others wait for it, and for nothing else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.service.leading import Leadership, leading, lock_of, record_of
from api.service.plan import ServicePlan
from engine.config import RunConfig
from engine.errors import ConfigError, ConflictError, StoppedError
from engine.locks import Claim, FileLock, LeaseLock, LockUnavailableError
from engine.settings import Settings
from engine.store import Store
from tests.stores import an_empty_store

LEASE_S = 1.0
A_RUN = RunConfig.model_construct(name="run")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with an_empty_store(tmp_path / "chorus.db") as opened:
        yield opened


@pytest.fixture
def settings(store: Store) -> Settings:
    return Settings(store, lambda: 7)


def lead(settings: Settings, folder: Path, **options: object):  # noqa: ANN201 - a context manager
    given = {
        "lease_s": LEASE_S,
        "stop": lambda: False,
        "say": lambda line: None,
        "on_lost": lambda: None,
        **options,
    }
    return leading(FileLock(folder / "leader"), settings, **given)  # type: ignore[arg-type]  # as named above


def test_whoever_leads_is_on_record_and_gives_it_back(settings: Settings, tmp_path: Path) -> None:
    with lead(settings, tmp_path) as first:
        first.claim("run1", tmp_path)
        record, _ = record_of(settings)
        assert record is not None
        assert (record.term, record.run, record.folder) == (1, "run1", str(tmp_path))
        assert not record.is_released
    record, _ = record_of(settings)
    assert record is not None
    assert record.is_released
    with lead(settings, tmp_path) as second:
        assert second.term == 2


def test_the_second_one_stands_by_until_the_first_has_gone(
    settings: Settings, tmp_path: Path
) -> None:
    said, stands_by, leads = [], threading.Event(), threading.Event()

    def say(line: str) -> None:
        said.append(line)
        stands_by.set()

    def wait() -> None:
        with lead(settings, tmp_path, say=say):
            leads.set()

    with lead(settings, tmp_path) as first:
        first.claim("run1", tmp_path)
        thread = threading.Thread(target=wait)
        thread.start()
        assert stands_by.wait(30.0)
        assert not leads.is_set()
    assert leads.wait(30.0)
    thread.join()
    assert len(said) == 1
    assert str(tmp_path) in said[0]


def test_who_stands_by_may_be_stopped(settings: Settings, tmp_path: Path) -> None:
    with (
        lead(settings, tmp_path),
        pytest.raises(StoppedError),
        lead(settings, tmp_path, stop=lambda: True),
    ):
        raise AssertionError


def test_a_folder_without_the_run_that_was_led_is_refused(
    settings: Settings, tmp_path: Path
) -> None:
    with lead(settings, tmp_path) as leadership:
        leadership.require_run(None, tmp_path)  # nobody has led so far
        leadership.claim("run1", tmp_path / "there")
        leadership.require_run("run1", tmp_path)
        for run, said in ((None, "holds no run"), ("run2", "holds another run")):
            with pytest.raises(ConfigError, match=rf"{said}.*there on .*--new-run"):
                leadership.require_run(run, tmp_path)


def test_who_was_granted_the_lock_twice_over_is_stopped_by_the_record(
    settings: Settings, tmp_path: Path
) -> None:
    locks = [FileLock(tmp_path / name) for name in "ab"]
    first, second = (Leadership(lock, settings, None) for lock in locks)
    first.claim("run1", tmp_path)
    with pytest.raises(ConflictError, match="leads by now"):
        second.claim("run1", tmp_path)


class HandedOver(FileLock):
    """A lock that its holder gives back between two looks of who stands by."""

    def __init__(self, file: Path, give_back: Callable[[], None]) -> None:
        super().__init__(file)
        self._give_back = give_back
        self.tries = 0

    def take(self, last: Claim) -> bool:
        self.tries += 1
        if self.tries == 1:
            self._give_back()
        return super().take(last)


def test_who_takes_it_while_it_is_given_back_leads(settings: Settings, tmp_path: Path) -> None:
    with contextlib.ExitStack() as before:
        first = before.enter_context(lead(settings, tmp_path))
        first.claim("run1", tmp_path)
        lock = HandedOver(tmp_path / "leader", before.close)
        options = {"stop": lambda: False, "say": lambda line: None, "on_lost": lambda: None}
        with leading(lock, settings, lease_s=LEASE_S, **options) as second:  # type: ignore[arg-type]  # as named above
            second.claim("run1", tmp_path)
            assert second.term == 2


class Unreachable(FileLock):
    """A lock whose keeper does not answer."""

    def take(self, last: Claim) -> bool:
        raise LockUnavailableError("lock: Redis does not answer")


def test_that_nobody_tells_who_leads_is_said(settings: Settings, tmp_path: Path) -> None:
    said: list[str] = []
    lock = Unreachable(tmp_path / "leader")
    options = {"stop": lambda: True, "say": said.append, "on_lost": lambda: None}
    with (
        pytest.raises(StoppedError),
        leading(lock, settings, lease_s=LEASE_S, **options),  # type: ignore[arg-type]  # as named above
    ):
        raise AssertionError
    assert said == ["standing by: lock: Redis does not answer"]


def test_the_lock_is_kept_where_all_services_on_a_store_see_it(tmp_path: Path) -> None:
    def lock(**options: object) -> object:
        plan = ServicePlan(config=A_RUN, folder=tmp_path, **options)  # type: ignore[arg-type]  # as named below
        return lock_of(plan)

    assert isinstance(lock(), FileLock)
    assert isinstance(lock(store=str(tmp_path / "a.db")), FileLock)
    assert isinstance(lock(store="postgresql://nobody@nowhere/none"), LeaseLock)
    assert isinstance(lock(redis="redis://nowhere/0"), LeaseLock)
