"""Drives many instances of one process as a single participant.

Each instance has its own `InstanceRunner`, and with it the rule how far it may run ahead. The host
shares what does not depend on the instance: candles are decoded, checked and queued once per
stream, one answer speaks for all, one release is heard by all. It looks only at instances that
something has happened to: candles, an event, the slice they wait for being matched. An instance
runs along a whole batch before the next one does, so that its data stay in the processor's caches.

Most instances are quiet most of the time: nothing of theirs is undecided, no order works. Until
they decide something no event can come, so nobody has to ask before each candle whether to wait,
and their candles pass through no queue.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
    QUIET = 0  # no candles; one stream, and no event can come before it decides something
    IDLE = 1  # no candles; the next one may have to wait
    EXPECTING = 2  # no candles; the next one must wait whatever it brings
    READY = 3  # has to be run
    BLOCKED = 4  # has candles, waits until the slice of the first one is matched
    HELD = 5  # not live
    GONE = 6  # removed or failed


_QUIET, _IDLE, _EXPECTING, _READY, _BLOCKED, _HELD, _GONE = _State


class _Seat(InstanceRunner, Generic[InstanceT]):
    """The runner of one hosted instance, and what the host knows about it.

    Attributes:
        newest: Slice of the newest candle taken, where several streams are merged.
        cpu_ns: Time it has run, ns.
    """

    # What every candle touches is kept out of the runner's dict: with thousands of instances each
    # of these is a cache miss.
    __slots__ = ("cpu_ns", "hosted", "id", "last", "newest", "state")

    def __init__(
        self,
        instance: InstanceT,
        *,
        host: HostRunner[InstanceT],
        streams: Sequence[str],
        is_live: bool,
        processed: int,
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
        self.state = _IDLE if is_live else _HELD
        self.last: Candle | None = None
        self.newest = -1
        self.cpu_ns = 0
        self.through = self._processed = processed
        self._decisions = decisions

    @property
    def streams(self) -> tuple[str, ...]:
        """Return the instance's streams."""
        return self._streams

    @property
    def is_single(self) -> bool:
        """Return whether it listens to one stream only."""
        return self._is_single

    @property
    def processed(self) -> int:
        """Return the newest slice it has processed a candle of, -1 if none."""
        return self._processed

    def waiting_candles(self) -> list[Candle]:
        """Return all candles not processed."""
        return [entry[-1] for entry in self._queue] + [entry[-1] for entry in self._unmerged]

    def take(self, stream: str, entries: Sequence[_Entry]) -> None:
        """Queue candles that follow those taken before; nothing is checked."""
        number, _, self.last = entries[-1]
        if self._is_single:
            self._queue.extend(entries)
            return
        rank = self._rank[stream]
        self.newest = max(self.newest, number)
        self._unmerged.extend(
            (number, candle.close_time, rank, time, candle) for number, time, candle in entries
        )

    def run(self, *, may_continue: Callable[[], bool] | None = None) -> bool:
        """Process queued candles as `InstanceRunner.run`; see `sprint`."""
        queue = self._queue
        if may_continue is None and len(queue) > 1 and self._is_quiet(queue[0][2]):
            entries = tuple(queue)
            queue.clear()
            self.waiting = -1
            if self.sprint(entries):
                return False
        return super().run(may_continue=may_continue)

    def _is_quiet(self, candle: Candle) -> bool:
        """Tell whether no event can come before the instance decides something.

        What has to wait for no late candle has nothing at work that any candle could touch.
        """
        return self._is_live and self._is_single and not self.instance.must_hear(candle, late=True)

    def sprint(self, entries: Iterable[_Entry]) -> bool:
        """Process candles of a quiet instance without asking before each whether it must wait.

        Returns:
            Whether all are processed and it decided nothing; what is left is queued otherwise.
        """
        on_candle = self.hosted.on_candle
        remaining = iter(entries)
        number = self._processed
        for number, _, candle in remaining:
            decision = on_candle(candle)
            if decision is not None:
                self._decisions.append(SliceDecision(number, decision))
                break
        else:
            self._processed = self.through = number
            return True
        queue = self._queue
        for entry in remaining:
            if entry[0] != number:
                queue.append(entry)
                break
            # Decided together with the candle before: nothing can come between them.
            decision = on_candle(entry[2])
            if decision is not None:
                self._decisions.append(SliceDecision(number, decision))
        queue.extend(remaining)
        self._processed = self.through = number
        return False

    def state_at_rest(self) -> _State:
        """Return the state of a live seat that has no candles to process."""
        if self.last is not None and self._is_quiet(self.last):
            return _QUIET
        return _EXPECTING if self.instance.expects_event else _IDLE


