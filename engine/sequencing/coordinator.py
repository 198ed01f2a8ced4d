"""Decides slice by slice, once every participant has answered, whatever the order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from engine.errors import ChorusError
from engine.sequencing.messages import Answer, Release, SliceEvent
from engine.types import Decision, MarketSlice, OrderEvent

__all__ = ["Coordinator", "SliceDecider", "Stall"]


class SliceDecider(Protocol):
    """What the coordinator drives; see `engine.trading.OrderManager`."""

    def match(self, market_slice: MarketSlice, /) -> list[OrderEvent]:
        """Match working orders against the slice."""
        ...

    def decide(
        self, market_slice: MarketSlice, decisions: Sequence[Decision], /
    ) -> list[OrderEvent]:
        """Turn decisions into orders."""
        ...


class Stall(msgspec.Struct, frozen=True):
    """A participant the next decision waits for, and the slice it has not answered."""

    host: str
    slice: int
    through: int


class _Participant(msgspec.Struct):
    host: str
    epoch: int
    streams: tuple[str, ...]
    joined: int
    through: int
    waiting: int = -1
    events: list[SliceEvent] = msgspec.field(default_factory=list)


class Coordinator:
    """Order-manager side of the logical clock.

    For every slice, in order: match it (fills become events), wait until each participant that
    has a candle in it has answered, decide it (decisions become orders). Matching slice k + 1
    needs slice k decided; that is what releases instances that wait.
    """

    def __init__(self, decider: SliceDecider) -> None:
        self._decider = decider
        self._participants: dict[str, _Participant] = {}
        self._by_stream: dict[str, tuple[_Participant, ...]] = {}
        self._by_instance: dict[str, _Participant] = {}
        self._pending: deque[MarketSlice] = deque()
        self._current: MarketSlice | None = None
        self._owing: dict[str, _Participant] = {}
        self._decisions: dict[int, list[Decision]] = {}
        self._restless: dict[str, _Participant] = {}
        self._history: dict[str, list[SliceEvent]] = {}
        self._received = -1
        self.matched = -1
        self.decided = -1

    @property
    def received(self) -> int:
        """Return the newest slice number that has arrived."""
        return self._received

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the ids of the present participants."""
        return tuple(self._participants)

    def join(
        self, host: str, *, epoch: int, instances: Iterable[str], streams: Iterable[str]
    ) -> int:
        """Add a participant from the next undecided slice on.

        Returns:
            The first slice whose decisions the participant takes part in. If that slice is
            already matched it is the one after: its fills are known, the newcomer has none.
        """
        joined = self.matched + 1
        member = _Participant(host, epoch, tuple(streams), joined, joined - 1)
        self._participants[host] = member
        self._owing.pop(host, None)
        for instance in instances:
            self._by_instance[instance] = member
        self._route()
        return joined

    def leave(self, host: str) -> None:
        """Remove a participant; nobody waits for it any more, its decisions not yet due lapse."""
        member = self._participants.pop(host, None)
        if member is None:
            return
        gone = [name for name, owner in self._by_instance.items() if owner is member]
        for name in gone:
            del self._by_instance[name]
        for number, decisions in self._decisions.items():
            self._decisions[number] = [d for d in decisions if d.instance not in gone]
        self._restless.pop(host, None)
        self._owing.pop(host, None)
        self._route()

    def _route(self) -> None:
        routes: dict[str, list[_Participant]] = {}
        for member in self._participants.values():
            for stream in member.streams:
                routes.setdefault(stream, []).append(member)
        self._by_stream = {stream: tuple(members) for stream, members in routes.items()}

    def add_slices(self, slices: Iterable[MarketSlice]) -> None:
        """Take the next slices; repeated ones are ignored.

        Raises:
            ChorusError: A slice number is skipped.
        """
        for market_slice in slices:
            if market_slice.number <= self._received:
                continue
            if market_slice.number != self._received + 1:
                raise ChorusError(
                    f"order manager: slice {market_slice.number} arrived, "
                    f"{self._received + 1} is missing; replay it from the log first"
                )
            self._received = market_slice.number
            self._pending.append(market_slice)

    def on_answer(self, answer: Answer) -> bool:
        """Take a participant's progress.

        Returns:
            False if it was refused: unknown host, or an epoch that is over.
        """
        member = self._participants.get(answer.host)
        if member is None or answer.epoch != member.epoch:
            return False
        for entry in answer.decisions:
            if entry.slice > member.through:
                self._decisions.setdefault(entry.slice, []).append(entry.decision)
        if answer.through > member.through:
            member.through = answer.through
            if answer.through >= self.matched:
                self._owing.pop(member.host, None)
        member.waiting = answer.waiting
        if answer.waiting >= 0:
            self._restless[member.host] = member
        return True

    def advance(self) -> list[tuple[str, Release]]:
        """Match and decide as far as the answers allow.

        Returns:
            A release per participant that has events or waits for a slice now matched.
        """
        decider = self._decider
        while True:
            if self._current is None:
                if not self._pending:
                    break
                self._current = self._pending.popleft()
                events = decider.match(self._current)
                self.matched = self._current.number
                if events:
                    self._post(events, matched=True)
                self._owing = self._who_owes(self._current)
            if self._owing:
                break
            number = self._current.number
            decisions = self._decisions.pop(number, None)
            events = decider.decide(self._current, decisions or ())
            self.decided = number
            self._current = None
            if events:
                self._post(events, matched=False)
        return self._releases()

    def _who_owes(self, market_slice: MarketSlice) -> dict[str, _Participant]:
        """Return the participants that have a candle in a slice and no answer to it yet."""
        number = market_slice.number
        by_stream = self._by_stream
        return {
            member.host: member
            for candle in market_slice.candles
            for member in by_stream.get(candle.stream, ())
            if member.through < number and member.joined <= number
        }

    def post(self, events: Iterable[OrderEvent]) -> list[tuple[str, Release]]:
        """Pass on events that did not come from a slice (a withdrawal, a tick).

        Such events have no place in the order of slices: a participant that ran ahead takes them
        where it stands.
        """
        for event in events:
            member = self._by_instance.get(event.instance)
            slice_number = self.matched
            if member is not None:
                slice_number = max(slice_number, member.through)
            self._post_one(SliceEvent(slice_number, event))
        return self._releases()

    def farewell(self) -> list[tuple[str, Release]]:
        """Return a last release for every participant, so that each knows the end is matched."""
        return [(host, Release(self.matched, [])) for host in self._participants]

    def history(self, instance: str) -> list[SliceEvent]:
        """Return every event of an instance so far; a restarted one takes over from them."""
        return list(self._history.get(instance, ()))

    def _post(self, events: Iterable[OrderEvent], *, matched: bool) -> None:
        slice_number = self.matched
        for event in events:
            self._post_one(SliceEvent(slice_number, event, matched))

    def _post_one(self, entry: SliceEvent) -> None:
        instance = entry.event.instance
        self._history.setdefault(instance, []).append(entry)
        member = self._by_instance.get(instance)
        if member is not None:
            member.events.append(entry)
            self._restless[member.host] = member

    def _releases(self) -> list[tuple[str, Release]]:
        matched = self.matched
        releases: list[tuple[str, Release]] = []
        for host, member in list(self._restless.items()):
            heard = member.waiting <= matched
            if member.events or heard:
                releases.append((host, Release(matched, member.events)))
                member.events = []
            if heard:
                member.waiting = -1
                del self._restless[host]
        return releases

    def stalls(self) -> list[Stall]:
        """Return the participants the slice in hand waits for; empty if it waits for none."""
        return [Stall(m.host, self.matched, m.through) for m in self._owing.values()]
