"""What is there: hosts and strategies as last seen."""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.instance import Status
from engine.supervision.desired import Isolation

__all__ = ["Actual", "ActualHost", "ActualStrategy"]


class ActualHost(msgspec.Struct, frozen=True, kw_only=True):
    """One start of one host, alive or ended.

    All times are seconds of the clock `Actual.now` is read from.

    Attributes:
        id: Participant id; see `engine.supervision.placement` for how hosts are named.
        epoch: Number of its start, from 1.
        kind: One strategy of its own, or many that share it.
        instances: Strategies in it; for an ended one those it had.
        state: ``ended`` also for one that could not be started. An ended host is listed until a
            later epoch of it is; after that it may be left out.
        cause: Why it ended, with the trace if there is one; empty otherwise.
        answered_slice: Newest slice it has answered; -1 before the first.
        answered_at: When `answered_slice` last grew; when it was started before that.
        pinged_at: When it last answered a ping; when it was started before that.
        busy_with: Instance that runs, or ran when the host ended; None between instances.
        busy_since: Since when; None where `busy_with` is.
        memory_bytes: Unique memory of the process.
        waits: It waits for the order manager, so standing still is not its fault.
        is_found: Found alive by a manager that did not start it and has not adopted it.
    """

    id: str
    epoch: int
    kind: Isolation
    instances: tuple[str, ...]
    state: Literal["starting", "running", "ended"]
    cause: str = ""
    answered_slice: int = -1
    answered_at: float = 0.0
    pinged_at: float = 0.0
    busy_with: str | None = None
    busy_since: float | None = None
    memory_bytes: int = 0
    waits: bool = False
    is_found: bool = False


class ActualStrategy(msgspec.Struct, frozen=True):
    """Where a strategy stands.

    Attributes:
        status: Of its instance as last heard, whatever became of the host since; ``paused`` or
            ``error`` once `PauseStrategy` or `FailStrategy` is carried out. An instance that
            begins is ``created`` from the action on that begins it, not from when it is heard.
        version: Of the strategy its instance was started with, likewise from the action on.
    """

    status: Status
    version: int


class Actual(msgspec.Struct, frozen=True, kw_only=True):
    """The actual state of the engine.

    Attributes:
        hosts: Every host, ended ones too.
        strategies: By id; one that was never started may be missing.
        now: Seconds of a clock that does not jump (monotonic).
        feed_slice: Newest published slice; -1 before the first.
        watched_since: Since when the manager has been looking without a break. What happened
            before (its own restart, a pause of its process) is not held against anybody.
    """

    hosts: tuple[ActualHost, ...]
    strategies: dict[str, ActualStrategy]
    now: float
    feed_slice: int
    watched_since: float = 0.0
