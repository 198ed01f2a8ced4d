"""Decides slice by slice, once every participant has answered, whatever the order of arrival."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from engine.errors import ChorusError
from engine.sequencing.admission import Admission
from engine.sequencing.clock import Clock
from engine.sequencing.decider import SliceDecider
from engine.sequencing.dispatch import Dispatch
from engine.sequencing.executions import ExecutionLog, ExecutionPage
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
    Rejoined,
    Traded,
    Withdrawn,
    registered,
)
from engine.sequencing.restoration import Restoration
from engine.sequencing.roster import Participant, Roster
from engine.spool import Spool
from engine.trading.modes import EVERYWHERE, TradingMode
from engine.trading.registration import Registration
from engine.types import MarketSlice

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
        spool: Where order events are kept for good; None: in memory.
    """

    def __init__(
        self,
        decider: SliceDecider,
        recorder: Recorder | None = None,
        *,
        reign: int = 0,
        spool: Spool | None = None,
    ) -> None:
        self._decider = decider
        self._reign = reign
        self._recorder = recorder or Recorder()
        self._on_record = (-1, -1)
        self._lines = decider.lines
        self._roster = Roster()
        self._dispatch = Dispatch(self._roster, reign, spool)
        self._executions = ExecutionLog(spool)
        self._clock = Clock(decider, self._dispatch, self._executions)
        self._admission = Admission(
            self._roster, self._clock, self._dispatch, decider, self._executions
        )

    @property
    def matched(self) -> int:
        """Return the newest slice matched."""
        return self._clock.matched

    @property
    def decided(self) -> int:
        """Return the newest slice decided."""
        return self._clock.decided

    @property
    def received(self) -> int:
        """Return the newest slice number that has arrived."""
        return self._clock.received

    @property
    def lines(self) -> int:
        """Return how many lines of the ledger no crash can undo: all a restart would write again.

        What is beyond them comes of slices that are not on record yet.
        """
        return self._lines

    @property
    def newest_known(self) -> int:
        """Return the newest slice anybody is known to have seen."""
        present = self._roster.hosts.values()
        return max(self._clock.received, max((host.through for host in present), default=-1))

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

    def register(self, registrations: Iterable[Registration]) -> None:
        """Let strategies and followers take part in risk and arbitration, withdrawn ones again.

        Raises:
            ConfigError: One cannot; those before it are registered. See `OrderManager.register`.
        """
        try:
            for registration in registrations:
                self._decider.register(registration)
                self._add_record(registered(self.matched, self.decided, registration))
        finally:
            self._recorder.commit()

    def withdraw(self, ids: Sequence[str], reason: str) -> None:
        """Withdraw those who are in no host: followers, and strategies without an instance.

        Their working entries are cancelled, their protection stays. Unknown ones are passed over.

        Raises:
            ChorusError: One is an instance of a participant; nothing has changed.
        """
        for name in ids:
            present = self._roster.by_instance.get(name)
            if present is not None:
                raise ChorusError(
                    f"instance {name!r}: takes part in host {present.host!r}; let it leave"
                )
        self._add_record(Withdrawn(self.matched, self.decided, list(ids), reason))
        self._recorder.commit()
        self._admission.withdraw(ids, reason)
        self._note_lines()

    def set_trading(self, mode: TradingMode, account: str | None = None) -> None:
        """Let an account, or all, trade, only get out, or do nothing; see `engine.trading.modes`.

        Raises:
            ConfigError: There is no such mode.
        """
        where = EVERYWHERE if account is None else account
        self._decider.set_trading(mode, where)
        self._add_record(Traded(self.matched, self.decided, mode, where))
        self._recorder.commit()
        self._note_lines()

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
        self._admission.require_new(host, epoch)
        streams = {name: list(wanted) for name, wanted in instances.items()}
        self._add_record(Joined(self.matched, self.decided, host, epoch, streams))
        self._recorder.commit()
        return self._admission.join(host, epoch, streams)

    def rejoin(self, host: str, *, epoch: int) -> Past:
        """Let a participant live on in a new process; what it has not answered is waited for.

        Raises:
            ChorusError: It does not take part any more, or the epoch is not a new one.
        """
        participant = self._roster.hosts.get(host)
        if participant is None:
            raise ChorusError(f"host {host!r}: does not take part any more, it has to join anew")
        self._admission.require_new(host, epoch)
        self._add_record(Rejoined(self.matched, self.decided, host, epoch))
        self._recorder.commit()
        self._admission.rejoin(participant, epoch)
        return self._admission.past(participant, participant.members)

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
        self._admission.require_new(to, epoch)
        self._add_record(Moved(self.matched, self.decided, instance, to, epoch))
        self._recorder.commit()
        return self._admission.past(self._admission.move(instance, to, epoch), [instance])

    def leave(self, host: str, instances: Sequence[str], reason: str) -> list[tuple[str, Release]]:
        """Take instances out: nobody waits for them any more, their decisions not yet due lapse.

        They are withdrawn: their working entries are cancelled, their protection stays. The
        participant goes on with those it has left, under its epoch, and is dismissed with its last
        one; it is told to let the others go only afterwards. One that has moved to another
        participant meanwhile is taken out there.
        """
        self._add_record(Left(self.matched, self.decided, host, list(instances), reason))
        self._recorder.commit()
        self._admission.leave(instances, reason)
        self._note_lines()
        return self._dispatch.releases(self.matched)

    # ------------------------------------------------------------------ the clock

    def add_slices(self, slices: Iterable[MarketSlice]) -> None:
        """Take the next slices; repeated ones are ignored.

        Raises:
            ChorusError: A slice number is skipped.
        """
        self._clock.add(slices)

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
        clock = self._clock
        for entry in answer.decisions:
            decision = entry.decision
            # One that has left, or moved, may go on deciding until its host hears of it.
            if entry.slice > participant.through and decision.instance in participant.members:
                clock.decisions.setdefault(entry.slice, []).append(decision)
        if answer.through > participant.through:
            participant.through = answer.through
            if answer.through >= clock.matched:
                clock.owing.pop(participant.host, None)
        participant.waiting = answer.waiting
        if answer.waiting >= 0:
            self._dispatch.restless[participant.host] = participant
        return True

    def _heeds(self, participant: Participant, answer: Answer) -> bool:
        """Take the conversation up if an answer repeats what this coordinator does not know."""
        if answer.taken is None:
            participant.is_in_step = participant.may_be_new
            return participant.may_be_new
        if answer.reign != self._reign:
            return False
        # Only once: releases sent since then are under way.
        if not participant.is_in_step:
            participant.is_in_step = True
            self._dispatch.take_up(participant, answer.taken)
        return True

    def _note_commands(self, participant: Participant, answer: Answer) -> None:
        """Put commands on record, but for those that are repeated."""
        for command in answer.commands:
            member = participant.members.get(command.instance)
            if member is not None and command.number >= len(member.commands):
                self._add_record(Commanded(self.matched, self.decided, participant.host, command))
                member.commands.append(command)
                self._executions.obeyed(command)
        self._recorder.commit()

    def advance(self) -> list[tuple[str, Release]]:
        """Match and decide as far as the answers allow.

        Returns:
            A release per participant that has events or waits for a slice now matched.
        """
        clock = self._clock
        while True:
            current = clock.current
            if current is None:
                if not clock.pending:
                    break
                current = clock.pending.popleft()
                clock.match(current)
                clock.owing = self._roster.owing(current)
            if clock.owing:
                break
            number = current.number
            decisions = clock.decisions.pop(number, None)
            if decisions:
                self._recorder.add(Decided(number, clock.decided, decisions))
                self._on_record = (number, number)
            clock.decide(current, decisions or ())
        releases = self._dispatch.releases(clock.matched)
        # Fills of those without an instance are released to nobody, and yet may be read.
        if releases or self._lines != self._decider.lines:
            self._note_reached()
        self._recorder.commit()
        self._note_lines()
        return releases

    def _note_lines(self) -> None:
        """Let the ledger be read as far as it is; only where the present place is on record."""
        self._lines = self._decider.lines

    def _add_record(self, record: Record) -> None:
        self._recorder.add(record)
        self._on_record = (record.matched, record.decided)

    def _note_reached(self) -> None:
        """Put the present place on record where somebody is about to be told of it."""
        if self._on_record < (self.matched, self.decided):
            self._add_record(Reached(self.matched, self.decided))

    def farewell(self) -> list[tuple[str, Release]]:
        """Return a last release for every participant, so that each knows the end is matched."""
        self._note_reached()
        self._recorder.commit()
        return self._dispatch.farewell(self.matched)

    def history(self, instance: str) -> list[SliceEvent]:
        """Return every event of an instance so far; a restarted one takes over from them."""
        return self._dispatch.history(instance)

    @property
    def executions(self) -> int:
        """Return how many lines on executions there are; see `executions_from`."""
        return len(self._executions)

    def executions_from(self, start: int, limit: int, *, with_roster: bool) -> ExecutionPage:
        """Return lines on who took part in which slice; no crash undoes what was returned once.

        Args:
            start: Number of the first one wanted, from 0; the same for good.
            limit: How many at most.
            with_roster: Tell, too, who took part before them.
        """
        self._note_reached()
        self._recorder.commit()
        return self._executions.read(start, limit, with_roster=with_roster)

    def stalls(self) -> list[Stall]:
        """Return the participants the slice in hand waits for; empty if it waits for none."""
        return [Stall(m.host, self.matched, m.through) for m in self._clock.owing.values()]

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
        restoration = Restoration(
            self._roster, self._clock, self._admission, self._decider, self._executions
        )
        restoration.play(slices, records)
        self._dispatch.restless.clear()
        self._on_record = (self.matched, self.decided)
        self._note_lines()
