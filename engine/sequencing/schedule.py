"""Which instances of a host have to be run, and what the others wait for."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Generic

from engine.sequencing.seat import InstanceT, Seat, State

__all__ = ["Schedule"]

_EXPECTING, _READY, _BLOCKED, _HELD = State.EXPECTING, State.READY, State.BLOCKED, State.HELD


class Schedule(Generic[InstanceT]):
    """All instances of a host by what they wait for.

    Attributes:
        ready: Those to be run; one whose state is another by now is passed over.
        held: How many do not take part yet.
    """

    __slots__ = ("_blocked", "_blocked_slices", "_expecting", "held", "ready")

    def __init__(self) -> None:
        self.ready: deque[Seat[InstanceT]] = deque()
        self.held = 0
        self._blocked: dict[int, dict[Seat[InstanceT], None]] = {}
        self._blocked_slices: list[int] = []
        self._expecting: dict[Seat[InstanceT], None] = {}

    @property
    def waiting(self) -> int:
        """Return how many wait whatever comes."""
        return len(self._expecting) + sum(map(len, self._blocked.values()))

    @property
    def expects(self) -> bool:
        """Return whether somebody's next candle will have to wait whatever it brings."""
        return bool(self._expecting)

    @property
    def first_blocked(self) -> int:
        """Return the smallest slice an instance with candles waits for, -1 if none."""
        slices, blocked = self._blocked_slices, self._blocked
        while slices and not blocked[slices[0]]:
            del blocked[heappop(slices)]
        return slices[0] if slices else -1

    def unblock(self, matched: int) -> None:
        """Let those run that waited for a slice now matched."""
        slices, ready = self._blocked_slices, self.ready
        while slices and slices[0] <= matched:
            for seat in self._blocked.pop(heappop(slices)):
                seat.state = _READY
                ready.append(seat)

    def make_ready(self, seat: Seat[InstanceT]) -> None:
        """Have an instance run."""
        self.leave(seat)
        seat.state = _READY
        self.ready.append(seat)

    def settle(self, seat: Seat[InstanceT], *, more: bool) -> None:
        """Note what an instance that was run waits for."""
        if more:
            self.ready.append(seat)
        elif seat.waiting >= 0:
            seat.state = _BLOCKED
            bucket = self._blocked.get(seat.waiting)
            if bucket is None:
                self._blocked[seat.waiting] = {seat: None}
                heappush(self._blocked_slices, seat.waiting)
            else:
                bucket[seat] = None
        else:
            seat.state = seat.state_at_rest()
            if seat.state is _EXPECTING:
                self._expecting[seat] = None

    def leave(self, seat: Seat[InstanceT]) -> None:
        """Take an instance out of where its state has put it."""
        if seat.state is _EXPECTING:
            del self._expecting[seat]
        elif seat.state is _BLOCKED:
            # The bucket stays, empty or not: its slice is in the heap once, and leaves with it.
            del self._blocked[seat.waiting][seat]
        elif seat.state is _HELD:
            self.held -= 1
