"""Decides slice by slice, once every participant has answered, whatever the order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from engine.config import StrategyConfig
from engine.errors import ChorusError
from engine.sequencing.messages import Answer, Past, Release, SliceCommand, SliceEvent
from engine.sequencing.records import (
    Commanded,
    Decided,
    Joined,
    Left,
    Record,
    Recorder,
    Registered,
    Rejoined,
    strategy_of,
)
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

    def register(self, strategy: StrategyConfig, /) -> None:
        """Let a strategy take part."""
        ...

    def withdraw(self, instance: str, reason: str, /) -> list[OrderEvent]:
        """Take a strategy out."""
        ...

    @property
    def strategies(self) -> tuple[str, ...]:
        """Return the ids of all strategies ever registered."""
        ...


class Stall(msgspec.Struct, frozen=True):
    """A participant the next decision waits for, and the slice it has not answered."""

    host: str
    slice: int
    through: int


class _Participant(msgspec.Struct):
    host: str
    epoch: int
    instances: tuple[str, ...]
    streams: tuple[str, ...]
    joined: int
    through: int
    inherited: dict[str, int]
    waiting: int = -1
    is_in_step: bool = True
    events: list[SliceEvent] = msgspec.field(default_factory=list)
    heard: dict[str, int] = msgspec.field(default_factory=dict)
    commands: list[SliceCommand] = msgspec.field(default_factory=list)


class Coordinator:
    """Order-manager side of the logical clock.

    For every slice, in order: match it (fills become events), wait until each participant that
    has a candle in it has answered, decide it (decisions become orders). Matching slice k + 1
    needs slice k decided; that is what releases instances that wait.

    Args:
        decider: Matches and decides.
        recorder: Gets everything that determines the ledger before it is acted on; with it
            `restore` builds the same coordinator again.
        reign: How many coordinators of the run there were before this one.
    """

    def __init__(
        self, decider: SliceDecider, recorder: Recorder | None = None, *, reign: int = 0
    ) -> None:
        self._decider = decider
        self._reign = reign
        self._recorder = recorder or Recorder()
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
    def newest_known(self) -> int:
        """Return the newest slice anybody is known to have seen."""
        members = self._participants.values()
        return max(self._received, max((member.through for member in members), default=-1))

    def epoch_of(self, host: str) -> int:
        """Return the number of a present participant's start."""
        return self._participants[host].epoch

    def through_of(self, host: str) -> int:
        """Return the newest slice a participant has answered, -1 for one that is not present."""
        member = self._participants.get(host)
        return -1 if member is None else member.through

    # ------------------------------------------------------------------ who takes part

    def register(self, strategies: Iterable[StrategyConfig]) -> None:
        """Let strategies take part in risk and arbitration, withdrawn ones again.

        Raises:
            ConfigError: A strategy's account does not hold its quote currency.
        """
        for strategy in strategies:
            self._decider.register(strategy)
            text = strategy.model_dump_json(by_alias=True, exclude_unset=True)
            self._recorder.add(Registered(self.matched, self.decided, text))
        self._recorder.commit()

    def join(
        self, host: str, *, epoch: int, instances: Iterable[str], streams: Iterable[str]
    ) -> int:
        """Add a participant from the next undecided slice on.

        Returns:
            The first slice whose decisions the participant takes part in. If that slice is
            already matched it is the one after: its fills are known, the newcomer has none.
        """
        names, wanted = list(instances), list(streams)
        self._recorder.add(Joined(self.matched, self.decided, host, epoch, names, wanted))
        self._recorder.commit()
        return self._admit(host, epoch, names, wanted)

    def _admit(self, host: str, epoch: int, instances: list[str], streams: list[str]) -> int:
        joined = self.matched + 1
        inherited = {name: len(self._history.get(name, ())) for name in instances}
        member = _Participant(
            host, epoch, tuple(instances), tuple(streams), joined, joined - 1, inherited
        )
        self._participants[host] = member
        self._owing.pop(host, None)
        self._restless.pop(host, None)
        for instance in instances:
            self._by_instance[instance] = member
        self._route()
        return joined

    def rejoin(self, host: str, *, epoch: int) -> Past:
        """Let a participant live on in a new process; what it has not answered is waited for.

        Raises:
            ChorusError: It does not take part any more.
        """
        member = self._participants.get(host)
        if member is None:
            raise ChorusError(f"host {host!r}: does not take part any more, it has to join anew")
        self._recorder.add(Rejoined(self.matched, self.decided, host, epoch))
        self._recorder.commit()
        self._renew(member, epoch)
        return Past(
            member.joined,
            self.matched,
            member.through,
            {name: self.history(name) for name in member.instances},
            member.inherited,
            list(member.commands),
        )

    def _renew(self, member: _Participant, epoch: int) -> None:
        member.epoch = epoch
        member.waiting = -1
        member.is_in_step = True
        member.heard = {}
        member.events = []
        self._restless.pop(member.host, None)

    def leave(self, host: str, instances: Sequence[str], reason: str) -> list[tuple[str, Release]]:
        """Take a participant out: nobody waits for it any more, its decisions not yet due lapse.

        Its instances are withdrawn: their working entries are cancelled, their protection stays.
        """
        self._recorder.add(Left(self.matched, self.decided, host, list(instances), reason))
        self._recorder.commit()
        self._dismiss(host)
        known = set(self._decider.strategies)
        for instance in instances:
            if instance in known:
                self._post_late(self._decider.withdraw(instance, reason))
        return self._releases()

    def _dismiss(self, host: str) -> None:
        member = self._participants.pop(host, None)
        if member is None:
            return
        for name in member.instances:
            if self._by_instance.get(name) is member:
                del self._by_instance[name]
        for number, decisions in self._decisions.items():
            self._decisions[number] = [d for d in decisions if d.instance not in member.instances]
        self._restless.pop(host, None)
        self._owing.pop(host, None)
        self._route()

    def _route(self) -> None:
        routes: dict[str, list[_Participant]] = {}
        for member in self._participants.values():
            for stream in member.streams:
                routes.setdefault(stream, []).append(member)
        self._by_stream = {stream: tuple(members) for stream, members in routes.items()}

    # ------------------------------------------------------------------ the clock

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
            False if it was refused: unknown host, an epoch that is over, or part of a
            conversation this coordinator has no memory of (see `restore`).
        """
        member = self._participants.get(answer.host)
        if member is None or answer.epoch != member.epoch:
            return False
        # What is rare stays out of the way: every actor's answer to every candle comes by here.
        if (answer.taken is not None or not member.is_in_step) and not self._heeds(member, answer):
            return False
        if answer.commands:
            self._note_commands(member, answer)
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

    def _heeds(self, member: _Participant, answer: Answer) -> bool:
        """Take the conversation up if an answer repeats what this coordinator asked for."""
        if answer.taken is None or answer.reign != self._reign:
            return False
        self._fall_in_step(member, answer.taken)
        return True

    def _note_commands(self, member: _Participant, answer: Answer) -> None:
        known = 0 if answer.taken is None else len(member.commands)
        fresh = answer.commands[known:]
        for command in fresh:
            self._recorder.add(Commanded(self.matched, self.decided, member.host, command))
            member.commands.append(command)
        if fresh:
            self._recorder.commit()

    def _fall_in_step(self, member: _Participant, taken: dict[str, int]) -> None:
        """Take up the conversation with a participant that repeats what may have been lost."""
        member.is_in_step = True
        # The one before may have told more than this one has got to yet.
        member.heard = taken
        member.events = [
            entry for name, count in taken.items() for entry in self._history.get(name, [])[count:]
        ]
        member.events.sort(key=lambda entry: (entry.slice, not entry.matched))
        self._restless[member.host] = member

    def advance(self) -> list[tuple[str, Release]]:
        """Match and decide as far as the answers allow.

        Returns:
            A release per participant that has events or waits for a slice now matched.
        """
        decider, recorder = self._decider, self._recorder
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
            if decisions:
                recorder.add(Decided(number, self.decided, decisions))
            events = decider.decide(self._current, decisions or ())
            self.decided = number
            self._current = None
            if events:
                self._post(events, matched=False)
        recorder.commit()
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

    def _post_late(self, events: Iterable[OrderEvent]) -> None:
        """Pass on events that did not come from a slice (a withdrawal).

        Such events have no place in the order of slices: a participant that ran ahead takes them
        where it stands.
        """
        for event in events:
            member = self._by_instance.get(event.instance)
            slice_number = self.matched
            if member is not None:
                slice_number = max(slice_number, member.through)
            self._post_one(SliceEvent(slice_number, event))

    def farewell(self) -> list[tuple[str, Release]]:
        """Return a last release for every participant, so that each knows the end is matched."""
        return [(host, Release(self.matched, [], self._reign)) for host in self._participants]

    def history(self, instance: str) -> list[SliceEvent]:
        """Return every event of an instance so far; a restarted one takes over from them."""
        return list(self._history.get(instance, ()))

    def _post(self, events: Iterable[OrderEvent], *, matched: bool) -> None:
        slice_number = self.matched
        for event in events:
            self._post_one(SliceEvent(slice_number, event, matched))

    def _post_one(self, entry: SliceEvent) -> None:
        instance = entry.event.instance
        history = self._history.setdefault(instance, [])
        history.append(entry)
        member = self._by_instance.get(instance)
        if member is not None and len(history) > member.heard.get(instance, 0):
            member.events.append(entry)
            self._restless[member.host] = member

    def _releases(self) -> list[tuple[str, Release]]:
        matched = self.matched
        releases: list[tuple[str, Release]] = []
        for host, member in list(self._restless.items()):
            if not member.is_in_step:
                continue
            heard = member.waiting <= matched
            if member.events or heard:
                releases.append((host, Release(matched, member.events, self._reign)))
                member.events = []
            if heard:
                member.waiting = -1
                del self._restless[host]
        return releases

    def stalls(self) -> list[Stall]:
        """Return the participants the slice in hand waits for; empty if it waits for none."""
        return [Stall(m.host, self.matched, m.through) for m in self._owing.values()]

    # ------------------------------------------------------------------ after a crash

    def restore(self, slices: Iterable[MarketSlice], records: Iterable[Record]) -> None:
        """Become the coordinator that left the records; only for one that has done nothing yet.

        What it had been told and not yet decided is lost with it, and so may be what it told.
        Each participant therefore has to repeat itself (`Answer.taken`) before it is listened to.

        Args:
            slices: All slices from number 0 on, at least as far as the records go.
            records: What was recorded, in order.

        Raises:
            ChorusError: The slices end before the records do, or do not start at 0.
        """
        recorder, self._recorder = self._recorder, Recorder()
        source = iter(slices)
        for record in records:
            # A record of deciding carries the slice it decides: that one has to be in hand.
            self._replay(source, record.matched, record.decided)
            self._redo(record)
        self._recorder = recorder
        self._received = self.matched
        self._decisions.clear()
        self._restless.clear()
        for member in self._participants.values():
            member.through = max(member.joined - 1, self.decided)
            member.waiting = -1
            member.is_in_step = False
            member.events = []
        self._owing = self._who_owes(self._current) if self._current is not None else {}

    def _replay(self, source: Iterator[MarketSlice], matched: int, decided: int) -> None:
        """Match and decide, without decisions, up to the place of a record."""
        while self.decided < decided or self.matched < matched:
            if self._current is None:
                self._take_next(source)
            elif self.decided < decided:
                self._settle(())
            else:
                return

    def _take_next(self, source: Iterator[MarketSlice]) -> None:
        market_slice = next(source, None)
        if market_slice is None or market_slice.number != self.matched + 1:
            found = "they end" if market_slice is None else f"{market_slice.number} comes"
            raise ChorusError(
                f"order manager: cannot be restored, slice {self.matched + 1} is needed and "
                f"{found}; replay from the same market data"
            )
        self._current = market_slice
        events = self._decider.match(market_slice)
        self.matched = market_slice.number
        self._post(events, matched=True)

    def _settle(self, decisions: Sequence[Decision]) -> None:
        if self._current is None:
            raise ChorusError(f"order manager: slice {self.matched} was decided twice on record")
        events = self._decider.decide(self._current, decisions)
        self.decided = self.matched
        self._current = None
        self._post(events, matched=False)

    def _redo(self, record: Record) -> None:
        if isinstance(record, Decided):
            self._settle(record.decisions)
        elif isinstance(record, Registered):
            self._decider.register(strategy_of(record))
        elif isinstance(record, Joined):
            self._admit(record.host, record.epoch, record.instances, record.streams)
        elif isinstance(record, Rejoined):
            self._renew(self._participants[record.host], record.epoch)
        elif isinstance(record, Left):
            self.leave(record.host, record.instances, record.reason)
        else:
            self._participants[record.host].commands.append(record.command)
