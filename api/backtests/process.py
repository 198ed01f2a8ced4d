"""A backtest's process, as seen by whoever started it."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, cast

import msgspec

from api.backtests.messages import Failed, Said, Task, said_in
from engine.backtest.digest import MAX_REPORT_BYTES

__all__ = ["BacktestProcess"]

_MAX_LINE: Final = 2 * MAX_REPORT_BYTES
_MAX_STDERR: Final = 4_000
_CHUNK: Final = 64 * 1024
_GONE_WITHIN_S: Final = 30.0

_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
"""Of the environment: nothing that may be secret."""

_ONE_THREAD: Final = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}


class BacktestProcess:
    """Starts the process of a backtest, hears it, and ends it with the block at the latest.

    Used by one thread.

    Args:
        task: What it plays.
        folder: Where it runs, and the files of the task are. None: here.

    Attributes:
        pid: Its id.
    """

    def __init__(self, task: Task, folder: Path | None) -> None:
        # A session of its own: a Ctrl-C in the terminal is meant for the service, which ends it.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "api.backtests.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=folder,
            env=_environment(os.environ),
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._line = bytearray()
        self._stderr = bytearray()
        self._selector = selectors.DefaultSelector()
        self._stdin, self._stdout, stderr = (
            cast("IO[bytes]", pipe).fileno()  # all three are asked for above
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        self._unsent = memoryview(msgspec.json.encode(task) + b"\n")
        self._selector.register(self._stdin, selectors.EVENT_WRITE)
        for pipe in (self._stdout, stderr):
            self._selector.register(pipe, selectors.EVENT_READ)
        for pipe in (self._stdin, self._stdout, stderr):
            os.set_blocking(pipe, False)

    def hear(self, timeout_s: float) -> list[Said]:
        """Return what it has said since; waits for something as long as it lives.

        Args:
            timeout_s: How long at most.
        """
        said: list[Said] = []
        deadline = time.monotonic() + timeout_s
        while self.is_open and not said and (left := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                if key.fd == self._stdin:
                    self._send()
                else:
                    said += self._read(key.fd)
        return said

    @property
    def is_open(self) -> bool:
        """Tell whether it may say something yet."""
        return bool(self._selector.get_map())

    def resident_bytes(self) -> int:
        """Return the memory it has; 0 where that cannot be known."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def death(self) -> str:
        """Return how it ended; waits for it, and ends it if that takes long."""
        try:
            code = self._process.wait(_GONE_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        last = self._stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return f"its process {how}" + (f" ({last})" if last else "")

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _send(self) -> None:
        """Tell what a pipe takes of the task; standard input stays open after it."""
        with contextlib.suppress(BrokenPipeError, BlockingIOError):
            self._unsent = self._unsent[os.write(self._stdin, self._unsent) :]
            if self._unsent:
                return
        self._selector.unregister(self._stdin)

    def _read(self, pipe: int) -> list[Said]:
        chunk = os.read(pipe, _CHUNK)
        if not chunk:
            self._selector.unregister(pipe)
        if pipe != self._stdout:
            self._stderr = (self._stderr + chunk)[-_MAX_STDERR:]
            return []
        self._line += chunk
        *lines, rest = self._line.split(b"\n")
        self._line[:] = rest
        if len(rest) > _MAX_LINE:
            self.kill()
            return [Failed("backtest: its report is too large; split the backtest")]
        return [said_in(bytes(line)) for line in lines]


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    return {name: own[name] for name in _PASSED_ON if name in own} | _ONE_THREAD
