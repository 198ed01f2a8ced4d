"""Whether a host does what it is there for: the table of symptoms.

| symptom | host | how it is noticed | third strike |
| --- | --- | --- | --- |
| ENDED | any | its process is gone, or could not be started | failed |
| LATE | starting | does not run `start_within_s` after its start | failed |
| SILENT | running | no ping answered for `ping_within_s` | paused |
| STUCK | running | slices wait, none answered for `block_after_s` | paused |
| BLOATED | running, dedicated | more than `memory_limit_bytes` | failed |

Whatever the symptom, the host is replaced; the strike goes to the strategy of a dedicated host, or
to the instance a pooled one was busy with, if any.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from engine.supervision.actual import Actual, ActualHost
from engine.supervision.history import Verdict
from engine.supervision.settings import SupervisionSettings

__all__ = ["VERDICTS", "Finding", "Symptom", "examine", "offender"]


class Symptom(Enum):
    """What is wrong with a host."""

    ENDED = auto()
    LATE = auto()
    SILENT = auto()
    STUCK = auto()
    BLOATED = auto()


VERDICTS: Final[dict[Symptom, Verdict]] = {
    Symptom.ENDED: "failed",
    Symptom.LATE: "failed",
    Symptom.SILENT: "paused",
    Symptom.STUCK: "paused",
    Symptom.BLOATED: "failed",
}
"""What the last strike leads to."""


class Finding(NamedTuple):
    """A symptom and the cause to report."""

    symptom: Symptom
    cause: str


def examine(
    host: ActualHost, actual: Actual, settings: SupervisionSettings, *, behind_since: float | None
) -> Finding | None:
    """Return what is wrong with a host, None for a healthy one.

    Args:
        host: The host.
        actual: The state it is part of.
        settings: The limits.
        behind_since: Since when it has not answered all slices; None if it has.
    """
    if host.state == "ended":
        return _finding(host, Symptom.ENDED, f"its process ended: {host.cause or 'no cause given'}")
    if host.state == "starting":
        return _late(host, actual, settings)
    return (
        _silent(host, actual, settings)
        or _stuck(host, actual, settings, behind_since)
        or _bloated(host, settings)
    )


def offender(host: ActualHost) -> str | None:
    """Return the instance a failure of the host is held against."""
    if host.kind == "dedicated":
        return host.instances[0] if host.instances else None
    return host.busy_with if host.busy_with in host.instances else None


def _late(host: ActualHost, actual: Actual, settings: SupervisionSettings) -> Finding | None:
    elapsed = actual.now - max(host.answered_at, actual.watched_since)
    if elapsed <= settings.start_within_s:
        return None
    text = f"not running {elapsed:.1f} s after its start (limit {settings.start_within_s:g} s)"
    return _finding(host, Symptom.LATE, text)


def _silent(host: ActualHost, actual: Actual, settings: SupervisionSettings) -> Finding | None:
    elapsed = actual.now - max(host.pinged_at, actual.watched_since)
    if elapsed <= settings.ping_within_s:
        return None
    text = f"no ping answered for {elapsed:.1f} s (limit {settings.ping_within_s:g} s)"
    return _finding(host, Symptom.SILENT, text)


def _stuck(
    host: ActualHost, actual: Actual, settings: SupervisionSettings, behind_since: float | None
) -> Finding | None:
    """Look at progress, not at load: a host that goes from instance to instance gets on."""
    if host.waits or behind_since is None:
        return None
    moments = [host.answered_at, behind_since, actual.watched_since, host.busy_since or 0.0]
    elapsed = actual.now - max(moments)
    if elapsed <= settings.block_after_s:
        return None
    text = (
        f"no progress beyond slice {host.answered_slice} for {elapsed:.1f} s "
        f"(limit {settings.block_after_s:g} s)"
    )
    return _finding(host, Symptom.STUCK, text)


def _bloated(host: ActualHost, settings: SupervisionSettings) -> Finding | None:
    limit = settings.memory_limit_bytes
    if limit is None or host.kind != "dedicated" or host.memory_bytes <= limit:
        return None
    text = f"uses {host.memory_bytes / 1e6:.0f} MB of memory (limit {limit / 1e6:.0f} MB)"
    return _finding(host, Symptom.BLOATED, text)


def _finding(host: ActualHost, symptom: Symptom, text: str) -> Finding:
    busy = f", busy with {host.busy_with!r}" if host.busy_with is not None else ""
    return Finding(symptom, f"host {host.id!r}, epoch {host.epoch}: {text}{busy}")
