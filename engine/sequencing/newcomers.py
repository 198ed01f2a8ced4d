"""Those in a host who do not take part yet: they live through their past first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic

from engine.errors import StrategyError
from engine.sequencing.messages import SliceEvent
from engine.sequencing.seat import InstanceT, Seat, State
from engine.sequencing.seating import Seating
from engine.sequencing.stored import Stored
from engine.sequencing.timeline import Life, Timeline

__all__ = ["Newcomers"]

_HELD, _GONE = State.HELD, State.GONE


class Newcomers(Generic[InstanceT]):
    """Takes instances through what the others have gone through already.

    Args:
        seating: Who is in the host.
    """

    __slots__ = ("_lines", "_seating")

    def __init__(self, seating: Seating[InstanceT]) -> None:
        self._seating = seating
        self._lines: dict[tuple[str, ...], Timeline] = {}

    def forget_lines(self) -> None:
        """Merge streams anew where that is needed: somebody has come, or candles have."""
        self._lines.clear()

    def queued(self, seat: Seat[InstanceT]) -> int:
        """Return how many candles an instance has yet to live through."""
        pasts = [self._seating.routes[stream].past for stream in seat.streams]
        return sum(len(past.entries) - past.after(seat.processed) for past in pasts)

    def relive(self, instance_id: str, through: int, events: Sequence[SliceEvent]) -> None:
        """Take an instance through its history up to a slice, as `HostRunner.relive`."""
        seat = self._held_seat(instance_id)
        line = self._line_of(seat)
        self._seating.contain(seat, lambda: seat.relive_on(line, through, events))

    def let_live(
        self, lives: Mapping[str, Life], stored: Stored[InstanceT] | None, *, marked: int
    ) -> None:
        """Take instances through their lives; they take part then, or have failed.

        Args:
            lives: What they have to live through.
            stored: States on that way, perhaps.
            marked: Newest slice that is complete, where streams are merged.

        Raises:
            StrategyError: There is no such instance, it takes part already, or candles are missing.
        """
        seating = self._seating
        seating.flush()
        seats = {name: self._held_seat(name) for name in lives}
        for stream in dict.fromkeys(s for seat in seats.values() for s in seat.streams):
            seating.routes[stream].check_caught_up(seating.host)
        for name, seat in seats.items():
            self._revive(seat, lives[name], stored, marked)
        self._lines.clear()

    def _revive(
        self, seat: Seat[InstanceT], life: Life, stored: Stored[InstanceT] | None, marked: int
    ) -> None:
        line, seating = self._line_of(seat), self._seating
        seating.contain(seat, lambda: seat.live_again(line, life, stored))
        if seat.state is _GONE:
            return
        for stream in seat.streams:
            route = seating.routes[stream]
            rest = route.past.entries[route.past.after(seat.processed) :]
            if rest:
                seat.take(stream, rest)
                if not seat.is_single:
                    seating.unmarked[seat] = None
            route.add(seat)
            route.let_go()
        if line.entries:
            seat.last = line.entries[-1][2]
        seat.mark(marked)
        seating.schedule.make_ready(seat)

    def _line_of(self, seat: Seat[InstanceT]) -> Timeline:
        """Return what lies behind an instance that does not take part yet."""
        routes = self._seating.routes
        if seat.is_single:
            return routes[seat.streams[0]].past
        line = self._lines.get(seat.streams)
        if line is None:
            pasts = [routes[stream].past for stream in seat.streams]
            merged = [
                (entry[0], entry[2].close_time, seat.rank[stream], place, entry)
                for stream, past in zip(seat.streams, pasts, strict=True)
                for place, entry in enumerate(past.entries)
            ]
            merged.sort(key=lambda each: each[:4])
            line = Timeline((each[4] for each in merged), parts=pasts)
            self._lines[seat.streams] = line
        return line

    def _held_seat(self, instance_id: str) -> Seat[InstanceT]:
        seat = self._seating.seat(instance_id)
        if seat.state is not _HELD:
            raise StrategyError(
                f"host {self._seating.host!r}: instance {instance_id!r} takes part already; its "
                "past can only be given to one that was added with is_live=False"
            )
        return seat
