"""Takes newcomers through history a little at a time, so that others in the process go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from engine.sequencing import SliceEvent

__all__ = ["TURN_NS", "Reliving"]

TURN_NS = 100_000_000
"""How long newcomers have the process for themselves at a time; one candle may exceed it."""

_STEP_NS = TURN_NS // 10
_FIRST_STEP = 64


class Reliving:
    """How far each newcomer has come.

    Args:
        relive: Takes an instance on to a slice, given every order event up to it.
    """

    def __init__(self, relive: Callable[[str, int, Sequence[SliceEvent]], None]) -> None:
        self._relive = relive
        self._reached: dict[str, int] = {}

    def knows(self, names: Iterable[str]) -> bool:
        """Tell whether all these have begun."""
        return all(name in self._reached for name in names)

    def begin(self, names: Iterable[str]) -> None:
        """Note who has history to live through; whoever has begun already goes on."""
        for name in names:
            self._reached.setdefault(name, -1)

    def end(self, names: Iterable[str]) -> None:
        """Forget those who take part now, or will not."""
        for name in names:
            self._reached.pop(name, None)

    def go_on(self, through: int, events: Mapping[str, Sequence[SliceEvent]]) -> list[str]:
        """Take a turn, and return who has yet to come so far.

        Args:
            through: Newest slice to live through.
            events: Who is to get there, with every order event up to it.
        """
        until = time.monotonic_ns() + TURN_NS
        slices = _FIRST_STEP
        for name, known in events.items():
            while (reached := self._reached[name]) < through:
                began = time.monotonic_ns()
                to = min(reached + slices, through)
                self._relive(name, to, [entry for entry in known if entry.slice <= to])
                self._reached[name] = to
                now = time.monotonic_ns()
                slices = slices * 2 if now - began < _STEP_NS else max(1, slices // 2)
                if now > until:
                    return [each for each in events if self._reached[each] < through]
        return []
