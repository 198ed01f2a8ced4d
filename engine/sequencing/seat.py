"""The runner of one instance among many in a process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import IntEnum
from typing import Any, Generic, TypeVar

from engine.sequencing.messages import SliceCommand, SliceDecision, SliceEvent
from engine.sequencing.outbox import Outbox
from engine.sequencing.plate import plate_of
from engine.sequencing.runnable import RunnableInstance
from engine.sequencing.runner import InstanceRunner
from engine.sequencing.stored import SeatState, Stored
from engine.sequencing.timeline import Entry, Life, Timeline
from engine.types import Candle

__all__ = ["InstanceT", "Seat", "State"]


InstanceT = TypeVar("InstanceT", bound=RunnableInstance)


class State(IntEnum):
    """What an instance waits for."""

    QUIET = 0  # no candles; one stream, and no event can come before it decides something
    IDLE = 1  # no candles; the next one may have to wait
    EXPECTING = 2  # no candles; the next one must wait whatever it brings
    READY = 3  # has to be run
    BLOCKED = 4  # has candles, waits until the slice of the first one is matched
    HELD = 5  # not live
    GONE = 6  # removed or failed


_QUIET, _IDLE, _EXPECTING, _HELD = State.QUIET, State.IDLE, State.EXPECTING, State.HELD


class Seat(InstanceRunner, Generic[InstanceT]):
    """The runner of one hosted instance, and what the host knows about it.

    Attributes:
        newest: Slice of the newest candle taken, where several streams are merged.
        cpu_ns: Time it has run, ns.
    """

    # What every candle touches is kept out of the runner's dict: with thousands of instances each
    # of these is a cache miss.
    __slots__ = ("cpu_ns", "hosted", "id", "last", "newest", "plate", "state")

    def __init__(
        self,
        instance: InstanceT,
        *,
        host: str,
        streams: Sequence[str],
        is_live: bool,
        uncovered: Collection[str],
        outbox: Outbox,
    ) -> None:
        super().__init__(
            instance,
            host=host,
            epoch=0,
            streams=streams,
            is_live=is_live,
            uncovered=uncovered,
            outbox=outbox,
        )
        self.id = instance.id
        self.plate = plate_of(instance.id)
        self.hosted = instance
        self.state = _IDLE if is_live else _HELD
        self.last: Candle | None = None
        self.newest = -1
        self.cpu_ns = 0

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

    @property
    def rank(self) -> dict[str, int]:
        """Return the order of its streams where candles close at the same time."""
        return self._rank

    @property
    def taken(self) -> int:
        """Return how many order events it has taken."""
        return self._taken

    @property
    def commands(self) -> list[SliceCommand]:
        """Return what it was told."""
        return self._commands

    def relive_on(self, line: Timeline, through: int, events: Sequence[SliceEvent]) -> None:
        """Live through history up to a slice, as `InstanceRunner.relive`."""
        self._relive(line, through, events)

    def live_again(self, line: Timeline, life: Life, stored: Stored[InstanceT] | None) -> None:
        """Become what the instance was elsewhere, as `InstanceRunner.recover`."""
        self._live_again(life, line, stored)

    def state_of(self, matched: int, decisions: list[SliceDecision]) -> SeatState | None:
        """Return its present state, as `InstanceRunner.store`.

        Args:
            matched: Slice before which the host does not keep decisions.
            decisions: Those of the instance that the host keeps.
        """
        return self._state(matched, decisions)

    def _become(self, instance: Any) -> None:
        super()._become(instance)
        self.hosted = instance

    def take(self, stream: str, entries: Sequence[Entry]) -> None:
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

    def sprint(self, entries: Iterable[Entry]) -> bool:
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

    def state_at_rest(self) -> State:
        """Return the state of a live seat that has no candles to process."""
        if self.last is not None and self._is_quiet(self.last):
            return _QUIET
        return _EXPECTING if self.instance.expects_event else _IDLE
