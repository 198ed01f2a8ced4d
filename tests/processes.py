"""The processes below this one, for tests that start some, end them, and count what is left.

Found by ancestry: another engine on the machine is nobody a test may touch.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = ["Process", "await_size", "below", "kill_tree"]

_GONE_WITHIN_S = 30.0
_GROWN_WITHIN_S = 120.0


class Process(NamedTuple):
    """A living process. `started`, in clock ticks, tells it from a later one of the same id."""

    pid: int
    parent: int
    started: int
    title: str


def below(root: int | None = None, title: str = "") -> list[Process]:
    """Return the living processes below one whose title starts so, sorted; zombies left out.

    Args:
        root: Id of the process, itself left out; None for this one.
        title: How their titles begin.
    """
    everybody = {each.pid: each for each in map(_look, _pids()) if each is not None}
    found = {os.getpid() if root is None else root}
    top, grown = set(found), True
    while grown:
        more = {each.pid for each in everybody.values() if each.parent in found} - found
        found |= more
        grown = bool(more)
    alive = sorted(found - top)
    return [everybody[pid] for pid in alive if everybody[pid].title.startswith(title)]


def await_size(file: Path, size: int, process: subprocess.Popen[str]) -> None:
    """Wait until a process has made a file that large; the test fails if it ends before."""
    deadline = time.monotonic() + _GROWN_WITHIN_S
    while not file.exists() or file.stat().st_size < size:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            pytest.fail(f"it ended: {process.communicate()}")
        assert time.monotonic() < deadline, f"{file} does not grow to {size} bytes"


def kill_tree(root: int) -> None:
    """Kill a process and all below it at one moment, and wait until they are gone.

    They are stopped first: a process that sees another one die may start a new one in its place.
    `root` has to be a child of this process, which still has to wait for it.
    """
    stopped: dict[int, Process] = {}
    _signal(root, signal.SIGSTOP)
    while more := {each.pid: each for each in below(root) if each.pid not in stopped}:
        for pid in more:
            _signal(pid, signal.SIGSTOP)
        stopped |= more
    for pid in (root, *stopped):
        _signal(pid, signal.SIGKILL)
    left = _await_end(stopped.values(), _GONE_WITHIN_S)
    assert not left, f"still there: {left}"


def _await_end(processes: Iterable[Process], timeout_s: float) -> list[Process]:
    """Wait until processes have ended, children or not; return those that have not in time."""
    deadline = time.monotonic() + timeout_s
    return [each for each in processes if not _has_ended(each, deadline)]


def _has_ended(process: Process, deadline: float) -> bool:
    """Wait for one until a moment of the monotonic clock; one that has ended before is found."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        # The handle may be that of a later process of the same id, or of a zombie.
        if (now := _look(process.pid)) is None or now.started != process.started:
            return True
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        return bool(waiting.poll(max(0.0, deadline - time.monotonic()) * 1000))
    finally:
        os.close(handle)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _look(pid: int) -> Process | None:
    place = Path("/proc") / str(pid)
    try:
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    if fields[0] == "Z":
        return None
    return Process(pid, int(fields[1]), int(fields[19]), words)
