"""Goes round the instances of a host that have something to do."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Generic

from engine.sequencing.plate import NOBODY
from engine.sequencing.seat import InstanceT, State
from engine.sequencing.seating import Seating

__all__ = ["Rounds"]

_LONG_QUEUE = 1024
"""Candles from which on an instance may be interrupted in the middle of its queue."""

_QUIET, _READY = State.QUIET, State.READY


class Rounds(Generic[InstanceT]):
    """Runs instance after instance, each along all of its candles.

    Args:
        seating: Who is in the host.
    """

    __slots__ = ("_seating",)

    def __init__(self, seating: Seating[InstanceT]) -> None:
        self._seating = seating

    def run(self, matched: int, may_continue: Callable[[], bool] | None) -> bool:
        """Process what can be, as `HostRunner.run`.

        Args:
            matched: Slice up to which the order manager is known to have matched.
            may_continue: Asked after every instance; returning False ends this call early.
        """
        seating = self._seating
        plate = seating.plate
        try:
            if self._run_quiet(may_continue):
                return True
            schedule = seating.schedule
            ready = schedule.ready
            since = monotonic_ns()
            while ready:
                seat = ready.popleft()
                if seat.state is not _READY:
                    continue
                seat.matched = matched
                plate[:] = seat.plate
                is_long = may_continue is not None and seat.queued > _LONG_QUEUE
                try:
                    schedule.settle(
                        seat, more=seat.run(may_continue=may_continue if is_long else None)
                    )
                except BaseException as error:  # noqa: BLE001 - one of many must not end all
                    seating.fail(seat, error)
                now = monotonic_ns()
                seat.cpu_ns += now - since
                since = now
                if may_continue is not None and ready and not may_continue():
                    return True
        finally:
            plate[:] = NOBODY
        return False

    def _run_quiet(self, may_continue: Callable[[], bool] | None) -> bool:
        """Take quiet instances along their fresh candles; queue those of the others.

        Returns:
            True if stopped by `may_continue` and something is left; all that is, is queued then.
        """
        seating = self._seating
        fresh, plate, hand = seating.fresh, seating.plate, seating.hand
        since = monotonic_ns()
        while fresh:
            route = fresh.pop()
            stream, entries, route.fresh = route.stream, route.fresh, []
            may_be_long = may_continue is not None and len(entries) > _LONG_QUEUE
            last = entries[-1][2]
            stopped = False
            # A copy: whoever fails leaves the list.
            for seat in tuple(route.singles):
                if seat.state is not _QUIET or may_be_long or stopped:
                    hand(seat, stream, entries)
                    continue
                plate[:] = seat.plate
                try:
                    if not seat.sprint(entries):
                        seat.last = last
                        seating.schedule.make_ready(seat)
                except BaseException as error:  # noqa: BLE001 - one of many must not end all
                    seating.fail(seat, error)
                now = monotonic_ns()
                seat.cpu_ns += now - since
                since = now
                stopped = may_continue is not None and not may_continue()
            if stopped:
                seating.flush()
                return bool(seating.schedule.ready)
        return False
