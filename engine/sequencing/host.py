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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from mmap import mmap
from time import monotonic_ns
from typing import Generic

from engine.errors import ChorusError, StrategyError
from engine.instance.commands import Command
from engine.sequencing.messages import (
    Answer,
    CandleBatch,
    Past,
    Release,
    SliceEvent,
)
from engine.sequencing.outbox import Outbox
from engine.sequencing.plate import NOBODY, PLATE_BYTES, read_plate
from engine.sequencing.route import Route
from engine.sequencing.schedule import Schedule
from engine.sequencing.seat import InstanceT, Seat, State
from engine.sequencing.stored import SeatState, Stored
from engine.sequencing.timeline import Entry, Life, Timeline, lives_of

__all__ = ["HostRunner"]

_LONG_QUEUE = 1024
"""Candles from which on an instance may be interrupted in the middle of its queue."""

_QUIET, _EXPECTING, _READY = State.QUIET, State.EXPECTING, State.READY
_BLOCKED, _HELD, _GONE = State.BLOCKED, State.HELD, State.GONE


class HostRunner(Generic[InstanceT]):
    """Many instances in one process on one participant line.

    Not thread-safe: the data-plane loop of one actor owns it.
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

    Args:
        host: Participant id.
        epoch: Number of this start.
        uncovered: As the attribute.
        plate: Where the id of the instance that runs is written, `PLATE_BYTES` long. In memory
            that outlives the process it says who ran when it died.
    """

    def __init__(
        self,
        host: str,
        epoch: int,
        uncovered: Collection[str] = (),
        *,
        plate: bytearray | mmap | None = None,
    ) -> None:
        self.host = host
        self.epoch = epoch
        self.uncovered = frozenset(uncovered)
        self.matched = -1
        self.failed: dict[str, str] = {}
        self._plate = bytearray(PLATE_BYTES) if plate is None else plate
        self._seats: dict[str, Seat[InstanceT]] = {}
        self._dropped: dict[str, Seat[InstanceT]] = {}
        self._routes: dict[str, Route[InstanceT]] = {}
        self._lines: dict[tuple[str, ...], Timeline] = {}
        self._fresh: list[Route[InstanceT]] = []
        self._schedule: Schedule[InstanceT] = Schedule()
        self._unmarked: dict[Seat[InstanceT], None] = {}
        self._outbox = Outbox()
        self._marked = -1
        self._reach = -1
        self._published_ns = 0
        self._answered_through = -1
        self._announced = -1
        self._reign = 0
        self._renewed = 0
        self._is_to_repeat = False

    # ------------------------------------------------------------------ who is here

    @property
    def current(self) -> str | None:
        """Return the instance that runs at this moment; None between instances."""
        return read_plate(self._plate)

    @property
    def instances(self) -> tuple[str, ...]:
        """Return the ids of the instances that take part, in the order they came."""
        return tuple(self._seats)

    @property
    def streams(self) -> tuple[str, ...]:
        """Return every stream some instance listens to."""
        return tuple(self._routes)

    @property
    def wanted(self) -> dict[str, int]:
        """Return the first seq of each stream that somebody has not been offered."""
        return {stream: route.wanted for stream, route in self._routes.items()}

    def add(self, instance: InstanceT, streams: Sequence[str], *, is_live: bool = True) -> None:
        """Seat an instance.

        Args:
            instance: The instance; it has seen no candle yet.
            streams: Its streams.
            is_live: Whether it takes part at once, which is possible before the first candle of its
                streams only. The others get their past offered, from the first candle on, and
                take part with `go_live` or `recover`.

        Raises:
            StrategyError: An instance of this id is here already, or candles have been offered
                that one to take part at once would miss.
        """
        if instance.id in self._seats:
            raise StrategyError(
                f"host {self.host!r}: instance {instance.id!r} is here already; remove it first"
            )
        passed = [s for s in streams if s in self._routes and self._routes[s].next_seq]
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
            uncovered=self.uncovered,
            outbox=self._outbox,
        )
        self._seats[seat.id] = seat
        self._lines.clear()
        for stream in seat.streams:
            route = self._routes.setdefault(stream, Route(stream))
            if is_live:
                route.add(seat)
            else:
                route.hold()
        if is_live:
            self._reach = -1
            self._schedule.make_ready(seat)
            self._tell_anew()
        else:
            self._schedule.held += 1

    def remove(self, instance_id: str) -> InstanceT:
        """Let an instance go; one that has failed, too.

        The coordinator has been told before that it has left or moved: until then this host speaks
        for it. What it has decided and obeyed and the coordinator does not know is forgotten.

        Raises:
            StrategyError: There is no such instance.
        """
        seat = self._dropped.pop(instance_id, None)
        if seat is None:
            seat = self._seat(instance_id)
            self._drop(seat)
        self._outbox.forget(instance_id)
        return seat.hosted

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
        seat = self._seat(instance_id)
        if seat.state is not _HELD:
            return seat.queued
        pasts = [self._routes[stream].past for stream in seat.streams]
        return sum(len(past.entries) - past.after(seat.processed) for past in pasts)

    def relive(self, instance_id: str, through: int, events: Sequence[SliceEvent]) -> None:
        """Take an instance that does not take part yet through its history up to a slice.

        Args:
            instance_id: Who.
            through: Newest slice to live through; all its candles up to it have been offered.
            events: As for `InstanceRunner.relive`.

        Raises:
            StrategyError: There is no such instance, or it takes part.
        """
        seat = self._held_seat(instance_id)
        line = self._line_of(seat)
        self._contain(seat, lambda: seat.relive_on(line, through, events))

    def go_live(self, instance_id: str, live_from: int, events: Sequence[SliceEvent]) -> None:
        """Let an instance live through the rest of its history and take part from a slice on.

        All candles published so far have been offered. If others take part already, `renew`
        follows.

        Args:
            instance_id: Who.
            live_from: As the coordinator's `join` returned it.
            events: Every order event of earlier starts.

        Raises:
            StrategyError: There is no such instance, it takes part already, or candles are missing.
        """
        before = live_from - 1
        life = Life(live_from, before, before, list(events), len(events), [])
        self._let_live({instance_id: life}, before)

    def recover(self, past: Past, stored: Stored[InstanceT] | None = None) -> None:
        """Let instances go on where they left off in another process, step by step as they went.

        They have been added with ``is_live=False``, and all candles published so far offered. If
        others take part already, `renew` follows. One that raises has failed.

        Args:
            past: What they have to live through.
            stored: States on that way, perhaps: who has one that fits goes on from there.

        Raises:
            StrategyError: There is no such instance, it takes part already, or candles are missing.
        """
        self._let_live(lives_of(past), past.matched, stored)
        self._outbox.set_aside(past.through)
        self._outbox.settle(min(self.matched, past.matched))

    def store(self, instances: Iterable[str]) -> tuple[list[SeatState], dict[str, str]]:
        """Return the present states of instances that take part, for `recover`.

        Takes some 0.1 ms each. Nobody's work depends on it: one whose state cannot be stored goes
        on.

        Returns:
            The states, and why others have none, by id.
        """
        decisions = self._outbox.by_instance()
        states: list[SeatState] = []
        failures: dict[str, str] = {}
        for name in instances:
            seat = self._seats.get(name)
            if seat is None or seat.state is _HELD:
                continue
            self._plate[:] = seat.plate
            try:
                state = seat.state_of(self.matched, decisions.get(name, []))
            except Exception as error:  # noqa: BLE001 - code of its strategy may raise anything
                failures[name] = f"{type(error).__name__}: {error}"
                continue
            finally:
                self._plate[:] = NOBODY
            if state is not None:
                states.append(state)
        return states, failures

    def _let_live(
        self,
        lives: Mapping[str, Life],
        matched: int,
        stored: Stored[InstanceT] | None = None,
    ) -> None:
        self._flush()
        seats = {name: self._held_seat(name) for name in lives}
        for stream in dict.fromkeys(s for seat in seats.values() for s in seat.streams):
            self._routes[stream].check_caught_up(self.host)
        if self._schedule.held == len(self._seats):
            # Not if others are here: they may have yet to be sent events from before that.
            self.matched = max(self.matched, matched)
        for name, seat in seats.items():
            self._revive(seat, self._line_of(seat), lives[name], stored)
        self._lines.clear()
        self._tell_anew()

    def _revive(
        self, seat: Seat[InstanceT], line: Timeline, life: Life, stored: Stored[InstanceT] | None
    ) -> None:
        self._contain(seat, lambda: seat.live_again(line, life, stored))
        if seat.state is _GONE:
            return
        for stream in seat.streams:
            route = self._routes[stream]
            rest = route.past.entries[route.past.after(seat.processed) :]
            if rest:
                seat.take(stream, rest)
                if not seat.is_single:
                    self._unmarked[seat] = None
            route.add(seat)
            route.let_go()
        if line.entries:
            seat.last = line.entries[-1][2]
        seat.mark(self._marked)
        self._schedule.make_ready(seat)

    def _line_of(self, seat: Seat[InstanceT]) -> Timeline:
        """Return what lies behind an instance that does not take part yet."""
        if seat.is_single:
            return self._routes[seat.streams[0]].past
        line = self._lines.get(seat.streams)
        if line is None:
            pasts = [self._routes[stream].past for stream in seat.streams]
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
        seat = self._seat(instance_id)
        if seat.state is not _HELD:
            raise StrategyError(
                f"host {self.host!r}: instance {instance_id!r} takes part already; its past can "
                "only be given to one that was added with is_live=False"
            )
        return seat

    def _seat(self, instance_id: str) -> Seat[InstanceT]:
        self._flush()
        seat = self._seats.get(instance_id)
        if seat is None:
            raise StrategyError(
                f"host {self.host!r}: needs an instance that is here, got {instance_id!r}; "
                f"it carries {len(self._seats)}, see `instances`"
            )
        return seat

    def _drop(self, seat: Seat[InstanceT]) -> None:
        self._schedule.leave(seat)
        was_held, seat.state = seat.state is _HELD, _GONE
        del self._seats[seat.id]
        self._unmarked.pop(seat, None)
        for stream in seat.streams:
            route = self._routes[stream]
            if was_held:
                route.let_go()
            else:
                route.remove(seat)
            if route.is_empty:
                del self._routes[stream]

    def _contain(self, seat: Seat[InstanceT], call: Callable[[], None]) -> None:
        """Call into an instance; what escapes ends it and nobody else."""
        since = monotonic_ns()
        self._plate[:] = seat.plate
        try:
            call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - one of many must not end all
            self._fail(seat, error)
        finally:
            seat.cpu_ns += monotonic_ns() - since
            self._plate[:] = NOBODY

    def _fail(self, seat: Seat[InstanceT], error: BaseException) -> None:
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
        first, expected = candles[0].seq, route.wanted
        if first > expected:
            return (expected, first)
        for seq, candle in enumerate(candles, first):
            if candle.seq != seq:
                raise StrategyError(
                    f"stream {stream!r}: candle {candle.seq} follows {seq - 1} in one message"
                )
        self._published_ns = max(self._published_ns, batch.published_ns)
        live, held = route.split(batch)
        if held:
            route.past.extend(held)
            self._lines.clear()
        if live:
            self._distribute(route, live)
        if len(self._routes) == 1:
            self._reach = max(self._reach, batch.slices[-1])
        return None

    def _distribute(self, route: Route[InstanceT], entries: list[Entry]) -> None:
        route.next_seq += len(entries)
        for seat in route.merging:
            self._hand(seat, route.stream, entries)
        if not route.singles:
            return
        if route.fresh:
            route.fresh.extend(entries)
        else:
            route.fresh = entries
            self._fresh.append(route)

    def _hand(self, seat: Seat[InstanceT], stream: str, entries: Sequence[Entry]) -> None:
        seat.take(stream, entries)
        if not seat.is_single:
            self._unmarked[seat] = None
        elif seat.state <= _EXPECTING:
            self._schedule.make_ready(seat)

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
        self._marked = max(self._marked, through)
        for seat in list(self._unmarked):
            seat.mark(through)
            if seat.newest <= through:
                del self._unmarked[seat]
            if seat.state <= _EXPECTING:
                self._schedule.make_ready(seat)

    def release(self, release: Release) -> None:
        """Apply order events, each to its instance, and learn how far the order manager is.

        An instance an event comes too late for has failed; events of instances that are not here
        are ignored, and so is what an earlier reign or epoch said (see `repeat` and `renew`).
        """
        if release.reign < self._reign or release.epoch < self._renewed:
            return
        self.matched = max(self.matched, release.through)
        self._schedule.unblock(self.matched)
        self._outbox.settle(self.matched)
        events: dict[str, list[SliceEvent]] = {}
        for entry in release.events:
            events.setdefault(entry.event.instance, []).append(entry)
        for instance_id, own in events.items():
            addressee = self._seats.get(instance_id)
            # One that does not take part yet is not meant: it was here before, and moved back.
            if addressee is not None and addressee.state is not _HELD:
                self._apply(addressee, own, release.through)

    def _apply(self, seat: Seat[InstanceT], events: list[SliceEvent], matched: int) -> None:
        self._contain(seat, lambda: seat.hear(events, matched))
        if seat.state <= _EXPECTING or seat.state is _BLOCKED:
            self._schedule.make_ready(seat)

    def command(self, instance_id: str, command: Command) -> None:
        """Have an instance obey; the next answer puts on record when it did.

        Raises:
            ChorusError: It refused, nothing has changed; or it failed, does not take part yet, or
                is not here.
        """
        seat = self._seat(instance_id)
        if seat.state is _HELD:
            raise StrategyError(f"instance {instance_id!r}: does not take part yet")
        refusal: list[ChorusError] = []

        def obey() -> None:
            try:
                seat.command(command)
            except ChorusError as error:
                refusal.append(error)

        self._contain(seat, obey)
        if refusal:
            raise refusal[0]
        if seat.state is _GONE:
            cause = self.failed[instance_id]
            raise StrategyError(f"instance {instance_id!r}: failed when told to obey: {cause}")
        if seat.state <= _EXPECTING or seat.state is _BLOCKED:
            self._schedule.make_ready(seat)

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
            schedule, matched = self._schedule, self.matched
            ready = schedule.ready
            since = monotonic_ns()
            while ready:
                seat = ready.popleft()
                if seat.state is not _READY:
                    continue
                seat.matched = matched
                self._plate[:] = seat.plate
                is_long = may_continue is not None and seat.queued > _LONG_QUEUE
                try:
                    self._schedule.settle(
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
            self._plate[:] = NOBODY
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
                self._plate[:] = seat.plate
                try:
                    if not seat.sprint(entries):
                        seat.last = last
                        self._schedule.make_ready(seat)
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
                return bool(self._schedule.ready)
        return False

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
        schedule = self._schedule
        return not schedule.ready and schedule.waiting == len(self._seats) - schedule.held

    def answer(self) -> Answer | None:
        """Return what the order manager has not been told yet, None if nothing is new.

        It says through which slice every candle of every instance is processed, and the smallest
        slice that one of them waits for; an instance that will have to wait for its next candle
        whatever it brings counts as waiting for the slice after (see `InstanceRunner.answer`).
        """
        if self._schedule.held and self._schedule.held == len(self._seats):
            return None  # the order manager may count on them already
        if self._is_to_repeat:
            return self.repeat(self._reign)
        self._flush()
        through, waiting = self._progress()
        progressed = through != self._answered_through
        is_news = waiting >= 0 and waiting != self._announced
        if not (progressed or is_news or self._outbox.commands):
            return None
        self._answered_through = through
        self._announced = waiting
        is_drained = not self._schedule.ready and self._schedule.first_blocked < 0
        published_ns = self._published_ns if progressed and is_drained else 0
        decisions, commands = self._outbox.due(through), self._outbox.take_commands()
        return Answer(self.host, self.epoch, through, waiting, published_ns, decisions, commands)

    def _progress(self) -> tuple[int, int]:
        """Return the slice through which everything is processed, and the one to wait for."""
        first_blocked = self._schedule.first_blocked
        through = self._reach
        if first_blocked >= 0:
            through = min(through, first_blocked - 1)
        for seat in self._schedule.ready:
            through = min(through, seat.through)
        through = max(through, self._answered_through)
        is_expecting = self._schedule.expects and self.matched <= through
        if is_expecting and (first_blocked < 0 or through + 1 < first_blocked):
            return through, through + 1
        return through, first_blocked

    def _tell_anew(self) -> None:
        """Say how far everybody is with the next answer, whatever was said before."""
        self._answered_through = -1
        self._announced = -1

    def renew(self, epoch: int, reign: int) -> None:
        """Speak under a new epoch from the next answer on, which repeats everything.

        The coordinator's `join` or `move` has changed whom this host speaks for; called after
        `go_live` or `recover` and before the next `answer`. Releases of an earlier epoch, still
        under way, are ignored from here on: what they held is sent again.

        Args:
            epoch: As the coordinator was given it.
            reign: As for `repeat`.
        """
        self.epoch = self._renewed = epoch
        self._reign = reign
        self._is_to_repeat = True

    def repeat(self, reign: int) -> Answer:
        """Return everything an order manager that has lost its memory may not know.

        Args:
            reign: Number of the present order manager's life; releases of earlier ones, still
                under way, are ignored from here on.
        """
        self._reign = reign
        self._is_to_repeat = False
        self._flush()
        through, waiting = self._progress()
        self._answered_through = through
        self._announced = waiting
        self._outbox.take_commands()
        present = [seat for seat in self._seats.values() if seat.state is not _HELD]
        return Answer(
            self.host,
            self.epoch,
            through,
            waiting,
            0,
            self._outbox.all_due(through),
            [command for seat in present for command in seat.commands],
            {seat.id: seat.taken for seat in present},
            reign,
        )
