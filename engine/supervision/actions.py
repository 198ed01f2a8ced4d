"""What a plan consists of.

Actions are carried out in order and each relies on those before it: at the first that cannot be,
the rest is left to the next planning. Each may be repeated until the actual state shows it done.

An instance that is put into a host goes on from what is stored of it; if nothing is, if it was
stopped, or if its version is another, it begins. One that goes on takes its desired status with it,
so that a paused one does not act before it is told so.
"""

from __future__ import annotations

import msgspec

from engine.supervision.desired import Isolation

__all__ = [
    "Action",
    "Adopt",
    "EndHost",
    "FailStrategy",
    "Move",
    "PauseStrategy",
    "RecoverHost",
    "ResumeStrategy",
    "StartHost",
    "StopStrategy",
]


class StartHost(msgspec.Struct, frozen=True, tag=True):
    """Start a host with these instances, or empty: others follow by `Move` once it runs."""

    id: str
    epoch: int
    kind: Isolation
    instances: tuple[str, ...]


class RecoverHost(msgspec.Struct, frozen=True, tag=True):
    """Start a host again whose process is gone; these instances continue exactly.

    Instances it had and that are not named here are no longer part of it.
    """

    id: str
    epoch: int
    instances: tuple[str, ...]


class EndHost(msgspec.Struct, frozen=True, tag=True):
    """End a process; done only when it is known to be gone. What it carried is kept as stored."""

    id: str
    epoch: int
    reason: str


class Move(msgspec.Struct, frozen=True, tag=True):
    """Take an instance out of a running host, as it is, and put it into another running one.

    `from_host` is empty where it is in none.
    """

    instance: str
    from_host: str
    to_host: str


class PauseStrategy(msgspec.Struct, frozen=True, tag=True):
    """Pause a strategy in its host; one without a host is noted as paused, with the cause."""

    id: str
    cause: str


class ResumeStrategy(msgspec.Struct, frozen=True, tag=True):
    """Let a paused strategy act again."""

    id: str


class StopStrategy(msgspec.Struct, frozen=True, tag=True):
    """Stop a strategy and take it out of its host, if it is in one; the host goes on."""

    id: str
    reason: str


class FailStrategy(msgspec.Struct, frozen=True, tag=True):
    """Note a strategy that is in no host as `error`, with the cause."""

    id: str
    cause: str


class Adopt(msgspec.Struct, frozen=True, tag=True):
    """Take a host that was found alive under supervision, as it is."""

    id: str
    epoch: int


Action = (
    StartHost
    | RecoverHost
    | EndHost
    | Move
    | PauseStrategy
    | ResumeStrategy
    | StopStrategy
    | FailStrategy
    | Adopt
)
