"""Disks to fail on, and real processes to kill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.journal.disks import (
    MountedDisk,
    SimulatedDisk,
    TinyDisk,
    can_mount,
    without_privileges,
)

Script = Callable[[str, Path], "subprocess.Popen[str]"]


@pytest.fixture
def script() -> Iterator[Script]:
    """Start a script in a process of its own, with a path as its argument."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", code, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Let permissions hold for the root user as well."""
    with without_privileges():
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Use a real disk as well where one can be had."""
    if "tiny_disk" in metafunc.fixturenames:
        kinds = ["simulated", "mounted"] if can_mount() else ["simulated"]
        metafunc.parametrize("tiny_disk", kinds, indirect=True)


@pytest.fixture
def tiny_disk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TinyDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "simulated":
        yield SimulatedDisk(folder, monkeypatch)
        return
    disk = MountedDisk(folder)
    assert disk.mount()
    yield disk
    disk.unmount()
