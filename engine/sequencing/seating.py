"""Who is in a host, and the candles that are handed to them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterable, Sequence
from mmap import mmap
from time import monotonic_ns
from typing import Generic

from engine.errors import StrategyError
from engine.sequencing.messages import CandleBatch
from engine.sequencing.outbox import Outbox
from engine.sequencing.plate import NOBODY
from engine.sequencing.route import Route
from engine.sequencing.schedule import Schedule
from engine.sequencing.seat import InstanceT, Seat, State
from engine.sequencing.stored import SeatState
from engine.sequencing.timeline import Entry

__all__ = ["Seating"]

_EXPECTING, _HELD, _GONE = State.EXPECTING, State.HELD, State.GONE


class Seating(Generic[InstanceT]):
    """The instances of a host, and the streams they listen to.

    None of the attributes is ever replaced: others may keep hold of them.

    Attributes:
        host: Participant id.
        seats: Who is here, by id, in the order they came.
        routes: Every stream some instance listens to.
        fresh: Streams with candles that quiet instances have yet to be taken along.
        schedule: What everybody waits for.
        unmarked: Who has candles of several streams beyond the newest mark.
        outbox: Takes what they decide and obey.
        plate: Where the id of the instance that runs is written.
        failed: Why an instance was dropped, by its id.

    Args:
        host: As the attribute.
        uncovered: Streams whose candles do not tell what may fill (`Market.uncovered`).
        plate: As the attribute.
    """

    __slots__ = (
        "_dropped",
        "_uncovered",
        "failed",
        "fresh",
        "host",
        "outbox",
        "plate",
        "routes",
        "schedule",
        "seats",
        "unmarked",
    )

    def __init__(self, host: str, uncovered: Collection[str], plate: bytearray | mmap) -> None:
        self.host = host
        self.seats: dict[str, Seat[InstanceT]] = {}
        self.routes: dict[str, Route[InstanceT]] = {}
        self.fresh: list[Route[InstanceT]] = []
        self.schedule: Schedule[InstanceT] = Schedule()
        self.unmarked: dict[Seat[InstanceT], None] = {}
        self.outbox = Outbox()
        self.plate = plate
        self.failed: dict[str, str] = {}
        self._dropped: dict[str, Seat[InstanceT]] = {}
        self._uncovered = uncovered

    # ------------------------------------------------------------------ coming and going

    def add(self, instance: InstanceT, streams: Sequence[str], *, is_live: bool) -> None:
        """Seat an instance, as `HostRunner.add`."""
        if instance.id in self.seats:
            raise StrategyError(
                f"host {self.host!r}: instance {instance.id!r} is here already; remove it first"
            )
        passed = [s for s in streams if s in self.routes and self.routes[s].next_seq]
        if is_live and passed:
            raise StrategyError(
                f"host {self.host!r}: instance {instance.id!r} cannot take part at once, candles "
                f"of {', '.join(passed)} have gone by; add it with is_live=False"
            )
        self._dropped.pop(instance.id, None)
        seat = Seat(
            instance,
            host=self.host,
            streams=streams,
            is_live=is_live,
            uncovered=self._uncovered,
            outbox=self.outbox,
        )
        self.seats[seat.id] = seat
        for stream in seat.streams:
            route = self.routes.setdefault(stream, Route(stream))
            if is_live:
                route.add(seat)
            else:
                route.hold()
        if is_live:
            self.schedule.make_ready(seat)
        else:
            self.schedule.held += 1

    def remove(self, instance_id: str) -> InstanceT:
        """Let an instance go, as `HostRunner.remove`."""
        seat = self._dropped.pop(instance_id, None)
        if seat is None:
            seat = self.seat(instance_id)
            self._drop(seat)
        self.outbox.forget(instance_id)
        return seat.hosted

    def seat(self, instance_id: str) -> Seat[InstanceT]:
        """Return an instance's seat, with everything queued that it was offered.

        Raises:
            StrategyError: There is no such instance.
        """
        self.flush()
        seat = self.seats.get(instance_id)
        if seat is None:
            raise StrategyError(
                f"host {self.host!r}: needs an instance that is here, got {instance_id!r}; "
                f"it carries {len(self.seats)}, see `instances`"
            )
        return seat

    def _drop(self, seat: Seat[InstanceT]) -> None:
        self.schedule.leave(seat)
        was_held, seat.state = seat.state is _HELD, _GONE
        del self.seats[seat.id]
        self.unmarked.pop(seat, None)
        for stream in seat.streams:
            route = self.routes[stream]
            if was_held:
                route.let_go()
            else:
                route.remove(seat)
            if route.is_empty:
                del self.routes[stream]

    # ------------------------------------------------------------------ calling into one of many

    def contain(self, seat: Seat[InstanceT], call: Callable[[], None]) -> None:
        """Call into an instance; what escapes ends it and nobody else."""
        since = monotonic_ns()
        self.plate[:] = seat.plate
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - one of many must not end all
            self.fail(seat, error)
        finally:
            seat.cpu_ns += monotonic_ns() - since
            self.plate[:] = NOBODY

    def fail(self, seat: Seat[InstanceT], error: BaseException) -> None:
        """Drop an instance that has raised; called while that is handled.

        Raises:
            KeyboardInterrupt: It was that, which is no fault of an instance.
        """
        if isinstance(error, KeyboardInterrupt):
            raise error
        # Not the exception itself: its traceback would keep everything it passed alive.
        self.failed[seat.id] = traceback.format_exception_only(error)[-1].strip()
        self._drop(seat)
        self._dropped[seat.id] = seat

    def store(
        self, instances: Iterable[str], matched: int
    ) -> tuple[list[SeatState], dict[str, str]]:
        """Return the present states of instances, as `HostRunner.store`.

        Args:
            instances: Whose.
            matched: Slice before which the host does not keep decisions.
        """
        decisions = self.outbox.by_instance()
        states: list[SeatState] = []
        failures: dict[str, str] = {}
        for name in instances:
            seat = self.seats.get(name)
            if seat is None or seat.state is _HELD:
                continue
            self.plate[:] = seat.plate
            try:
                state = seat.state_of(matched, decisions.get(name, []))
            except Exception as error:  # noqa: BLE001 - code of its strategy may raise anything
                failures[name] = f"{type(error).__name__}: {error}"
                continue
            finally:
                self.plate[:] = NOBODY
            if state is not None:
                states.append(state)
        return states, failures

    # ------------------------------------------------------------------ candles

    def offer(self, route: Route[InstanceT], batch: CandleBatch) -> tuple[int, int] | None:
        """Queue candles of a stream, at least one, as `HostRunner.offer`."""
        candles = batch.candles
        first, expected = candles[0].seq, route.wanted
        if first > expected:
            return (expected, first)
        for seq, candle in enumerate(candles, first):
            if candle.seq != seq:
                raise StrategyError(
                    f"stream {batch.stream!r}: candle {candle.seq} follows {seq - 1} in one message"
                )
        live, held = route.split(batch)
        if held:
            route.past.extend(held)
        if live:
            self._distribute(route, live)
        return None

    def _distribute(self, route: Route[InstanceT], entries: list[Entry]) -> None:
        route.next_seq += len(entries)
        for seat in route.merging:
            self.hand(seat, route.stream, entries)
        if not route.singles:
            return
        if route.fresh:
            route.fresh.extend(entries)
        else:
            route.fresh = entries
            self.fresh.append(route)

    def hand(self, seat: Seat[InstanceT], stream: str, entries: Sequence[Entry]) -> None:
        """Queue candles of an instance."""
        seat.take(stream, entries)
        if not seat.is_single:
            self.unmarked[seat] = None
        elif seat.state <= _EXPECTING:
            self.schedule.make_ready(seat)

    def flush(self) -> None:
        """Queue what has been offered where it would otherwise pass through no queue."""
        if not self.fresh:
            return
        routes = tuple(self.fresh)
        self.fresh.clear()
        for route in routes:
            entries, route.fresh = route.fresh, []
            for seat in route.singles:
                self.hand(seat, route.stream, entries)

    def mark(self, through: int) -> None:
        """Let those who merge streams know that nothing up to a slice is still to come."""
        for seat in list(self.unmarked):
            seat.mark(through)
            if seat.newest <= through:
                del self.unmarked[seat]
            if seat.state <= _EXPECTING:
                self.schedule.make_ready(seat)
