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

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from mmap import mmap
from typing import Generic

from engine.errors import ChorusError, StrategyError
from engine.instance.commands import Command
from engine.sequencing.conversation import Conversation
from engine.sequencing.messages import Answer, CandleBatch, Past, Release, SliceEvent
from engine.sequencing.newcomers import Newcomers
from engine.sequencing.plate import PLATE_BYTES, read_plate
from engine.sequencing.rounds import Rounds
from engine.sequencing.seat import InstanceT, Seat, State
from engine.sequencing.seating import Seating
from engine.sequencing.stored import SeatState, Stored
from engine.sequencing.timeline import Life, lives_of

__all__ = ["HostRunner"]

_EXPECTING, _BLOCKED, _HELD, _GONE = State.EXPECTING, State.BLOCKED, State.HELD, State.GONE


class HostRunner(Generic[InstanceT]):
    """Many instances in one process on one participant line.

    Not thread-safe: the data-plane loop of one actor owns it.
    The calls are those of `InstanceRunner`. If the instances listen to more than one stream
    together, progress is reported with the calls of `mark`.

    Attributes:
        host: Participant id.
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
        self.uncovered = frozenset(uncovered)
        self.matched = -1
        self._plate = bytearray(PLATE_BYTES) if plate is None else plate
        self._seating: Seating[InstanceT] = Seating(host, self.uncovered, self._plate)
        self._newcomers: Newcomers[InstanceT] = Newcomers(self._seating)
        self._rounds: Rounds[InstanceT] = Rounds(self._seating)
        self._seats = self._seating.seats
        self._routes = self._seating.routes
        self._schedule = self._seating.schedule
        self._outbox = self._seating.outbox
        self.failed = self._seating.failed
        self._talk = Conversation(host, epoch)
        self._marked = -1
        self._reach = -1
        self._published_ns = 0

    @property
    def epoch(self) -> int:
        """Return the number of this start, which answers carry."""
        return self._talk.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._talk.epoch = epoch

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
        self._seating.add(instance, streams, is_live=is_live)
        self._newcomers.forget_lines()
        if is_live:
            self._reach = -1
            self._talk.tell_anew()

    def remove(self, instance_id: str) -> InstanceT:
        """Let an instance go; one that has failed, too.

        The coordinator has been told before that it has left or moved: until then this host speaks
        for it. What it has decided and obeyed and the coordinator does not know is forgotten.

        Raises:
            StrategyError: There is no such instance.
        """
        return self._seating.remove(instance_id)

    def cpu_ns(self, instance_id: str) -> int:
        """Return for how long an instance has run, ns.

        Raises:
            StrategyError: There is no such instance.
        """
        return self._seating.seat(instance_id).cpu_ns

    def queued(self, instance_id: str) -> int:
        """Return how many candles wait to be processed by an instance.

        Raises:
            StrategyError: There is no such instance.
        """
        seat = self._seating.seat(instance_id)
        return seat.queued if seat.state is not _HELD else self._newcomers.queued(seat)

    def relive(self, instance_id: str, through: int, events: Sequence[SliceEvent]) -> None:
        """Take an instance that does not take part yet through its history up to a slice.

        Args:
            instance_id: Who.
            through: Newest slice to live through; all its candles up to it have been offered.
            events: As for `InstanceRunner.relive`.

        Raises:
            StrategyError: There is no such instance, or it takes part.
        """
        self._newcomers.relive(instance_id, through, events)

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
        return self._seating.store(instances, self.matched)

    def _let_live(
        self,
        lives: Mapping[str, Life],
        matched: int,
        stored: Stored[InstanceT] | None = None,
    ) -> None:
        is_first = self._schedule.held == len(self._seats)
        self._newcomers.let_live(lives, stored, marked=self._marked)
        if is_first:
            # Not if others are here: they may have yet to be sent events from before that.
            self.matched = max(self.matched, matched)
        self._talk.tell_anew()

    # ------------------------------------------------------------------ what arrives

    def offer(self, batch: CandleBatch) -> tuple[int, int] | None:
        """Queue candles for all that listen; those already seen are ignored.

        Returns:
            None, or the ``[from_seq, to_seq)`` that somebody misses before the batch. Nothing is
            queued then: the caller fetches that from the stream log and offers both in order.

        Raises:
            StrategyError: The batch itself has a hole.
        """
        route = self._routes.get(batch.stream)
        if route is None or not batch.candles:
            return None
        gap = self._seating.offer(route, batch)
        if gap is not None:
            return gap
        self._published_ns = max(self._published_ns, batch.published_ns)
        if route.held:
            self._newcomers.forget_lines()
        if len(self._routes) == 1:
            self._reach = max(self._reach, batch.slices[-1])
        return None

    def mark(self, through: int) -> None:
        """Declare that nothing older than or equal to slice `through` is still to come."""
        self._reach = max(self._reach, through)
        self._marked = max(self._marked, through)
        self._seating.mark(through)

    def release(self, release: Release) -> None:
        """Apply order events, each to its instance, and learn how far the order manager is.

        An instance an event comes too late for has failed; events of instances that are not here
        are ignored, and so is what an earlier reign or epoch said (see `repeat` and `renew`).
        """
        if not self._talk.heeds(release):
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
        self._seating.contain(seat, lambda: seat.hear(events, matched))
        if seat.state <= _EXPECTING or seat.state is _BLOCKED:
            self._schedule.make_ready(seat)

    def command(self, instance_id: str, command: Command) -> None:
        """Have an instance obey; the next answer puts on record when it did.

        Raises:
            ChorusError: It refused, nothing has changed; or it failed, does not take part yet, or
                is not here.
        """
        seat = self._seating.seat(instance_id)
        if seat.state is _HELD:
            raise StrategyError(f"instance {instance_id!r}: does not take part yet")
        refusal: list[ChorusError] = []

        def obey() -> None:
            try:
                seat.command(command)
            except ChorusError as error:
                refusal.append(error)

        self._seating.contain(seat, obey)
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
        return self._rounds.run(self.matched, may_continue)

    # ------------------------------------------------------------------ what is told

    @property
    def awaits_release(self) -> bool:
        """Return whether nothing at all can be processed before a release, which is sure to come.

        The order manager was told so in an answer, and every instance waits. Not where a mark is
        still missing before the slice announced: the order manager waits for what it brings.
        """
        talk = self._talk
        if talk.announced <= self.matched or talk.announced > talk.through + 1:
            return False
        self._seating.flush()
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
        talk, outbox = self._talk, self._outbox
        if talk.is_to_repeat:
            return self.repeat(talk.reign)
        self._seating.flush()
        through, waiting = self._progress()
        progressed = through != talk.through
        is_news = waiting >= 0 and waiting != talk.announced
        if not (progressed or is_news or outbox.commands):
            return None
        is_drained = not self._schedule.ready and self._schedule.first_blocked < 0
        published_ns = self._published_ns if progressed and is_drained else 0
        decisions, commands = outbox.due(through), outbox.take_commands()
        return talk.answer(through, waiting, published_ns, decisions, commands)

    def _progress(self) -> tuple[int, int]:
        """Return the slice through which everything is processed, and the one to wait for."""
        first_blocked = self._schedule.first_blocked
        through = self._reach
        if first_blocked >= 0:
            through = min(through, first_blocked - 1)
        for seat in self._schedule.ready:
            through = min(through, seat.through)
        through = max(through, self._talk.through)
        is_expecting = self._schedule.expects and self.matched <= through
        if is_expecting and (first_blocked < 0 or through + 1 < first_blocked):
            return through, through + 1
        return through, first_blocked

    def renew(self, epoch: int, reign: int) -> None:
        """Speak under a new epoch from the next answer on, which repeats everything.

        The coordinator's `join` or `move` has changed whom this host speaks for; called after
        `go_live` or `recover` and before the next `answer`. Releases of an earlier epoch, still
        under way, are ignored from here on: what they held is sent again.

        Args:
            epoch: As the coordinator was given it.
            reign: As for `repeat`.
        """
        self._talk.renew(epoch, reign)

    def repeat(self, reign: int) -> Answer:
        """Return everything an order manager that has lost its memory may not know.

        Args:
            reign: Number of the present order manager's life; releases of earlier ones, still
                under way, are ignored from here on.
        """
        self._seating.flush()
        through, waiting = self._progress()
        self._outbox.take_commands()
        present = [seat for seat in self._seats.values() if seat.state is not _HELD]
        return self._talk.repeat(
            reign,
            through=through,
            waiting=waiting,
            decisions=self._outbox.all_due(through),
            commands=[command for seat in present for command in seat.commands],
            taken={seat.id: seat.taken for seat in present},
        )
