"""Killed with no chance to tidy up: what was safe is there, and nobody is locked out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import JournalError
from engine.journal import JournalFile, Manifest, RunFolder

Script = Callable[[str, Path], "subprocess.Popen[str]"]

WRITER = """
import sys
from engine.journal import JournalFile
journal = JournalFile(sys.argv[1], kind="test")
number = journal.count
while True:
    for _ in range(7):
        journal.append(b"%d|" % number * (1 + number % 300))
        number += 1
    journal.commit()
    print(journal.committed, flush=True)
"""

ENGINE = """
import os, sys
from engine.journal import RunFolder
folder = RunFolder.open(sys.argv[1])
journal = folder.journal("orders", "orders")
print(os.getpid(), flush=True)
sys.stdin.read()
"""


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line
    return line


def kill(process: subprocess.Popen[str]) -> int:
    """Kill at once; return the last number it printed that is not read yet, else 0."""
    process.kill()
    rest, _ = process.communicate()
    whole = [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    return int(whole[-1]) if whole else 0


def test_a_killed_writer_has_lost_nothing_it_committed(tmp_path: Path, script: Script) -> None:
    path = tmp_path / "j"
    before = 0
    for lines in (1, 60):
        process = script(WRITER, path)
        safe = [int(line_of(process)) for _ in range(lines)][-1]
        safe = max(safe, kill(process))
        with JournalFile(path, kind="test") as journal:
            records = list(journal.records())
        assert records == [b"%d|" % n * (1 + n % 300) for n in range(len(records))]
        assert len(records) >= safe > before
        before = safe


def test_a_run_in_use_names_its_engine_and_is_free_when_that_is_killed(
    tmp_path: Path, script: Script
) -> None:
    path = tmp_path / "run"
    RunFolder.create(path, Manifest.of({}, created_ms=0, market={}, plugins={})).close()
    engine = script(ENGINE, path)
    pid = int(line_of(engine))
    assert pid == engine.pid
    with pytest.raises(JournalError, match=f"in use by the engine with process id {pid}; stop"):
        RunFolder.open(path)
    with pytest.raises(JournalError, match="open already"):
        JournalFile(path / "orders.journal", kind="orders")
    kill(engine)
    with RunFolder.open(path) as folder:
        folder.journal("orders", "orders").close()
