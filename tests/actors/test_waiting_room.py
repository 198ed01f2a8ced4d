"""Callers of the manager that wait leave threads for those that do not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors.manager import MOST_ASK, MOST_CHANGE, THREADS, StrategyManager
from actors.services import ServiceAwayError
from engine.instance import Pause

ENOUGH_S = 60.0
"""Never waited for in a test that passes."""

STREAMS = ("paper:A/USDT:1m",)


class Silent:
    """Operations of which no host answers before the test says so."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.may_answer = threading.Event()

    def metrics(self, _strategy_id: str) -> str:
        self.waiting.release()
        assert self.may_answer.wait(ENOUGH_S)
        return "metrics"

    def command(self, strategy_id: str, _command: object) -> None:
        self.metrics(strategy_id)

    def deploy(self, _deployments: object) -> dict[str, str]:
        return {}


class Alone(StrategyManager):
    """One without anybody to manage."""

    def __init__(self, operations: Silent) -> None:
        super().__init__(cast("Any", None))
        self._operations = cast("Any", operations)
        self._core = cast("Any", SimpleNamespace(facts=SimpleNamespace(streams=STREAMS)))
        self._is_open = True

    def _supervise_all(self) -> None:
        """Leave everything as it is."""


def test_whoever_waits_for_hosts_leaves_threads_for_the_others() -> None:
    silent = Silent()
    manager = Alone(silent)
    calls: list[tuple[int, Callable[[], Any]]] = [
        (MOST_ASK, lambda: manager.metrics("one")),
        (MOST_CHANGE, lambda: manager.command("one", Pause())),
    ]
    with ThreadPoolExecutor(MOST_ASK + MOST_CHANGE) as pool:
        waiting: list[Future[Any]] = []
        for most, call in calls:
            assert manager.deploy([]) == {}, "whoever looks holds up no change"
            waiting += [pool.submit(call) for _ in range(most)]
            for _ in range(most):
                assert silent.waiting.acquire(timeout=ENOUGH_S)
            with pytest.raises(ServiceAwayError, match=f"{most} others wait for .* ask again"):
                call()
        with pytest.raises(ServiceAwayError, match="others wait"):
            manager.deploy([])
        with pytest.raises(ServiceAwayError, match="others wait"):
            manager.extract()
        assert manager.streams() == STREAMS
        silent.may_answer.set()
        answers = {each.result(ENOUGH_S) for each in waiting}
    assert answers == {"metrics", None}
    manager.metrics("one")  # the places were given back
    assert manager.deploy([]) == {}


def test_there_are_more_threads_than_may_wait() -> None:
    until_the_end = 1
    assert THREADS - MOST_ASK - MOST_CHANGE - until_the_end >= 2
