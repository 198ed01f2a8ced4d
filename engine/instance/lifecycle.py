"""The lifecycle of an instance as one literal transition table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from engine.errors import LifecycleError

__all__ = ["TRANSITIONS", "Status", "Trigger", "after"]


class Status(StrEnum):
    """Where an instance is in its life.

    CREATED: built, no candle seen. WARMING: learns from candles, may not act. RUNNING: acts.
    PAUSED: follows the market, may not act. STOPPED: for good. ERROR: ended by a fault or a
    limit; a restart brings it back.
    """

    CREATED = "created"
    WARMING = "warming"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    ERROR = "error"


class Trigger(StrEnum):
    """What moves an instance on. READY and FAIL come from inside, the others are commands."""

    START = "start"
    READY = "ready"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    FAIL = "fail"
    RESTART = "restart"


TRANSITIONS: Final[dict[tuple[Status, Trigger], Status]] = {
    (Status.CREATED, Trigger.START): Status.WARMING,
    (Status.CREATED, Trigger.STOP): Status.STOPPED,
    (Status.CREATED, Trigger.FAIL): Status.ERROR,
    (Status.WARMING, Trigger.READY): Status.RUNNING,
    (Status.WARMING, Trigger.STOP): Status.STOPPED,
    (Status.WARMING, Trigger.FAIL): Status.ERROR,
    (Status.RUNNING, Trigger.PAUSE): Status.PAUSED,
    (Status.RUNNING, Trigger.STOP): Status.STOPPED,
    (Status.RUNNING, Trigger.FAIL): Status.ERROR,
    (Status.PAUSED, Trigger.RESUME): Status.RUNNING,
    (Status.PAUSED, Trigger.STOP): Status.STOPPED,
    (Status.PAUSED, Trigger.FAIL): Status.ERROR,
    (Status.STOPPED, Trigger.FAIL): Status.ERROR,
    (Status.ERROR, Trigger.RESTART): Status.WARMING,
    (Status.ERROR, Trigger.STOP): Status.STOPPED,
    (Status.ERROR, Trigger.FAIL): Status.ERROR,
}
"""Every allowed step; what is not here is refused."""


def after(status: Status, trigger: Trigger, *, instance: str) -> Status:
    """Return the status a trigger leads to.

    Raises:
        LifecycleError: The trigger is not allowed in this status; the message lists what is.

    >>> after(Status.RUNNING, Trigger.PAUSE, instance="a")
    <Status.PAUSED: 'paused'>
    """
    found = TRANSITIONS.get((status, trigger))
    if found is None:
        allowed = [step for (start, step) in TRANSITIONS if start is status]
        raise LifecycleError(
            f"instance {instance!r}: {trigger} is not possible while {status} "
            f"(possible: {', '.join(step for step in allowed if step is not Trigger.FAIL)})"
        )
    return found
