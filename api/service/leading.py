"""Of several services on one store one leads; the others stand by until it is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import msgspec

from api.service.plan import ServicePlan
from engine.access import CHORUS
from engine.errors import ConfigError, ConflictError, NotFoundError, StoppedError, StoreError
from engine.locks import (
    AdvisoryRegistry,
    Claim,
    FileLock,
    LeaderKeeper,
    LeaderLock,
    LeaseLock,
    LockUnavailableError,
    RedisRegistry,
)
from engine.settings import Settings
from engine.store.store import DEFAULT_FILE

__all__ = ["LeaderRecord", "Leadership", "end_at_once", "leading", "lock_of"]

_KEY: Final = "service.leader"
_LOOKS_PER_LEASE: Final = 5
_EXIT_CODE: Final = 75
"""EX_TEMPFAIL: starting it again helps."""


class LeaderRecord(msgspec.Struct, frozen=True):
    """What the store remembers of who led last.

    Attributes:
        term: Number of its leadership.
        run: Which run it played.
        folder: Where that is.
        host: On which machine.
        is_released: It has ended in an orderly way.
    """

    term: int
    run: str
    folder: str
    host: str
    is_released: bool = False

    def __str__(self) -> str:
        return f"{self.folder} on {self.host}"


class Leadership:
    """That this service leads.

    Args:
        lock: It is held.
        settings: Where it is on record.
        version: Of the record of the leader before, as it was when the lock was taken.
    """

    def __init__(self, lock: LeaderLock, settings: Settings, version: int | None) -> None:
        self._lock = lock
        self._settings = settings
        self._version = version
        self._record: LeaderRecord | None = None

    @property
    def term(self) -> int:
        """Return its number, larger than that of any leader before."""
        return self._lock.term

    def require_run(self, run: str | None, folder: Path) -> None:
        """Check that a folder holds the run that was led last.

        Args:
            run: The one it holds; None: none.
            folder: Which folder.

        Raises:
            ConfigError: It is another one.
        """
        last, _ = record_of(self._settings)
        if last is None or last.run == run:
            return
        found = "holds another run" if run else "holds no run"
        raise ConfigError(
            f"--data {folder}: {found} than the store's engine has played so far, which is in "
            f"{last}; name that folder, or begin another run on this store with --new-run"
        )

    def claim(self, run: str, folder: Path) -> None:
        """Put on record who leads which run from now on.

        Raises:
            ConflictError: A later leader is on record.
        """
        self._put(LeaderRecord(self.term, run, str(folder.resolve()), socket.gethostname()))

    def release(self) -> None:
        """Give it back, so that the next one need not wait.

        Raises:
            ChorusError: It cannot be given back now; it will be free in a while.
        """
        if self._record is not None and self._lock.is_held():
            self._put(msgspec.structs.replace(self._record, is_released=True))
        self._lock.release()

    def _put(self, record: LeaderRecord) -> None:
        # Whoever keeps the lock may have forgotten everything, even numbers; this record decides.
        last, version = record_of(self._settings)
        if version != self._version:
            raise ConflictError(f"leader {record.term}: {last} leads by now")
        value = msgspec.to_builtins(record)
        self._version = self._settings.put(_KEY, value, CHORUS, if_version=version).version
        self._record = record


def record_of(settings: Settings) -> tuple[LeaderRecord | None, int | None]:
    """Return who led last, and the version of that record; None if nobody did.

    Raises:
        StoreError: The store cannot be read.
    """
    try:
        view = settings.get(_KEY, CHORUS)
    except NotFoundError:
        return None, None
    return msgspec.convert(view.value, LeaderRecord), view.version


def lock_of(plan: ServicePlan) -> LeaderLock:
    """Return the lock that all services on a store share.

    Redis keeps it where there is one, then PostgreSQL; beside a file of SQLite it is a file, too.

    Raises:
        ConfigError: An address is not usable.
    """
    lease_s = plan.leader_lease_s
    timeout_s = lease_s / 4
    if plan.redis:
        return LeaseLock(RedisRegistry(plan.redis, timeout_s=timeout_s), lease_s=lease_s)
    if plan.store.startswith("postgresql"):
        return LeaseLock(AdvisoryRegistry(plan.store, timeout_s=timeout_s), lease_s=lease_s)
    name = plan.store.partition("///")[2] if "://" in plan.store else plan.store
    file = Path(name) if name else plan.folder / DEFAULT_FILE
    return FileLock(file.with_name(f"{file.name}.leader"))


@contextlib.contextmanager
def leading(
    lock: LeaderLock,
    settings: Settings,
    *,
    lease_s: float,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    standing_by: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    on_lost: Callable[[], None],
) -> Iterator[Leadership]:
    """Lead for the length of a `with` block, which begins when nobody else does.

    Args:
        lock: Shared by all services on the store.
        settings: Of the store.
        lease_s: How long the lock is had without being renewed.
        stop: Asked a few times per second; True gives up.
        say: Takes a line for people.
        standing_by: What to do while another one leads.
        on_lost: Called, from another thread, if leadership is lost.

    Raises:
        StoppedError: `stop` said so.
        ChorusError: The lock or the store cannot be used.
    """
    with contextlib.ExitStack() as held:
        with contextlib.ExitStack() as meanwhile:
            is_taken, version, problem = _take(lock, settings)
            if not is_taken:
                last, _ = record_of(settings)
                whose = f", {last}," if last is not None else ""
                say(f"standing by: {problem or f'another engine{whose} leads on this store'}")
                meanwhile.enter_context(standing_by())
                pause = threading.Event()
                while not is_taken:
                    pause.wait(min(0.5, lease_s / _LOOKS_PER_LEASE))
                    if stop():
                        raise StoppedError("stopped while another engine was leading")
                    # A store that is away comes back; whoever stands by is needed most then.
                    with contextlib.suppress(StoreError):
                        is_taken, version, _ = _take(lock, settings)
            _await_held(lock, lease_s, stop, say)
            leadership = Leadership(lock, settings, version)
            held.callback(leadership.release)
            # Before anything else is ended, however long that takes: the lease runs.
            keeper = LeaderKeeper(lock, every_s=lease_s / _LOOKS_PER_LEASE, on_lost=on_lost)
            keeper.start()
            held.callback(keeper.close)
        yield leadership


def _take(lock: LeaderLock, settings: Settings) -> tuple[bool, int | None, str]:
    """Try to get the lock; whoever keeps it may be away for a while.

    Returns:
        Whether it was got, the version of the leader's record before, and why whoever keeps it did
        not answer; empty if it did.
    """
    last, version = record_of(settings)
    claim = Claim() if last is None else Claim(last.term, last.is_released)
    try:
        is_taken = lock.take(claim)
        if is_taken and not _is_as_before(settings, version, lock):
            # Whoever led gave it back, or led for the first time, between the two looks.
            lock.release()
            is_taken = False
    except LockUnavailableError as error:
        return False, version, str(error)
    return is_taken, version, ""


def _is_as_before(settings: Settings, version: int | None, lock: LeaderLock) -> bool:
    """Tell whether the leader's record is that of a version; without the store the lock goes back.

    Raises:
        StoreError: The store cannot be read.
    """
    try:
        return record_of(settings)[1] == version
    except StoreError:
        lock.release()
        raise


def _await_held(
    lock: LeaderLock, lease_s: float, stop: Callable[[], bool], say: Callable[[str], None]
) -> None:
    """Wait until whoever had the lock before has noticed that it is gone."""
    if not lock.is_held() and not lock.is_lost():
        say(f"waiting {lease_s:g} s for the engine before to notice that it does not lead any more")
    pause = threading.Event()
    while not lock.is_held():
        pause.wait(lease_s / _LOOKS_PER_LEASE)
        with contextlib.suppress(LockUnavailableError):
            lock.renew()
        if lock.is_lost():
            raise LockUnavailableError("leader: the lock was lost before it was of use; try again")
        if stop():
            raise StoppedError("stopped while it was about to lead")


def end_at_once() -> None:
    """Kill everything below this process, and this process: it may not go on for a moment."""
    for pid in _below(os.getpid()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    os._exit(_EXIT_CODE)


def _below(root: int) -> list[int]:
    """Return all processes below one, where the system tells."""
    found: list[int] = []
    waiting: list[Any] = [root]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}/task")
        with contextlib.suppress(OSError):
            for task in folder.iterdir():
                children = [int(pid) for pid in (task / "children").read_text().split()]
                found += children
                waiting += children
    return found
