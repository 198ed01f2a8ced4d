"""Plain Ray actors, what dedicated strategies are measured beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from actors.cluster import spawn
from benchmarks.harness import require_memory
from engine.errors import ChorusError

__all__ = ["require_room", "start_in_waves"]

ACTOR_MB = 60
"""Unique memory of one actor, rounded up; decides which cases fit into the machine."""

WAVE = 8
"""Actors started at the same time, on either side."""

START_TIMEOUT_S = 120.0


def require_room(actors: int) -> None:
    """Refuse more actors than the machine has memory for.

    Raises:
        UnavailableError: It has not.
    """
    require_memory(actors * ACTOR_MB)


def start_in_waves(actor_class: type, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Start one actor per tuple of arguments, a wave at a time; blocks until all are ready.

    Args:
        actor_class: Needs a method `ready`.
        arguments: Of its constructor.

    Raises:
        ChorusError: One did not start.
    """
    actors: list[Any] = []
    for first in range(0, len(arguments), WAVE):
        wave = [spawn(actor_class, *each, threads=1) for each in arguments[first : first + WAVE]]
        try:
            ray.get([actor.ready.remote() for actor in wave], timeout=START_TIMEOUT_S)
        except RayError as error:
            raise ChorusError(
                f"plain Ray actors: {len(actors)} of {len(arguments)} started, then "
                f"{type(error).__name__}: {error}; run fewer on this machine"
            ) from error
        actors += wave
    return actors
