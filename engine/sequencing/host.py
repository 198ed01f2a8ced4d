"""Drives many instances of one process as a single participant.

Each instance has its own `InstanceRunner`, and with it the rule how far it may run ahead. The host
shares what does not depend on the instance: candles are decoded, checked and queued once per
stream, one answer speaks for all, one release is heard by all. It looks only at instances that
something has happened to: candles, an event, the slice they wait for being matched. An instance
runs along a whole batch before the next one does, so that its data stay in the processor's caches.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import IntEnum
from heapq import heappop, heappush
from operator import attrgetter
from time import monotonic_ns
from typing import Generic, Protocol, TypeVar

import msgspec

from engine.errors import StrategyError
from engine.sequencing.messages import Answer, CandleBatch, Release, SliceDecision, SliceEvent
from engine.sequencing.runner import InstanceRunner, RunnableInstance
from engine.types import Candle

__all__ = ["HostRunner", "HostedInstance", "Standing"]

_LONG_QUEUE = 1024
"""Candles from which on an instance may be interrupted in the middle of its queue."""

_Entry = tuple[int, int, Candle]
_slice_of = attrgetter("slice")


class HostedInstance(RunnableInstance, Protocol):
    """What the host needs of an instance; see `engine.instance.Instance`."""

    id: str


InstanceT = TypeVar("InstanceT", bound=HostedInstance)


class Standing(msgspec.Struct, frozen=True):
    """How far an instance has come, for one that moves to another host.

    Attributes:
        processed: Newest slice of which it has processed a candle; -1 if none.
        next_seq: First seq it has not processed, by stream.
    """

    processed: int = -1
    next_seq: Mapping[str, int] = {}


class _State(IntEnum):
    IDLE = 0  # nothing to do
    READY = 1  # has to be run
    BLOCKED = 2  # has candles, waits until the slice of the first one is matched
    EXPECTING = 3  # has no candles, and must wait for the next one whatever it brings
    HELD = 4  # not live
    GONE = 5  # removed or failed


_IDLE, _READY, _BLOCKED, _EXPECTING, _HELD, _GONE = _State


class _Seat(InstanceRunner, Generic[InstanceT]):
    """The runner of one hosted instance, and what the host knows about it.

    Attributes:
        newest: Slice of the newest candle taken.
        cpu_ns: Time it has run, ns.
    """

    def __init__(
        self,
        instance: InstanceT,
        *,
        host: HostRunner[InstanceT],
        streams: Sequence[str],
        is_live: bool,
        standing: Standing,
        decisions: list[SliceDecision],
    ) -> None:
        super().__init__(
            instance,
            host=host.host,
            epoch=host.epoch,
            streams=streams,
            is_live=is_live,
            uncovered=host.uncovered,
        )
        self.id = instance.id
        self.hosted = instance
        self.streams = self._streams
        self.is_single = self._is_single
        self.state = _IDLE if is_live else _HELD
        self.newest = -1
        self.cpu_ns = 0
        self.through = self._processed = standing.processed
        self._next_seq.update(standing.next_seq)
        self._decisions = decisions

    def next_seq(self, stream: str) -> int:
        """Return the first seq of a stream that was not taken."""
        return self._next_seq[stream]

    def take(self, stream: str, entries: Sequence[_Entry]) -> None:
        """Queue candles that follow those taken before, as `offer` does after its checks."""
        number, _, candle = entries[-1]
        self._next_seq[stream] = candle.seq + 1
        if self._is_single:
            self._queue.extend(entries)
            return
        rank = self._rank[stream]
        self.newest = max(self.newest, number)
        self._unmerged.extend(
            (number, candle.close_time, rank, time, candle) for number, time, candle in entries
        )

    def standing(self) -> Standing:
        """Return how far it has come; queued candles are not part of that."""
        next_seq = dict(self._next_seq)
        queued = [entry[-1] for entry in self._queue] + [entry[-1] for entry in self._unmerged]
        for candle in queued:
            next_seq[candle.stream] = min(next_seq[candle.stream], candle.seq)
        return Standing(self._processed, next_seq)


class _Route(Generic[InstanceT]):
    """A stream and who listens to it.

    Attributes:
        next_seq: First seq that somebody has not taken.
        ahead: Those that need later ones only: what they take next.
    """

    __slots__ = ("ahead", "next_seq", "seats")

    def __init__(self) -> None:
        self.next_seq = 0
        self.seats: list[_Seat[InstanceT]] = []
        self.ahead: dict[_Seat[InstanceT], int] = {}

    def add(self, seat: _Seat[InstanceT], stream: str) -> None:
        first = seat.next_seq(stream)
        if not self.seats:
            self.next_seq = first
        elif first > self.next_seq:
            self.ahead[seat] = first
        elif first < self.next_seq:
            for other in self.seats:
                self.ahead.setdefault(other, self.next_seq)
            self.next_seq = first
        self.seats.append(seat)

    def remove(self, seat: _Seat[InstanceT]) -> None:
        self.seats.remove(seat)
        self.ahead.pop(seat, None)
        if self.seats and len(self.ahead) == len(self.seats):
            self._advance(min(self.ahead.values()))

    def _advance(self, next_seq: int) -> None:
        self.next_seq = next_seq
        if self.ahead:
            self.ahead = {seat: seq for seat, seq in self.ahead.items() if seq > next_seq}


class HostRunner(Generic[InstanceT]):
    """Many instances in one process on one participant line.

    Not thread-safe: the data-plane loop of one actor owns it; `current` may be read from anywhere.
    The calls are those of `InstanceRunner`. If the instances listen to more than one stream
    together, progress is reported with the calls of `mark`.

    Attributes:
        host: Participant id.
        epoch: Number of this start.
        uncovered: Streams whose candles do not tell what may fill (`Market.uncovered`).
        matched: Slice up to which the order manager is known to have matched.
        failed: Why an instance was dropped, by its id, in the order it happened. That an exception
            reaches the host at all is a defect of the instance or of the engine: strategy code is
            contained by the instance itself.
        current: Instance that runs at this moment and since when (`time.monotonic_ns`).

    Args:
        host: Participant id.
        epoch: Number of this start.
        uncovered: As the attribute.
    """

    def __init__(self, host: str, epoch: int, uncovered: Collection[str] = ()) -> None:
        self.host = host
        self.epoch = epoch
        self.uncovered = frozenset(uncovered)
        self.matched = -1
        self.failed: dict[str, str] = {}
        self.current: tuple[str, int] | None = None
        self._seats: dict[str, _Seat[InstanceT]] = {}
        self._dropped: dict[str, _Seat[InstanceT]] = {}
        self._routes: dict[str, _Route[InstanceT]] = {}
        self._ready: deque[_Seat[InstanceT]] = deque()
        self._blocked: dict[int, dict[_Seat[InstanceT], None]] = {}
        self._blocked_slices: list[int] = []
        self._expecting: dict[_Seat[InstanceT], None] = {}
        self._unmarked: dict[_Seat[InstanceT], None] = {}
        self._decisions: list[SliceDecision] = []
        self._reach = -1
        self._published_ns = 0
        self._answered_through = -1
        self._announced = -1

    # ------------------------------------------------------------------ who is here

    @property
    def instances(self) -> tuple[str, ...]:
        """Return the ids of the instances that take part, in the order they came."""
        return tuple(self._seats)

    @property
    def streams(self) -> tuple[str, ...]:
        """Return every stream some instance listens to."""
        return tuple(self._routes)

    def add(
        self,
        instance: InstanceT,
        streams: Sequence[str],
        *,
        is_live: bool = True,
        standing: Standing | None = None,
    ) -> None:
        """Let an instance take part; between two slices, see `renew`.

        Candles it lacks are missed by the next `offer` of their stream, which names them.

        Args:
            instance: The instance.
            streams: Its streams.
            is_live: False holds its candles back until `go_live`.
            standing: Where it stands if it comes from another host; None: it starts at seq 0.

        Raises:
            StrategyError: An instance of this id is here already.
        """
        if instance.id in self._seats:
            raise StrategyError(
                f"host {self.host!r}: instance {instance.id!r} is here already; remove it first"
            )
        seat = _Seat(
            instance,
            host=self,
            streams=streams,
            is_live=is_live,
            standing=standing or Standing(),
            decisions=self._decisions,
        )
        self._seats[seat.id] = seat
        for stream in seat.streams:
            self._routes.setdefault(stream, _Route()).add(seat, stream)
        if is_live:
            self._enter(seat)

    def _enter(self, seat: _Seat[InstanceT]) -> None:
        self._reach = min(self._reach, seat.through)
        self._make_ready(seat)
        self.renew()

    def remove(self, instance_id: str) -> InstanceT:
        """Let an instance go, with all its state; one that has failed, too.

        What it has decided is still answered here. Candles it has not processed are forgotten: ask
        for its `standing` before, and give it to its next host.

        Raises:
            StrategyError: There is no such instance.
        """
        dropped = self._dropped.pop(instance_id, None)
        if dropped is not None:
            return dropped.hosted
        seat = self._seat(instance_id)
        self._drop(seat)
        self.renew()
        return seat.hosted

    def standing(self, instance_id: str) -> Standing:
        """Return how far an instance has come.

        Raises:
            StrategyError: There is no such instance.
        """
        return self._seat(instance_id).standing()

    def cpu_ns(self, instance_id: str) -> int:
        """Return for how long an instance has run, ns.

        Raises:
            StrategyError: There is no such instance.
        """
        return self._seat(instance_id).cpu_ns

    def queued(self, instance_id: str) -> int:
        """Return how many candles wait to be processed by an instance.

        Raises:
            StrategyError: There is no such instance.
        """
        return self._seat(instance_id).queued

    def renew(self) -> None:
        """Say everything anew with the next answer.

        The coordinator forgets what a host announced when it joins again, so this is called after
        it has; instances come and go where nothing else is under way: every slice published is
        answered, decided, and its releases have arrived.
        """
        self._answered_through = -1
        self._announced = -1

    def relive(self, instance_id: str, through: int, events: Sequence[SliceEvent]) -> None:
        """Take one instance through its history; see `InstanceRunner.relive`.

        Raises:
            StrategyError: There is no such instance.
        """
        seat = self._seat(instance_id)
        self._contain(seat, lambda: seat.relive(through, events))

    def go_live(self, instance_id: str, live_from: int, events: Sequence[SliceEvent]) -> None:
        """Let one instance take part from a slice on; see `InstanceRunner.go_live`.

        All candles published so far have been offered.

        Raises:
            StrategyError: There is no such instance.
        """
        seat = self._seat(instance_id)
        self._contain(seat, lambda: seat.go_live(live_from, events))
        if seat.state is _HELD:
            seat.state = _IDLE
            self.matched = max(self.matched, live_from - 1)
            self._make_ready(seat)
            self.renew()

    def _seat(self, instance_id: str) -> _Seat[InstanceT]:
        seat = self._seats.get(instance_id)
        if seat is None:
            raise StrategyError(
                f"host {self.host!r}: needs an instance that is here, got {instance_id!r}; "
                f"it carries {len(self._seats)}, see `instances`"
            )
        return seat

    def _drop(self, seat: _Seat[InstanceT]) -> None:
        self._leave_state(seat)
        seat.state = _GONE
        del self._seats[seat.id]
        self._unmarked.pop(seat, None)
        for stream in seat.streams:
            route = self._routes[stream]
            route.remove(seat)
            if not route.seats:
                del self._routes[stream]

    def _contain(self, seat: _Seat[InstanceT], call: Callable[[], None]) -> None:
        """Call into an instance; what escapes ends it and nobody else."""
        since = monotonic_ns()
        self.current = (seat.id, since)
        try:
            call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - one of many must not end all
            self._fail(seat, error)
        finally:
            seat.cpu_ns += monotonic_ns() - since
            self.current = None

    def _fail(self, seat: _Seat[InstanceT], error: BaseException) -> None:
        # Not the exception itself: its traceback would keep everything it passed alive.
        self.failed[seat.id] = traceback.format_exception_only(error)[-1].strip()
        self._drop(seat)
        self._dropped[seat.id] = seat

    # ------------------------------------------------------------------ what arrives

    def offer(self, batch: CandleBatch) -> tuple[int, int] | None:
        """Queue candles for all that listen; those already seen are ignored.

        Returns:
            None, or the ``[from_seq, to_seq)`` that somebody misses before the batch. Nothing is
            queued then: the caller fetches that from the stream log and offers both in order.

        Raises:
            StrategyError: The batch itself has a hole.
        """
        stream, candles = batch.stream, batch.candles
        route = self._routes.get(stream)
        if route is None or not candles:
            return None
        first, expected = candles[0].seq, route.next_seq
        if first > expected:
            return (expected, first)
        for seq, candle in enumerate(candles, first):
            if candle.seq != seq:
                raise StrategyError(
                    f"stream {stream!r}: candle {candle.seq} follows {seq - 1} in one message"
                )
        self._published_ns = max(self._published_ns, batch.published_ns)
        entries = list(zip(batch.slices, batch.times, candles, strict=True))
        if first < expected:
            del entries[: expected - first]
        if entries:
            self._distribute(route, stream, entries)
            if len(self._routes) == 1:
                self._reach = max(self._reach, entries[-1][0])
        return None

    def _distribute(self, route: _Route[InstanceT], stream: str, entries: Sequence[_Entry]) -> None:
        first = route.next_seq
        route.next_seq = first + len(entries)
        ahead = route.ahead
        for seat in route.seats:
            if ahead and seat in ahead:
                own = entries[ahead[seat] - first :]
                if not own:
                    continue
                del ahead[seat]
                seat.take(stream, own)
            else:
                seat.take(stream, entries)
            if not seat.is_single:
                self._unmarked[seat] = None
            elif seat.state is _IDLE or seat.state is _EXPECTING:
                self._make_ready(seat)

    def mark(self, through: int) -> None:
        """Declare that nothing older than or equal to slice `through` is still to come."""
        self._reach = max(self._reach, through)
        for seat in list(self._unmarked):
            seat.mark(through)
            if seat.newest <= through:
                del self._unmarked[seat]
            if seat.state is _IDLE or seat.state is _EXPECTING:
                self._make_ready(seat)

    def release(self, release: Release) -> None:
        """Apply order events, each to its instance, and learn how far the order manager is.

        An instance an event comes too late for has failed; events of instances that are not here
        are ignored.
        """
        self.matched = max(self.matched, release.through)
        while self._blocked_slices and self._blocked_slices[0] <= self.matched:
            for seat in self._blocked.pop(heappop(self._blocked_slices), ()):
                seat.state = _READY
                self._ready.append(seat)
        events: dict[str, list[SliceEvent]] = {}
        for entry in release.events:
            events.setdefault(entry.event.instance, []).append(entry)
        for instance_id, own in events.items():
            addressee = self._seats.get(instance_id)
            if addressee is not None:
                self._apply(addressee, Release(release.through, own))

    def _apply(self, seat: _Seat[InstanceT], release: Release) -> None:
        self._contain(seat, lambda: seat.release(release))
        if seat.state in (_IDLE, _BLOCKED, _EXPECTING):
            self._make_ready(seat)

    # ------------------------------------------------------------------ work

    def run(self, *, may_continue: Callable[[], bool] | None = None) -> bool:
        """Process what can be, instance after instance.

        Args:
            may_continue: Asked after every instance; returning False ends this call early. While
                an instance has very much to catch up with, it is asked after every candle.

        Returns:
            True if more could be processed at once (stopped by `may_continue`).
        """
        ready, matched = self._ready, self.matched
        since = monotonic_ns()
        try:
            while ready:
                seat = ready.popleft()
                if seat.state is not _READY:
                    continue
                seat.matched = matched
                self.current = (seat.id, since)
                is_long = may_continue is not None and seat.queued > _LONG_QUEUE
                try:
                    more = seat.run(may_continue=may_continue if is_long else None)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # noqa: BLE001 - one of many must not end all
                    self._fail(seat, error)
                else:
                    self._settle(seat, more=more)
                now = monotonic_ns()
                seat.cpu_ns += now - since
                since = now
                if may_continue is not None and ready and not may_continue():
                    return True
        finally:
            self.current = None
        return False

    def _settle(self, seat: _Seat[InstanceT], *, more: bool) -> None:
        """Note what an instance that was run waits for."""
        if more:
            self._ready.append(seat)
        elif seat.waiting >= 0:
            seat.state = _BLOCKED
            bucket = self._blocked.get(seat.waiting)
            if bucket is None:
                self._blocked[seat.waiting] = {seat: None}
                heappush(self._blocked_slices, seat.waiting)
            else:
                bucket[seat] = None
        elif seat.instance.expects_event:
            seat.state = _EXPECTING
            self._expecting[seat] = None
        else:
            seat.state = _IDLE

    def _make_ready(self, seat: _Seat[InstanceT]) -> None:
        self._leave_state(seat)
        seat.state = _READY
        self._ready.append(seat)

    def _leave_state(self, seat: _Seat[InstanceT]) -> None:
        if seat.state is _EXPECTING:
            del self._expecting[seat]
        elif seat.state is _BLOCKED:
            # The bucket stays, empty or not: its slice is in the heap once, and leaves with it.
            del self._blocked[seat.waiting][seat]

    # ------------------------------------------------------------------ what is told

    @property
    def awaits_release(self) -> bool:
        """Return whether nothing at all can be processed before a release, which is sure to come.

        The order manager was told so in an answer, and every instance waits. Not where a mark is
        still missing before the slice announced: the order manager waits for what it brings.
        """
        if self._announced <= self.matched or self._announced > self._answered_through + 1:
            return False
        if self._ready:
            return False
        waiting = len(self._expecting) + sum(map(len, self._blocked.values()))
        return waiting == sum(seat.state is not _HELD for seat in self._seats.values())

    def answer(self) -> Answer | None:
        """Return what the order manager has not been told yet, None if nothing is new.

        It says through which slice every candle of every instance is processed, and the smallest
        slice that one of them waits for; an instance that will have to wait for its next candle
        whatever it brings counts as waiting for the slice after (see `InstanceRunner.answer`).
        """
        first_blocked = self._first_blocked()
        through = self._reached(first_blocked)
        waiting = first_blocked
        if (
            self._expecting
            and self.matched <= through
            and (first_blocked < 0 or through + 1 < first_blocked)
        ):
            waiting = through + 1
        progressed = through != self._answered_through
        if not progressed and (waiting < 0 or waiting == self._announced):
            return None
        self._answered_through = through
        self._announced = waiting
        is_drained = not self._ready and first_blocked < 0
        published_ns = self._published_ns if progressed and is_drained else 0
        decisions = self._due(through)
        return Answer(self.host, self.epoch, through, waiting, published_ns, decisions)

    def _first_blocked(self) -> int:
        """Return the smallest slice an instance with candles waits for, -1 if none."""
        slices, blocked = self._blocked_slices, self._blocked
        while slices and not blocked[slices[0]]:
            del blocked[heappop(slices)]
        return slices[0] if slices else -1

    def _reached(self, first_blocked: int) -> int:
        """Return the slice through which everything is processed."""
        through = self._reach
        if first_blocked >= 0:
            through = min(through, first_blocked - 1)
        for seat in self._ready:
            through = min(through, seat.through)
        return max(through, self._answered_through)

    def _due(self, through: int) -> list[SliceDecision]:
        """Take the decisions up to a slice; the later ones are of no use to anybody yet."""
        decisions = self._decisions
        decisions.sort(key=_slice_of)
        due = [entry for entry in decisions if entry.slice <= through]
        del decisions[: len(due)]
        return due
