"""What the system says of a process, and what a process can do for it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["processor_time", "settle_memory", "uncollected", "unique_memory"]

_PRIVATE = re.compile(rb"^Private_(?:Clean|Dirty):\s+(\d+) kB$", re.MULTILINE)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage while a block builds what will stay.

    With thousands of instances the search takes as long as the building: each time it goes through
    all that was built so far.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def settle_memory() -> None:
    """Keep what is there now out of garbage collections, and give back what building it took.

    Everything imported and built so far stays. Looking through it again and again would cost tens
    of milliseconds each time, in the middle of some candle.
    """
    gc.collect()
    gc.freeze()
    with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)


def unique_memory(process: int) -> int:
    """Return the unique memory (USS) of a process: what would be free if it alone ended.

    Pages that are shared, such as those of libraries, are not counted.

    Returns:
        Bytes; 0 where the system does not tell, or there is no such process.
    """
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_bytes()
    except OSError:
        return 0
    return 1024 * sum(int(found) for found in _PRIVATE.findall(rollup))


def processor_time(process: int) -> float:
    """Return the processor time a process has used so far.

    Returns:
        Seconds; 0 where the system does not tell, or there is no such process.
    """
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return 0.0
    # The name, in parentheses, may hold anything; user and system time are the 14th and 15th field.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
