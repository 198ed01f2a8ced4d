"""Drives one instance as far ahead as causality allows.

The rule is that of conservative parallel simulation: an instance may process a candle as soon as
no order event can still arrive that belongs before it. `Instance.must_hear` knows: with nothing
undecided and no working order the candle could touch, no event is possible, so the instance need
not wait for the order manager at all. Otherwise it waits until the order manager has matched that
candle's slice. Either way the instance sees exactly the sequence the backtest gives it.

Rejected designs: lock-step of all instances (one slow message per candle and instance), and
optimistic execution with roll-back (strategies would have to be copied).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from engine.errors import StrategyError
from engine.instance.commands import Command
from engine.sequencing.conversation import Conversation
from engine.sequencing.messages import (
    Answer,
    CandleBatch,
    Past,
    Release,
    SliceCommand,
    SliceDecision,
    SliceEvent,
)
from engine.sequencing.outbox import Outbox
from engine.sequencing.passage import Passage
from engine.sequencing.runnable import RunnableInstance
from engine.sequencing.stored import SeatState, Stored, digest_of, is_before
from engine.sequencing.timeline import Entry, Life, Timeline, lives_of
from engine.timeframes import timeframe_ms
from engine.types import Candle, StreamId

__all__ = ["InstanceRunner"]


class InstanceRunner:
    """One instance, its incoming candles and what it has answered.

    Not thread-safe: the data-plane loop of one actor owns it.

    Attributes:
        through: Slice up to which every candle is processed.
        waiting: Slice that may not be processed before it is matched; -1 if none.
        matched: Slice up to which the order manager is known to have matched.

    Args:
        instance: The instance to drive.
        host: Participant id used in answers.
        epoch: Number of this start.
        streams: The instance's streams. One stream is processed as candles arrive; several are
            merged in slice order, which needs `mark` calls.
        is_live: False holds candles back until `go_live`.
        uncovered: Streams whose candles do not tell what may fill (`Market.uncovered`); they wait
            whenever an order works.
        outbox: Takes what it decides and obeys; one of its own by default.
    """

    def __init__(
        self,
        instance: RunnableInstance,
        *,
        host: str,
        epoch: int,
        streams: Sequence[str],
        is_live: bool = True,
        uncovered: Collection[str] = (),
        outbox: Outbox | None = None,
    ) -> None:
        self.instance = instance
        self.through = -1
        self.waiting = -1
        self.matched = -1
        self._processed = -1
        self._is_live = is_live
        self._joined = 0
        self._inherited = 0
        self._settled = -1
        self._taken = 0
        self._digest = 0
        self._streams = tuple(streams)
        self._uncovered = frozenset(uncovered)
        ordered = sorted(
            streams, key=lambda stream: (timeframe_ms(StreamId.parse(stream).timeframe), stream)
        )
        self._rank = {stream: rank for rank, stream in enumerate(ordered)}
        self._next_seq = dict.fromkeys(streams, 0)
        self._is_single = len(self._streams) == 1
        self._marked = -1
        self._queue: deque[Entry] = deque()
        self._unmerged: list[tuple[int, int, int, int, Candle]] = []
        self._published_ns = 0
        self._talk = Conversation(host, epoch)
        self._outbox = Outbox() if outbox is None else outbox
        self._decisions = self._outbox.decisions
        self._commands: list[SliceCommand] = []

    @property
    def epoch(self) -> int:
        """Return the number of this start, which answers carry."""
        return self._talk.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._talk.epoch = epoch

    @property
    def awaits_release(self) -> bool:
        """Return whether a release is sure to come before anything else can be processed.

        The order manager was told so in an answer, and keeps its word: until it has matched the
        slice announced there is no use in looking at candles.
        """
        return self._talk.announced > self.matched

    @property
    def queued(self) -> int:
        """Return how many candles wait to be processed."""
        return len(self._queue) + len(self._unmerged)

    def offer(self, batch: CandleBatch) -> tuple[int, int] | None:
        """Queue candles; those already seen are ignored.

        Returns:
            None, or the ``[from_seq, to_seq)`` that is missing before the batch. Nothing is queued
            then: the caller fetches that from the stream log and offers both in order. The first
            batch of a stream is expected to start at seq 0.

        Raises:
            StrategyError: The batch itself has a hole.
        """
        stream, candles = batch.stream, batch.candles
        expected = self._next_seq[stream]
        if not candles:
            return None
        first = candles[0].seq
        if first > expected:
            return (expected, first)
        self._published_ns = max(self._published_ns, batch.published_ns)
        if len(candles) == 1 and self._is_single:
            # A live feed: one candle in one message, for every actor at the same time.
            if first == expected:
                self._queue.append((batch.slices[0], batch.times[0], candles[0]))
                self._next_seq[stream] = expected + 1
            return None
        for number, time, candle in zip(batch.slices, batch.times, candles, strict=True):
            if candle.seq < expected:
                continue
            if candle.seq > expected:
                raise StrategyError(
                    f"stream {stream!r}: candle {candle.seq} follows {expected - 1} in one message"
                )
            expected += 1
            if self._is_single:
                self._queue.append((number, time, candle))
            else:
                entry = (number, candle.close_time, self._rank[stream], time, candle)
                self._unmerged.append(entry)
        self._next_seq[stream] = expected
        return None

    def mark(self, through: int) -> None:
        """Declare that nothing older than or equal to slice `through` is still to come."""
        self._marked = max(self._marked, through)
        if not self._unmerged:
            return
        self._unmerged.sort(key=lambda entry: entry[:3])
        ready = 0
        for number, _close, _rank, time, candle in self._unmerged:
            if number > self._marked:
                break
            self._queue.append((number, time, candle))
            ready += 1
        del self._unmerged[:ready]

    def release(self, release: Release) -> None:
        """Apply order events and learn how far the order manager has matched.

        Raises:
            StrategyError: An event belongs before a candle that is already processed; the
                instance and the order manager disagree on what may fill.
        """
        if not self._talk.heeds(release):
            return
        self.hear(release.events, release.through)
        # What is matched further is decided, and what is decided is on record.
        self._outbox.settle(self.matched)

    def hear(self, events: Iterable[SliceEvent], matched: int) -> None:
        """Apply events and learn how far the order manager has matched, as `release`."""
        queue = self._queue
        for entry in events:
            if entry.number < self._taken:
                continue
            if entry.number > self._taken:
                raise StrategyError(
                    f"instance {entry.event.instance!r}: event {entry.number} came where "
                    f"{self._taken} is the next; one was lost on the way, recover the instance"
                )
            if is_before(entry, self._processed):
                origin = "matching" if entry.matched else "deciding"
                raise StrategyError(
                    f"instance {entry.event.instance!r}: an event of {origin} slice {entry.slice} "
                    f"came after slice {self._processed} was processed"
                )
            # Only after a recovery: it answers what the process before had answered already.
            while queue and not is_before(entry, queue[0][0]):
                self._process(queue[0][0])
            self._take_event(entry)
        self.matched = max(self.matched, matched)

    def _take_event(self, entry: SliceEvent) -> None:
        self.instance.on_event(entry.event)
        self._taken += 1
        self._digest = digest_of((entry,), self._digest)

    def command(self, command: Command) -> None:
        """Have the instance obey, and put on record when it did.

        Raises:
            ChorusError: It refused; nothing has changed.
        """
        self.instance.on_command(command)
        number = len(self._commands)
        obeyed = SliceCommand(self.instance.id, self._processed, self._taken, command, number)
        self._commands.append(obeyed)
        self._outbox.commands.append(obeyed)

    def run(self, *, may_continue: Callable[[], bool] | None = None) -> bool:
        """Process queued candles until one must wait, none is left or the caller says stop.

        Args:
            may_continue: Asked after every candle; returning False ends this call early.

        Returns:
            True if more could be processed at once (stopped by `may_continue`).
        """
        queue = self._queue
        instance = self.instance
        on_candle = instance.on_candle
        self.waiting = -1
        if not self._is_live:
            return False
        while queue:
            number, _time, candle = queue[0]
            if self.matched < number and self._must_hear_slice(number):
                self.waiting = number
                return False
            while True:
                queue.popleft()
                decision = on_candle(candle)
                if decision is not None:
                    self._decisions.append(SliceDecision(number, decision))
                if not queue or queue[0][0] != number:
                    break
                _, _time, candle = queue[0]
            self._processed = self.through = number
            if queue and may_continue is not None and not may_continue():
                return True
        if not self._is_single:
            self.through = max(self.through, self._marked)
        return False

    def relive(self, through: int, events: Sequence[SliceEvent]) -> None:
        """Take the instance through its history up to a slice; it is not live after it.

        Args:
            through: Newest slice to live through; what is queued beyond it stays queued.
            events: Every order event of earlier starts up to that slice. They come to the instance
                between the same candles as they did then. Those already taken are skipped.
        """
        line = Timeline(self._queue)
        self._queue.clear()
        self._relive(line, through, events)
        self._queue.extend(line.entries[line.after(self._processed) :])

    def go_live(self, live_from: int, events: Sequence[SliceEvent]) -> None:
        """Live through the rest of the history and take part from a slice on.

        Args:
            live_from: As the coordinator's `join` returned it.
            events: Every order event of earlier starts.
        """
        self.relive(live_from - 1, events)
        self.matched = max(self.matched, live_from - 1)
        self._joined, self._inherited = live_from, len(events)
        self._is_live = True

    def recover(self, past: Past, stored: Stored[Any] | None = None) -> None:
        """Become what an instance was whose process died, step by step as it went.

        Every candle published so far has been offered. An instance is a function of its candles,
        events and commands, so going through them again gives its very state and decisions; those
        the order manager has already are not told again. What was processed beyond `Life.known` is
        processed again in the ordinary way.

        Args:
            past: What it has to live through.
            stored: Its state somewhere on that way, perhaps: it then goes on from there.
        """
        line = Timeline(self._queue)
        self._queue.clear()
        self._live_again(lives_of(past)[self.instance.id], line, stored)
        self._queue.extend(line.entries[line.after(self._processed) :])
        self._talk.through = min(self.through, past.through)
        self._outbox.set_aside(past.through)

    def _relive(self, line: Timeline, through: int, events: Sequence[SliceEvent]) -> None:
        passage = self._passage(line)
        passage.relive(through, events)
        self._arrive(passage)

    def _live_again(self, life: Life, line: Timeline, stored: Stored[Any] | None) -> None:
        self.matched = max(self.matched, life.matched)
        passage = self._passage(line)
        passage.live_again(life, stored, matched=self.matched)
        self._arrive(passage)
        self._is_live = True
        self._joined, self._inherited = life.joined, life.inherited
        self._settled = max(self._settled, life.matched)
        self._commands = list(life.commands)
        self._decisions.extend(passage.decisions)

    def _passage(self, line: Timeline) -> Passage:
        return Passage(
            self.instance,
            line,
            processed=self._processed,
            taken=self._taken,
            digest=self._digest,
        )

    def _arrive(self, passage: Passage) -> None:
        if passage.instance is not self.instance:
            self._become(passage.instance)
        self._processed = self.through = passage.processed
        self._taken, self._digest = passage.taken, passage.digest

    def _become(self, instance: Any) -> None:
        """Drive another instance from here on."""
        self.instance = instance

    def store(self) -> SeatState | None:
        """Return the instance's present state, for `recover`; None if it is not live yet.

        Between two calls of anything else. Takes some 0.1 ms.

        Raises:
            ChorusError: The strategy's state cannot be stored.
        """
        return self._state(self.matched, self._outbox.by_instance().get(self.instance.id, []))

    def _state(self, matched: int, decisions: list[SliceDecision]) -> SeatState | None:
        if not self._is_live or self._processed < self._joined:
            return None
        return SeatState.of(
            self.instance.id,
            joined=self._joined,
            inherited=self._inherited,
            processed=self._processed,
            taken=self._taken,
            events=self._digest,
            matched=max(matched, self._settled),
            commands=list(self._commands),
            decisions=decisions,
            state=self.instance.snapshot(),
        )

    def _process(self, number: int) -> None:
        """Process the candles of the slice at the head of the queue."""
        queue = self._queue
        while queue and queue[0][0] == number:
            decision = self.instance.on_candle(queue.popleft()[2])
            if decision is not None:
                self._decisions.append(SliceDecision(number, decision))
        self._processed = self.through = number

    def _must_hear_slice(self, number: int) -> bool:
        """Tell whether any candle of the slice at the head of the queue must wait."""
        must_hear, uncovered = self.instance.must_hear, self._uncovered
        for queued, time, candle in self._queue:
            if queued != number:
                return False
            late = candle.close_time < time or candle.stream in uncovered
            if must_hear(candle, late=late):
                return True
        return False

    def answer(self) -> Answer | None:
        """Return what the order manager has not been told yet, None if nothing is new.

        An instance that will have to wait for the next slice whatever it brings says so at once,
        with the answer to this one: otherwise its candle would wake it only to say that it waits.
        Not where more is matched than processed: a candle of that stretch may still be under way,
        and the order manager waits for it.
        """
        talk = self._talk
        if talk.is_to_repeat:
            return self.repeat(talk.reign)
        queue, waiting = self._queue, self.waiting
        if (
            waiting < 0
            and not queue
            and self.matched <= self.through
            and self.instance.expects_event
        ):
            waiting = self.through + 1
        progressed = self.through != talk.through
        is_news = waiting >= 0 and waiting != talk.announced
        if not (progressed or is_news or self._decisions or self._outbox.commands):
            return None
        published_ns = self._published_ns if progressed and not queue else 0
        decisions, commands = self._outbox.due(self.through), self._outbox.take_commands()
        return talk.answer(self.through, waiting, published_ns, decisions, commands)

    def renew(self, epoch: int, reign: int) -> None:
        """Speak under a new epoch from the next answer on, which repeats everything.

        Called once the instance is live; releases of an earlier epoch, still under way, are
        ignored from here on.

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
        self._outbox.take_commands()
        waiting = max(self.waiting, self._talk.announced)
        return self._talk.repeat(
            reign,
            through=self.through,
            waiting=waiting if waiting > self.matched else -1,
            decisions=self._outbox.all_due(self.through),
            commands=list(self._commands),
            taken={self.instance.id: self._taken},
        )
