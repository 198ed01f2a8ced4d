"""Workers: threads of the service that take backtests and have them played, each in a process."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from api.backtests.messages import Done, Failed, Playing, Task
from api.backtests.process import BacktestProcess
from engine.catalog import Catalog
from engine.config import RunConfig
from engine.errors import ChorusError, StoreError
from engine.jobs import Backtests, Claim, Datasets

__all__ = ["BacktestWorkers", "WorkerSettings"]

_log = logging.getLogger(__name__)

HEAR_S: Final = 0.5
"""Progress is written at most as often, and memory and time are looked at."""

KEEP_S: Final = 2.0
"""So often at least the store is told, and asked whether the backtest is still wanted."""

_STORE_TRIES: Final = 30
_MEGABYTE: Final = 1024 * 1024


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the machine backtests may have.

    Attributes:
        at_once: Backtests that are played at the same time.
        time_limit_s: For each.
        memory_limit_mb: For each process, resident; looked at twice a second, on Linux.
        niceness: How far they stand back behind the service.
        poll_s: How often it is looked whether one waits.
    """

    at_once: int = 1
    time_limit_s: float = 600.0
    memory_limit_mb: int = 1024
    niceness: int = 10
    poll_s: float = 1.0


class BacktestWorkers:
    """Plays what waits, until the block ends.

    The processes hear when this one is gone and end; whoever runs next takes what they had. At the
    end of the block they are ended, and what they had waits again.

    Args:
        backtests: What is to be played.
        datasets: The candles.
        catalog: The strategy types there are now.
        settings: How much of the machine they may have.
    """

    def __init__(
        self,
        backtests: Backtests,
        datasets: Datasets,
        catalog: Callable[[], Catalog],
        settings: WorkerSettings | None = None,
    ) -> None:
        self._backtests = backtests
        self._datasets = datasets
        self._catalog = catalog
        self._settings = settings or WorkerSettings()
        self._name = f"{socket.gethostname()[:24]}-{os.getpid()}"
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"chorus-backtests-{number}", daemon=True)
            for number in range(self._settings.at_once)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                has_worked = self.work_once()
            except StoreError as error:
                _log.warning("backtests: %s", error)
                has_worked = False
            except Exception:  # noqa: BLE001 - a worker outlives what it works on; logged
                _log.exception("backtests: a defect; this one is taken again later")
                has_worked = False
            if not has_worked:
                self._stopping.wait(self._settings.poll_s)

    def work_once(self) -> bool:
        """Play the next backtest to its end. False: none waits.

        Raises:
            StoreError: The store is away.
        """
        claim = self._backtests.claim(self._name)
        if claim is None:
            return False
        try:
            task = self._task_of(claim.config)
        except ChorusError as error:
            self._backtests.fail(claim, str(error))
            return True
        with BacktestProcess(task, self._datasets.folder) as process:
            _log.info("backtest %s: played by process %d", claim.id, process.pid)
            end = self._watch(process, claim)
        # What has ended is said when its process is gone, so that there never are more than these.
        self._said_to_store(end)
        return True

    def _task_of(self, document: dict[str, Any]) -> Task:
        """Return what the process is told.

        Raises:
            ConfigError: A strategy type or data set is not there any more.
        """
        types = self._catalog().used_by(RunConfig.model_validate(document["config"]))
        return Task(
            config=document["config"],
            replay=[each.name for each in self._datasets.named(document["datasets"])],
            files=[str(loaded.file) for loaded in types.values()],
            niceness=self._settings.niceness,
        )

    def _watch(self, process: BacktestProcess, claim: Claim) -> Callable[[], object]:
        """Hear a process until it has ended, or has to; returns what the store is to be told."""
        backtests = self._backtests
        started_s = kept_s = time.monotonic()
        progress: float | None = None
        while not self._stopping.is_set():
            for said in process.hear(HEAR_S):
                match said:
                    case Playing():
                        progress = said.progress
                    case Failed():
                        return partial(backtests.fail, claim, said.error)
                    case Done():
                        return partial(_finish, backtests, claim, said)
            if not process.is_open:
                return partial(backtests.give_back, claim, process.death())
            now_s = time.monotonic()
            if problem := self._exceeded(process, now_s - started_s):
                return partial(backtests.fail, claim, problem)
            if now_s - kept_s >= (KEEP_S if progress is None else HEAR_S):
                kept_s = now_s
                if not self._is_wanted(claim, progress):
                    return lambda: None
                progress = None
        return partial(backtests.give_back, claim)

    def _exceeded(self, process: BacktestProcess, elapsed_s: float) -> str:
        """Return which limit was exceeded; empty: none."""
        settings = self._settings
        if elapsed_s > settings.time_limit_s:
            return (
                f"backtest: took longer than {settings.time_limit_s:g} s; play fewer candles or "
                "strategies"
            )
        if process.resident_bytes() > settings.memory_limit_mb * _MEGABYTE:
            return (
                f"backtest: needs more memory than {settings.memory_limit_mb} MB; play fewer "
                "candles or strategies"
            )
        return ""

    def _is_wanted(self, claim: Claim, progress: float | None) -> bool:
        try:
            return self._backtests.keep(claim, progress)
        except StoreError as error:
            # It is played on: if the store stays away, somebody else takes it, and says so.
            _log.warning("backtest %s: %s", claim.id, error)
            return True

    def _said_to_store(self, say: Callable[[], object]) -> None:
        """Say how it ended; a store that is away for some seconds is waited for.

        Raises:
            StoreError: It is away for longer. The lease ends, and somebody else plays it again.
        """
        for attempt in range(_STORE_TRIES):
            try:
                say()
            except StoreError:
                if attempt == _STORE_TRIES - 1 or self._stopping.wait(1.0):
                    raise
            else:
                return


def _finish(backtests: Backtests, claim: Claim, done: Done) -> bool:
    return backtests.finish(claim, summary=_document(done.summary), report=_document(done.report))


def _document(text: msgspec.Raw) -> dict[str, Any]:
    # Both databases keep it: PostgreSQL has no NUL, which a strategy's words may hold.
    found: dict[str, Any] = msgspec.json.decode(bytes(text).replace(b"\\u0000", b"\\ufffd"))
    return found
