"""The machine a benchmark runs on: what it is, what it runs, how busy it is."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from actors.processes import unique_memory

__all__ = [
    "available_mb",
    "load",
    "machine_line",
    "processes",
    "revision",
    "unique_mb",
    "versions",
]

_PARTS = ("chorus", "ray", "pyzmq", "msgspec", "numpy", "polars", "TA-Lib")


def machine_line() -> str:
    """Return processor, cores, memory and versions in one line."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory_gb:.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Chorus and of what its speed depends on."""
    return {name: version(name) for name in _PARTS}


def revision() -> str:
    """Return the commit of the source, ``-dirty`` if files differ; empty outside a checkout."""
    git, root = shutil.which("git"), Path(__file__).parents[1]
    if git is None or not (root / ".git").exists():
        return ""
    command = [git, "-C", str(root), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    return done.stdout.strip()


def load() -> float:
    """Return the mean number of processes ready to run in the last minute."""
    return round(os.getloadavg()[0], 2)


def available_mb() -> float:
    """Return the memory processes could still take, MB (1e6 bytes); infinity if unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next(_kb(line) / 1000 for line in lines if line.startswith("MemAvailable:"))


def unique_mb(title: str) -> list[float]:
    """Return the unique memory of each process below this one whose title begins so.

    Args:
        title: Beginning of the command line; Ray titles a worker ``ray::Class``.

    Returns:
        MB (1e6 bytes), one per process; empty where the system does not tell.
    """
    return [found / 1e6 for pid in processes(title) if (found := unique_memory(pid))]


def processes(title: str) -> list[int]:
    """Return the ids of the processes below this one whose title begins so.

    By ancestry: what else runs on the machine under the same title is not meant.

    Args:
        title: Beginning of the command line; Ray titles a worker ``ray::Class``.
    """
    found = []
    for pid in _below(os.getpid()):
        try:
            if (Path("/proc") / str(pid) / "cmdline").read_bytes().startswith(title.encode()):
                found.append(pid)
        except OSError:
            continue  # it ended meanwhile
    return found


def _kb(line: str) -> float:
    """Read a line such as ``Private_Dirty:  52 kB``, in kB of 1,000 bytes.

    >>> _kb("Private_Dirty:  1000 kB")
    1024.0
    """
    return int(line.split()[1]) * 1.024


def _below(root: int) -> list[int]:
    """Return the ids of all processes that descend from one."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue
        # The second field, the name, may hold blanks and brackets of its own.
        parent = int(stat.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
