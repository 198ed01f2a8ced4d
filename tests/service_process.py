"""`chorus up` in a process of its own, for tests that end it in every way there is."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx2
import pytest

from tests.processes import kill_tree

__all__ = ["ServiceProcess"]

_STARTS_WITHIN_S = 180.0
_ENDS_WITHIN_S = 60.0
_RUNS = re.compile(r"Chorus runs at (http://\S+)")
_KEY = re.compile(r"admin key: (\S+)")


class ServiceProcess:
    """One service, started as often as a test likes over one data folder.

    Use as context manager: nothing of it is left at the end.

    Attributes:
        key: Of its admin.
        address: Where its API is.
        output: Everything it has printed since it was started last.
    """

    def __init__(self, config: Path, data: Path, *options: str) -> None:
        program = [sys.executable, "-c", "from api.entry import main; main()"]
        where = ["--data", str(data), "--port", "0"]
        self._command = [*program, "up", str(config), *where, *options]
        self._process: subprocess.Popen[str] | None = None
        self.key = self.address = self.output = ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # whatever it is, it goes on; nobody else would end the process
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()

    @property
    def pid(self) -> int:
        """Return its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self, **environment: str) -> None:
        """Start it and wait until its API answers."""
        self.launch(**environment)
        self.await_line(_RUNS)
        self.address = _found(_RUNS, self.output)
        if key := _KEY.search(self.output):
            self.key = key[1]

    def launch(self, **environment: str) -> None:
        """Start it without waiting for it."""
        self.output = ""
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "300", **environment},
            cwd=Path(__file__).parents[1],
        )

    def await_line(self, pattern: re.Pattern[str]) -> None:
        """Wait until it has printed something; the test fails if it ends before."""
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + _STARTS_WITHIN_S
        pipe = self._process.stdout.fileno()
        while not pattern.search(self.output):
            if time.monotonic() > deadline:
                pytest.fail(f"it does not say {pattern.pattern!r}: {self.output}")
            if not select.select([pipe], [], [], 1.0)[0]:
                continue
            read = os.read(pipe, 65536).decode()
            if not read:
                pytest.fail(f"it has ended: {self.output}")
            self.output += read

    def kill(self) -> None:
        """Kill it and all below it at one moment."""
        assert self._process is not None
        kill_tree(self._process.pid)
        self._reap()

    def kill_alone(self) -> None:
        """Kill the process of the API; what is below it has to see by itself that it has gone."""
        assert self._process is not None
        self._process.kill()
        self._reap()

    def stop(self) -> int:
        """Ask it to end; returns its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._reap()

    def _reap(self) -> int:
        assert self._process is not None
        rest, _ = self._process.communicate(timeout=_ENDS_WITHIN_S)
        self.output += rest
        code = self._process.returncode
        self._process = None
        return code

    def client(self, **options: object) -> httpx2.Client:
        """Return a client of its admin."""
        return httpx2.Client(
            base_url=f"{self.address}/api/v1",
            headers={"X-API-Key": self.key},
            timeout=30.0,
            trust_env=False,
            **options,  # type: ignore[arg-type]  # as httpx2 takes
        )


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    assert match is not None
    return match[1]
