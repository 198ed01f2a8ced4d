"""Takes an instance through what lies behind it, step by step as it went."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from engine.errors import StrategyError
from engine.sequencing.messages import SliceCommand, SliceDecision, SliceEvent
from engine.sequencing.runnable import RunnableInstance
from engine.sequencing.stored import SeatState, Stored, digest_of
from engine.sequencing.timeline import Entry, Life, Timeline

__all__ = ["Passage"]


class Passage:
    """An instance on its way through its past; a runner takes over where it arrives.

    Attributes:
        instance: Who; another one after a stored state could not be restored.
        processed: Newest slice it has processed.
        taken: How many order events it has taken.
        digest: Checksum of those, see `digest_of`.
        decisions: What it decided that may not be on record, in order.

    Args:
        instance: As the attribute.
        line: Every candle published so far.
        processed: As the attribute.
        taken: As the attribute.
        digest: As the attribute.
    """

    __slots__ = ("_line", "_on_record", "decisions", "digest", "instance", "processed", "taken")

    def __init__(
        self,
        instance: RunnableInstance,
        line: Timeline,
        *,
        processed: int,
        taken: int,
        digest: int,
    ) -> None:
        self.instance = instance
        self.processed = processed
        self.taken = taken
        self.digest = digest
        self.decisions: list[SliceDecision] = []
        self._line = line
        self._on_record = -1

    def relive(self, through: int, events: Sequence[SliceEvent]) -> None:
        """Go through history, before the instance took part, up to a slice.

        Args:
            through: Newest slice to live through.
            events: Every order event up to it; those already taken are skipped.
        """
        self._go(through, deque(events[self.taken :]), deque(), self._warm_along)

    def live_again(self, life: Life, stored: Stored[Any] | None, *, matched: int) -> None:
        """Go through everything up to `Life.known`, or through what comes after a stored state.

        Args:
            life: The past.
            stored: The instance's state somewhere on that way, perhaps.
            matched: Slice before which decisions are on record.

        Raises:
            StrategyError: Events or commands have no place among the candles.
        """
        self._on_record = matched
        state = None if stored is None else self._restored(life, stored)
        if state is None:
            self.relive(life.joined - 1, life.events[: life.inherited])
        obeyed = 0 if state is None else len(state.commands)
        events, commands = deque(life.events[self.taken :]), deque(life.commands[obeyed:])
        self._go(life.known, events, commands, self._run_along)
        if events or commands:
            raise StrategyError(
                f"instance {self.instance.id!r}: {len(events)} events and {len(commands)} commands "
                f"have no place up to slice {life.known}, where it stands at {self.processed} "
                f"with {self.taken} events; offer all published candles before recovering"
            )

    def _restored(self, life: Life, stored: Stored[Any]) -> SeatState | None:
        """Take a stored state on, if there is one that fits and the instance accepts."""
        name, line = self.instance.id, self._line
        state = stored.fitting(name, life, line)
        if state is None:
            return None
        place = line.after(state.processed)
        try:
            self.instance.restore(state.state, line.histories())
            refusal = "" if self.instance.candles == place else "it has seen other candles"
        except Exception as error:  # noqa: BLE001 - whatever it is, the long way is open
            refusal = f"{type(error).__name__}: {error}"
        if refusal:
            stored.refused[name] = refusal
            self.instance = stored.rebuild(name)
            return None
        stored.used.append(name)
        self.processed = state.processed
        self.taken, self.digest = state.taken, state.events
        self.decisions.extend(each for each in state.decisions if each.slice >= life.matched)
        return state

    def _go(
        self,
        through: int,
        events: deque[SliceEvent],
        commands: deque[SliceCommand],
        along: Callable[[Sequence[Entry]], None],
    ) -> None:
        """Go along the timeline up to a slice, with events and commands where they came."""
        line = self._line
        place, end = line.after(self.processed), line.after(through)
        while True:
            stop = end
            if commands and commands[0].taken <= self.taken:
                told = line.after(commands[0].slice)
                if told <= place:
                    self.instance.on_command(commands.popleft().command)
                    continue
                stop = min(stop, told)
            if events:
                due = line.place_of(events[0])
                if due <= place:
                    self._take(events.popleft())
                    continue
                stop = min(stop, due)
            if stop <= place:
                return
            along(line.entries[place:stop])
            place = stop

    def _take(self, entry: SliceEvent) -> None:
        self.instance.on_event(entry.event)
        self.taken += 1
        self.digest = digest_of((entry,), self.digest)

    def _warm_along(self, entries: Sequence[Entry]) -> None:
        warm = self.instance.warm
        for _number, _time, candle in entries:
            warm(candle)
        self.processed = entries[-1][0]

    def _run_along(self, entries: Sequence[Entry]) -> None:
        on_candle, on_record = self.instance.on_candle, self._on_record
        for number, _time, candle in entries:
            decision = on_candle(candle)
            if decision is not None and number >= on_record:
                self.decisions.append(SliceDecision(number, decision))
        self.processed = entries[-1][0]
