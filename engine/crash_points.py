"""Named places where a process can be told to kill itself, so that what follows can be tested.

Killing from outside hits a process wherever it happens to be. Some places last only microseconds
and matter most: between putting something on record and telling of it, or between two steps that
belong together. There a process ends itself as `kill -9` would: nothing is flushed or closed.

Only the environment variable `CHORUS_CRASH_POINTS` arms them, and only if it is set before the
program starts; every process of an engine inherits it. It names a folder, and a file in it named
after a point, which holds a number, ends the process that is first to come there so many times:

>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as name:
...     arm(Path(name), "market-data.logged", 3)
...     print(armed(Path(name)), fired(Path(name)))
{<CrashPoint.MARKET_LOGGED: 'market-data.logged'>: 3} []

It is renamed before the process ends, so whoever comes in its place goes on. Files may come and go
while the engine runs. No configuration, candle or message gets here; without the variable a place
costs the test of one module constant.
"""

from __future__ import annotations

import os
import signal
import time
from enum import StrEnum
from pathlib import Path
from typing import Final

from engine.errors import ConfigError

__all__ = ["ARMED", "VARIABLE", "CrashPoint", "arm", "armed", "fired", "reach"]

VARIABLE: Final = "CHORUS_CRASH_POINTS"

_ON_ITS_WAY_S = 0.02
_DRAFT = ".draft"


class CrashPoint(StrEnum):
    """The places, by process and by what was done last."""

    MARKET_LOGGED = "market-data.logged"
    """Slices can be replayed, and nobody has been told of them."""

    DEDICATED_APPLIED = "dedicated.applied"
    """The host of one strategy has taken candles or order events; its answer is not sent."""

    POOLED_APPLIED = "pooled.applied"
    """The same in a host of many strategies."""

    STATES_WRITTEN_IN_PART = "states.written-in-part"
    """A host has written some of its instances' states and is about to write the next file."""

    STATES_DRAFTED = "states.drafted"
    """A file of states is written under its temporary name only."""

    FILE_DRAFTED = "file.drafted"
    """The same of any other file replaced as a whole: what is wanted, reign, manifest."""

    ORDERS_RECORDED = "order-manager.recorded"
    """The journal holds what was decided, on the disk if it is durable; nobody has been told."""

    ORDERS_SENT = "order-manager.sent"
    """Everybody has been told; no progress is counted and no credit given for it."""

    MANAGER_REMEMBERED = "manager.remembered"
    """What supervision decided to do is remembered, and nothing of it is done."""

    MANAGER_BETWEEN_ACTIONS = "manager.between-actions"
    """Some of what supervision decided to do is done."""


def arm(folder: Path, point: str, count: int = 1) -> None:
    """Have the process that is first to reach a point so many times end there, once.

    Every process counts for itself, from when it first finds the point armed.

    Args:
        folder: What `CHORUS_CRASH_POINTS` names.
        point: Value of a `CrashPoint`.
        count: 1 or more.

    Raises:
        ConfigError: There is no such point, or the count is less than 1.
    """
    known = _point(folder / point)
    if count < 1:
        raise ConfigError(f"crash point {point!r}: counts start at 1, got {count}")
    draft = folder / _DRAFT  # half a number may be another one
    draft.write_text(str(count))
    draft.replace(folder / known)


def armed(folder: Path) -> dict[CrashPoint, int]:
    """Return the points that are armed, with their counts.

    Raises:
        ConfigError: The folder cannot be read, or holds something else.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.name != _DRAFT)
    except OSError as error:
        raise ConfigError(
            f"{VARIABLE}: cannot read folder {str(folder)!r}: {error.strerror}; name another one, "
            "or unset it"
        ) from error
    found = {}
    for entry in entries:
        if not _is_fired(entry):
            point = _point(entry)
            count = _count(entry)
            if count:
                found[point] = count
    return found


def fired(folder: Path) -> list[tuple[CrashPoint, int]]:
    """Return which points have ended which process ids, sorted."""
    return sorted(
        (_point(entry.with_suffix("")), int(entry.suffix[1:]))
        for entry in folder.iterdir()
        if _is_fired(entry)
    )


def reach(point: CrashPoint) -> None:
    """End this process if it was told to; called only where `ARMED` says it may have been."""
    if _folder is None:
        return
    place = _folder / point
    wanted = _count(place)
    if not wanted:
        _reached.pop(point, None)
        return
    _reached[point] = _reached.get(point, 0) + 1
    if _reached[point] < wanted:
        return
    try:
        place.rename(f"{place}.{os.getpid()}")
    except FileNotFoundError:
        return  # another process was faster
    if point is CrashPoint.ORDERS_SENT:
        # Sending is done by a thread of the transport, which is to have done it.
        time.sleep(_ON_ITS_WAY_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _is_fired(entry: Path) -> bool:
    return entry.suffix[1:].isdecimal()


def _point(entry: Path) -> CrashPoint:
    try:
        return CrashPoint(entry.name)
    except ValueError as error:
        raise ConfigError(
            f"{VARIABLE}: {str(entry)!r}: no crash point is called {entry.name!r}; there are: "
            f"{', '.join(CrashPoint)}"
        ) from error


def _count(entry: Path) -> int:
    """Return how often a point is to be reached; 0 if it is not armed (any more)."""
    try:
        text = entry.read_text()
    except FileNotFoundError:
        return 0
    if not text.strip().isdecimal() or not int(text):
        raise ConfigError(f"{VARIABLE}: {str(entry)!r}: needs a count of 1 or more, got {text!r}")
    return int(text)


def _folder_of_environment() -> Path | None:
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    armed(Path(name))  # whoever is wrong about it hears so at once
    return Path(name)


_folder: Final = _folder_of_environment()
_reached: Final[dict[CrashPoint, int]] = {}

ARMED: Final = _folder is not None
"""Whether `reach` has to be called."""