class _Route(Generic[InstanceT]):
    """A stream and who listens to it.

    Attributes:
        next_seq: First seq that somebody has not taken.
        ahead: Those that need later ones only: what they take next.
        singles: Those that listen to this stream only.
        merging: Those that listen to others, too.
        fresh: Candles that `singles` have not taken yet.
    """

    __slots__ = ("ahead", "fresh", "merging", "next_seq", "singles", "stream")

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.next_seq = 0
        self.singles: list[_Seat[InstanceT]] = []
        self.merging: list[_Seat[InstanceT]] = []
        self.ahead: dict[_Seat[InstanceT], int] = {}
        self.fresh: list[_Entry] = []

    @property
    def seats(self) -> list[_Seat[InstanceT]]:
        return self.singles + self.merging

    def taken_by(self, seat: _Seat[InstanceT]) -> int:
        """Return the first seq a seat has not taken."""
        return self.ahead.get(seat, self.next_seq)

    def add(self, seat: _Seat[InstanceT], first: int) -> None:
        """Let a seat listen from a seq on."""
        seats = self.seats
        if not seats:
            self.next_seq = first
        elif first > self.next_seq:
            self.ahead[seat] = first
        elif first < self.next_seq:
            for other in seats:
                self.ahead.setdefault(other, self.next_seq)
            self.next_seq = first
        (self.singles if seat.is_single else self.merging).append(seat)

    def remove(self, seat: _Seat[InstanceT]) -> None:
        """Let a seat go; what only it had missed need not be made up for any more."""
        (self.singles if seat.is_single else self.merging).remove(seat)
        self.ahead.pop(seat, None)
        seats = self.seats
        if seats and len(self.ahead) == len(seats):
            self.next_seq = min(self.ahead.values())
            self.ahead = {seat: seq for seat, seq in self.ahead.items() if seq > self.next_seq}


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
        self._held = 0
        self._fresh: list[_Route[InstanceT]] = []
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
        self._flush()
        stands = standing or Standing()
        seat = _Seat(
            instance,
            host=self,
            streams=streams,
            is_live=is_live,
            processed=stands.processed,
            decisions=self._decisions,
        )
        self._seats[seat.id] = seat
        for stream in seat.streams:
            route = self._routes.setdefault(stream, _Route(stream))
            route.add(seat, stands.next_seq.get(stream, 0))
        if is_live:
            self._enter(seat)
        else:
            self._held += 1

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
        seat = self._seat(instance_id)
        next_seq = {stream: self._routes[stream].taken_by(seat) for stream in seat.streams}
        for candle in seat.waiting_candles():
            next_seq[candle.stream] = min(next_seq[candle.stream], candle.seq)
        return Standing(seat.processed, next_seq)

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
            self._held -= 1
            self.matched = max(self.matched, live_from - 1)
            self._make_ready(seat)
            self.renew()

    def _seat(self, instance_id: str) -> _Seat[InstanceT]:
        self._flush()
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
            if not route.singles and not route.merging:
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
            self._distribute(route, entries)
            if len(self._routes) == 1:
                self._reach = max(self._reach, entries[-1][0])
        return None

    def _distribute(self, route: _Route[InstanceT], entries: list[_Entry]) -> None:
        first = route.next_seq
        route.next_seq = first + len(entries)
        if route.ahead:
            self._flush()
            for seat in route.seats:
                own = entries[max(0, route.ahead.get(seat, first) - first) :]
                if own:
                    route.ahead.pop(seat, None)
                    self._hand(seat, route.stream, own)
            return
        for seat in route.merging:
            self._hand(seat, route.stream, entries)
        if not route.singles:
            return
        if route.fresh:
            route.fresh.extend(entries)
        else:
            route.fresh = entries
            self._fresh.append(route)

    def _hand(self, seat: _Seat[InstanceT], stream: str, entries: Sequence[_Entry]) -> None:
        seat.take(stream, entries)
        if not seat.is_single:
            self._unmarked[seat] = None
        elif seat.state <= _EXPECTING:
            self._make_ready(seat)

    def _flush(self) -> None:
        """Queue what has been offered where it would otherwise pass through no queue."""
        fresh, self._fresh = self._fresh, []
        for route in fresh:
            entries, route.fresh = route.fresh, []
            for seat in route.singles:
                self._hand(seat, route.stream, entries)

    def mark(self, through: int) -> None:
        """Declare that nothing older than or equal to slice `through` is still to come."""
        self._reach = max(self._reach, through)
        for seat in list(self._unmarked):
            seat.mark(through)
            if seat.newest <= through:
                del self._unmarked[seat]
            if seat.state <= _EXPECTING:
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
        if seat.state <= _EXPECTING or seat.state is _BLOCKED:
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
        try:
            if self._run_quiet(may_continue):
                return True
            ready, matched = self._ready, self.matched
            since = monotonic_ns()
            while ready:
                seat = ready.popleft()
                if seat.state is not _READY:
                    continue
                seat.matched = matched
                self.current = (seat.id, since)
                is_long = may_continue is not None and seat.queued > _LONG_QUEUE
                try:
                    self._settle(
                        seat, more=seat.run(may_continue=may_continue if is_long else None)
                    )
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # noqa: BLE001 - one of many must not end all
                    self._fail(seat, error)
                now = monotonic_ns()
                seat.cpu_ns += now - since
                since = now
                if may_continue is not None and ready and not may_continue():
                    return True
        finally:
            self.current = None
        return False

    def _run_quiet(self, may_continue: Callable[[], bool] | None) -> bool:
        """Take quiet instances along their fresh candles; queue those of the others.

        Returns:
            True if stopped by `may_continue` and something is left; all that is, is queued then.
        """
        since = monotonic_ns()
        while self._fresh:
            route = self._fresh.pop()
            stream, entries, route.fresh = route.stream, route.fresh, []
            may_be_long = may_continue is not None and len(entries) > _LONG_QUEUE
            last = entries[-1][2]
            stopped = False
            # A copy: whoever fails leaves the list.
            for seat in tuple(route.singles):
                if seat.state is not _QUIET or may_be_long or stopped:
                    self._hand(seat, stream, entries)
                    continue
                self.current = (seat.id, since)
                try:
                    if not seat.sprint(entries):
                        seat.last = last
                        self._make_ready(seat)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # noqa: BLE001 - one of many must not end all
                    self._fail(seat, error)
                now = monotonic_ns()
                seat.cpu_ns += now - since
                since = now
                stopped = may_continue is not None and not may_continue()
            if stopped:
                self._flush()
                return bool(self._ready)
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
        else:
            seat.state = seat.state_at_rest()
            if seat.state is _EXPECTING:
                self._expecting[seat] = None

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
        elif seat.state is _HELD:
            self._held -= 1

    # ------------------------------------------------------------------ what is told

    @property
    def awaits_release(self) -> bool:
        """Return whether nothing at all can be processed before a release, which is sure to come.

        The order manager was told so in an answer, and every instance waits. Not where a mark is
        still missing before the slice announced: the order manager waits for what it brings.
        """
        if self._announced <= self.matched or self._announced > self._answered_through + 1:
            return False
        self._flush()
        if self._ready:
            return False
        waiting = len(self._expecting) + sum(map(len, self._blocked.values()))
        return waiting == len(self._seats) - self._held

    def answer(self) -> Answer | None:
        """Return what the order manager has not been told yet, None if nothing is new.

        It says through which slice every candle of every instance is processed, and the smallest
        slice that one of them waits for; an instance that will have to wait for its next candle
        whatever it brings counts as waiting for the slice after (see `InstanceRunner.answer`).
        """
        self._flush()
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
