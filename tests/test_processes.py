"""Processes are found by ancestry, and killed with all below them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.processes import below, kill_tree

# One write: where output is not buffered, two lines printed at once come out mixed.
WAITS = [
    sys.executable,
    "-S",
    "-c",
    "import os, signal; os.write(1, b'here\\n'); signal.pause()",
]
FAMILY = """"$@" & /bin/sh -c '"$@" & wait' sh "$@" & wait"""


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with a child that has a child, and one that has none."""
    with subprocess.Popen(  # noqa: S603 - our own command
        ["/bin/sh", "-c", FAMILY, "sh", *WAITS], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)] == [b"here\n"] * 2
            yield process
        finally:
            if process.poll() is None:
                kill_tree(process.pid)


def test_children_and_theirs_are_found_by_title(family: subprocess.Popen[bytes]) -> None:
    assert len(below(family.pid)) == 3
    assert len(below(family.pid, sys.executable)) == 2
    assert set(below(family.pid)) < set(below())


def test_a_tree_is_gone_once_it_is_killed(family: subprocess.Popen[bytes]) -> None:
    members = set(below(family.pid))
    kill_tree(family.pid)
    assert family.wait() == -signal.SIGKILL
    assert members.isdisjoint(below(1))
