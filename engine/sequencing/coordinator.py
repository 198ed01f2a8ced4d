"""Decides slice by slice, once every participant has answered, whatever the order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from engine.config import StrategyConfig
from engine.errors import ChorusError
from engine.sequencing.decider import SliceDecider
from engine.sequencing.messages import Answer, Past, Release, SliceEvent
from engine.sequencing.records import (
    Commanded,
    Decided,
    Joined,
    Left,
    Moved,
    Reached,
    Record,
    Recorder,
    Registered,
    Rejoined,
    strategy_of,
)
from engine.sequencing.roster import Membership, Participant, Roster
from engine.types import Decision, MarketSlice, OrderEvent

__all__ = ["Coordinator", "Stall"]


class Stall(msgspec.Struct, frozen=True):
    """A participant the next decision waits for, and the slice it has not answered."""

    host: str
    slice: int
    through: int


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
        self._roster = Roster()
        self._pending: deque[MarketSlice] = deque()
        self._current: MarketSlice | None = None
        self._owing: dict[str, Participant] = {}
        self._decisions: dict[int, list[Decision]] = {}
        self._restless: dict[str, Participant] = {}
        self._history: dict[str, list[SliceEvent]] = {}
        self._on_record = (-1, -1)
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
        present = self._roster.hosts.values()
        return max(self._received, max((host.through for host in present), default=-1))

    def epoch_of(self, host: str) -> int:
        """Return the number of a present participant's start."""
        return self._roster.hosts[host].epoch

    def reached(self) -> dict[str, int]:
        """Return the newest slice every participant has answered."""
        return {host: each.through for host, each in self._roster.hosts.items()}

    def members(self) -> dict[str, tuple[int, list[str]]]:
        """Return the epoch and the instances of every participant."""
        present = self._roster.hosts.items()
        return {host: (each.epoch, list(each.members)) for host, each in present}

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

    def join(self, host: str, *, epoch: int, instances: Mapping[str, Sequence[str]]) -> int:
        """Let instances take part from the next undecided slice on.

        If other instances of the participant take part already, it goes on with all of them under
        the new epoch: what it has answered beyond the newest slice matched is forgotten, since the
        newcomers had no part in it, and it is sent nothing before it has told everything again
        (`HostRunner.renew`).

        Args:
            host: The participant; a new one starts with these instances.
            epoch: Number of its start, larger than any before.
            instances: The streams of each newcomer. One that is the participant's already starts
                anew.

        Returns:
            The first slice whose decisions the newcomers take part in. If that slice is already
            matched it is the one after: its fills are known, the newcomers have none.

        Raises:
            ChorusError: An instance takes part elsewhere, or the epoch is not a new one.
        """
        for name in instances:
            present = self._roster.by_instance.get(name)
            if present is not None and present.host != host:
                raise ChorusError(
                    f"instance {name!r}: takes part in host {present.host!r} and cannot join "
                    f"{host!r}; let it leave first, or move it"
                )
        self._require_new(host, epoch)
        streams = {name: list(wanted) for name, wanted in instances.items()}
        self._add_record(Joined(self.matched, self.decided, host, epoch, streams))
        self._recorder.commit()
        return self._admit(host, epoch, streams)

    def _require_new(self, host: str, epoch: int) -> None:
        present = self._roster.hosts.get(host)
        if present is not None and epoch <= present.epoch:
            raise ChorusError(
                f"host {host!r}: a new epoch has to be larger than {present.epoch}, got {epoch}"
            )

    def _admit(self, host: str, epoch: int, instances: Mapping[str, Sequence[str]]) -> int:
        joined = self.matched + 1
        for name in instances:
            if name in self._roster.by_instance:
                self._take_out(name)
        participant = self._roster.hosts.get(host)
        if participant is None:
            participant = Participant(host, epoch, self.matched)
        else:
            self._begin_anew(participant, epoch, self._common_through(participant))
        for name, streams in instances.items():
            inherited = len(self._history.get(name, ()))
            membership = Membership(tuple(streams), joined, inherited)
            self._roster.add(participant, name, membership)
        self._note_owing(participant)
        return joined

    def _common_through(self, *participants: Participant) -> int:
        """Return the newest slice participants and coordinator have in common.

        Whatever is decided needs no answer any more, and what is not matched yet may be answered
        otherwise by others.
        """
        answered = min(participant.through for participant in participants)
        return max(self.decided, min(answered, self.matched))

    def _begin_anew(self, participant: Participant, epoch: int, through: int) -> None:
        """Forget what a participant has answered beyond a slice; it will tell it again."""
        participant.begin_anew(epoch, is_in_step=False)
        participant.through = through
        self._forget(participant.members, beyond=through)

    def _forget(self, instances: Collection[str], *, beyond: int) -> None:
        """Drop what instances have decided for slices after one."""
        for number, decisions in self._decisions.items():
            if number > beyond:
                self._decisions[number] = [d for d in decisions if d.instance not in instances]

    def _note_owing(self, participant: Participant) -> None:
        """Wait for a participant, or not any more, after its instances have changed."""
        host, current = participant.host, self._current
        if not participant.members:
            self._restless.pop(host, None)
        if participant.members and current is not None and participant.owes(current):
            self._owing[host] = participant
        else:
            self._owing.pop(host, None)

    def rejoin(self, host: str, *, epoch: int) -> Past:
        """Let a participant live on in a new process; what it has not answered is waited for.

        Raises:
            ChorusError: It does not take part any more, or the epoch is not a new one.
        """
        participant = self._roster.hosts.get(host)
        if participant is None:
            raise ChorusError(f"host {host!r}: does not take part any more, it has to join anew")
        self._require_new(host, epoch)
        self._add_record(Rejoined(self.matched, self.decided, host, epoch))
        self._recorder.commit()
        participant.begin_anew(epoch, is_in_step=True)
        self._restless.pop(host, None)
        return self._past(participant, participant.members)

    def _past(self, participant: Participant, instances: Iterable[str]) -> Past:
        members = {name: participant.members[name] for name in instances}
        return Past(
            {name: member.joined for name, member in members.items()},
            self.matched,
            participant.through,
            {name: self.history(name) for name in members},
            {name: member.inherited for name, member in members.items()},
            [command for member in members.values() for command in member.commands],
        )

    def move(self, instance: str, *, to: str, epoch: int) -> Past:
        """Let an instance go on as one of another participant's; its orders work on.

        The participant it leaves goes on under its epoch, or is dismissed with its last instance;
        it is told to let the instance go only afterwards. The one it comes to begins a new epoch,
        as with `join`.

        Args:
            instance: Who moves.
            to: The participant; one that is not present starts with this instance.
            epoch: Number of its start, larger than any before.

        Returns:
            What the instance has to live through again there.

        Raises:
            ChorusError: The instance takes part nowhere, or there already; the epoch is not new.
        """
        source = self._roster.by_instance.get(instance)
        if source is None:
            raise ChorusError(f"instance {instance!r}: takes part nowhere, it has to join")
        if source.host == to:
            raise ChorusError(f"instance {instance!r}: takes part in host {to!r} already")
        self._require_new(to, epoch)
        self._add_record(Moved(self.matched, self.decided, instance, to, epoch))
        self._recorder.commit()
        return self._past(self._move(instance, to, epoch), [instance])

    def _move(self, instance: str, to: str, epoch: int) -> Participant:
        source = self._roster.by_instance[instance]
        target = self._roster.hosts.get(to)
        if target is None:
            through = self._common_through(source)
            target = Participant(to, epoch, through)
        else:
            through = self._common_through(source, target)
            self._begin_anew(target, epoch, through)
        self._roster.add(target, instance, self._roster.remove(instance))
        self._forget([instance], beyond=through)
        self._note_owing(source)
        self._note_owing(target)
        return target

    def leave(self, host: str, instances: Sequence[str], reason: str) -> list[tuple[str, Release]]:
        """Take instances out: nobody waits for them any more, their decisions not yet due lapse.

        They are withdrawn: their working entries are cancelled, their protection stays. The
        participant goes on with those it has left, under its epoch, and is dismissed with its last
        one; it is told to let the others go only afterwards.
        """
        self._add_record(Left(self.matched, self.decided, host, list(instances), reason))
        self._recorder.commit()
        participant = self._roster.hosts.get(host)
        if participant is not None:
            for instance in instances:
                if instance in participant.members:
                    self._take_out(instance)
            self._note_owing(participant)
        known = set(self._decider.strategies)
        for instance in instances:
            if instance in known:
                self._post_late(self._decider.withdraw(instance, reason))
        return self._releases()

    def _take_out(self, instance: str) -> None:
        self._roster.remove(instance)
        self._forget([instance], beyond=-1)

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
        participant = self._roster.hosts.get(answer.host)
        if participant is None or answer.epoch != participant.epoch:
            return False
        # What is rare stays out of the way: every actor's answer to every candle comes by here.
        if (answer.taken is not None or not participant.is_in_step) and not self._heeds(
            participant, answer
        ):
            return False
        if answer.commands:
            self._note_commands(participant, answer)
        for entry in answer.decisions:
            decision = entry.decision
            # One that has left, or moved, may go on deciding until its host hears of it.
            if entry.slice > participant.through and decision.instance in participant.members:
                self._decisions.setdefault(entry.slice, []).append(decision)
        if answer.through > participant.through:
            participant.through = answer.through
            if answer.through >= self.matched:
                self._owing.pop(participant.host, None)
        participant.waiting = answer.waiting
        if answer.waiting >= 0:
            self._restless[participant.host] = participant
        return True

    def _heeds(self, participant: Participant, answer: Answer) -> bool:
        """Take the conversation up if an answer repeats what this coordinator does not know."""
        if answer.taken is None or answer.reign != self._reign:
            return False
        # Only once: releases sent since then are under way.
        if not participant.is_in_step:
            self._fall_in_step(participant, answer.taken)
        return True

    def _note_commands(self, participant: Participant, answer: Answer) -> None:
        """Put commands on record; an answer that repeats everything repeats them from the first."""
        known = (
            {}
            if answer.taken is None
            else {name: len(participant.members[name].commands) for name in participant.members}
        )
        for command in answer.commands:
            name = command.instance
            if known.get(name, 0):
                known[name] -= 1
            elif name in participant.members:
                self._add_record(Commanded(self.matched, self.decided, participant.host, command))
                participant.members[name].commands.append(command)
        self._recorder.commit()

    def _fall_in_step(self, participant: Participant, taken: dict[str, int]) -> None:
        """Take up the conversation with a participant that repeats what may have been lost."""
        participant.is_in_step = True
        # The one before may have told more than this one has got to yet.
        participant.heard = taken
        participant.events = [
            entry
            for name in participant.members
            for entry in self._history.get(name, [])[taken.get(name, 0) :]
        ]
        participant.events.sort(key=lambda entry: (entry.slice, not entry.matched))
        self._restless[participant.host] = participant

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
            if decisions:
                self._add_record(Decided(number, self.decided, decisions))
                self._on_record = (number, number)
            events = decider.decide(self._current, decisions or ())
            self.decided = number
            self._current = None
            if events:
                self._post(events, matched=False)
        releases = self._releases()
        if releases:
            self._note_reached()
        self._recorder.commit()
        return releases

    def _add_record(self, record: Record) -> None:
        self._recorder.add(record)
        self._on_record = (record.matched, record.decided)

    def _note_reached(self) -> None:
        """Put the present place on record where somebody is about to be told of it."""
        if self._on_record < (self.matched, self.decided):
            self._add_record(Reached(self.matched, self.decided))

    def _who_owes(self, market_slice: MarketSlice) -> dict[str, Participant]:
        """Return the participants that have a candle in a slice and no answer to it yet.

        Only for a slice just matched, which everybody present takes part in.
        """
        number = market_slice.number
        by_stream = self._roster.by_stream
        return {
            participant.host: participant
            for candle in market_slice.candles
            for participant in by_stream.get(candle.stream, ())
            if participant.through < number
        }

    def _post_late(self, events: Iterable[OrderEvent]) -> None:
        """Pass on events that did not come from a slice (a withdrawal).

        Such events have no place in the order of slices: a participant that ran ahead takes them
        where it stands.
        """
        for event in events:
            participant = self._roster.by_instance.get(event.instance)
            slice_number = self.matched
            if participant is not None:
                slice_number = max(slice_number, participant.through)
            self._post_one(SliceEvent(slice_number, event))

    def farewell(self) -> list[tuple[str, Release]]:
        """Return a last release for every participant, so that each knows the end is matched."""
        self._note_reached()
        self._recorder.commit()
        return [
            (host, Release(self.matched, [], self._reign, participant.epoch))
            for host, participant in self._roster.hosts.items()
        ]

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
        participant = self._roster.by_instance.get(instance)
        if participant is not None and len(history) > participant.heard.get(instance, 0):
            participant.events.append(entry)
            self._restless[participant.host] = participant

    def _releases(self) -> list[tuple[str, Release]]:
        matched = self.matched
        releases: list[tuple[str, Release]] = []
        for host, participant in list(self._restless.items()):
            if not participant.is_in_step:
                continue
            heard = participant.waiting <= matched
            if participant.events or heard:
                releases.append(
                    (host, Release(matched, participant.events, self._reign, participant.epoch))
                )
                participant.events = []
            if heard:
                participant.waiting = -1
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
        self._on_record = (self.matched, self.decided)
        self._received = self.matched
        self._decisions.clear()
        self._restless.clear()
        self._owing.clear()
        for participant in self._roster.hosts.values():
            joined = min(each.joined for each in participant.members.values())
            participant.through = max(joined - 1, self.decided)
            participant.begin_anew(participant.epoch, is_in_step=False)
            self._note_owing(participant)

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
            self._admit(record.host, record.epoch, record.instances)
        elif isinstance(record, Rejoined):
            self._roster.hosts[record.host].epoch = record.epoch
        elif isinstance(record, Moved):
            self._move(record.instance, record.to, record.epoch)
        elif isinstance(record, Left):
            self.leave(record.host, record.instances, record.reason)
        elif isinstance(record, Commanded):
            own = self._roster.hosts[record.host].members[record.command.instance]
            own.commands.append(record.command)
