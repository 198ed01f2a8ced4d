"""What is said about the machine is so."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys

from benchmarks.machine import available_mb, machine_line, processes, unique_mb, versions

PROGRAM = """
import sys
block = bytearray({megabytes} * 1_000_000)
block[::4096] = bytes([1]) * len(block[::4096])
print("ready", flush=True)
sys.stdin.read()
"""


def test_the_machine_line_names_cores_and_python() -> None:
    line = machine_line()
    assert f"{os.cpu_count()} cores" in line
    assert f"Python {sys.version.split()[0]}" in line
    assert "\n" not in line


def test_versions_are_those_of_the_installed_packages() -> None:
    assert versions()["ray"].count(".") >= 1
    assert 0 < available_mb() <= os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE / 1e6


def test_unique_memory_is_what_a_process_below_this_one_has_touched() -> None:
    found = []
    for megabytes in (0, 50):
        command = [sys.executable, "-c", PROGRAM.format(megabytes=megabytes)]
        with subprocess.Popen(  # noqa: S603 - our own interpreter
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            assert child.stdin is not None
            assert child.stdout.readline() == b"ready\n"
            title = "\0".join(command)
            assert processes(title) == [child.pid]
            (mb,) = unique_mb(title)
            assert unique_mb(f"{title} of another") == []
            found.append(mb)
            child.stdin.close()
    assert 49 <= found[1] - found[0] <= 53
