"""Who comes, moves and goes, and what that changes for the slice in hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from engine.errors import ChorusError
from engine.sequencing.clock import Clock
from engine.sequencing.decider import SliceDecider
from engine.sequencing.dispatch import Dispatch
from engine.sequencing.executions import ExecutionLog
from engine.sequencing.messages import Past
from engine.sequencing.roster import Membership, Participant, Roster

__all__ = ["Admission"]


class Admission:
    """Changes who takes part, between two steps of the clock.

    Nothing is put on record here: `Coordinator` has done so before, and `restore` does the same
    again.

    Args:
        roster: Who takes part.
        clock: How far the slices are.
        dispatch: What participants have yet to be sent.
        decider: Matches and decides.
        executions: Gets who comes and goes.
    """

    __slots__ = ("_clock", "_decider", "_dispatch", "_executions", "_roster")

    def __init__(
        self,
        roster: Roster,
        clock: Clock,
        dispatch: Dispatch,
        decider: SliceDecider,
        executions: ExecutionLog,
    ) -> None:
        self._executions = executions
        self._roster = roster
        self._clock = clock
        self._dispatch = dispatch
        self._decider = decider

    def require_new(self, host: str, epoch: int) -> None:
        """Check that an epoch is larger than a participant's present one.

        Raises:
            ChorusError: It is not.
        """
        present = self._roster.hosts.get(host)
        if present is not None and epoch <= present.epoch:
            raise ChorusError(
                f"host {host!r}: a new epoch has to be larger than {present.epoch}, got {epoch}"
            )

    def join(self, host: str, epoch: int, instances: Mapping[str, Sequence[str]]) -> int:
        """Let instances take part from the slice after the newest matched on, which is returned."""
        clock = self._clock
        joined = clock.matched + 1
        for name in instances:
            if name in self._roster.by_instance:
                self._take_out(name)
        participant = self._roster.hosts.get(host)
        if participant is None:
            participant = Participant(host, epoch, clock.matched)
        else:
            self._begin_anew(participant, epoch, clock.common_through(participant))
        for name, streams in instances.items():
            membership = Membership(tuple(streams), joined, self._dispatch.count(name))
            self._roster.add(participant, name, membership)
        self.note_owing(participant)
        self._executions.came(instances, joined)
        return joined

    def rejoin(self, participant: Participant, epoch: int) -> None:
        """Let a participant live on in a new process."""
        participant.begin_anew(epoch, is_in_step=True)
        self._dispatch.restless.pop(participant.host, None)

    def move(self, instance: str, to: str, epoch: int) -> Participant:
        """Let an instance go on as one of another participant's, which is returned."""
        clock = self._clock
        source = self._roster.by_instance[instance]
        target = self._roster.hosts.get(to)
        if target is None:
            through = clock.common_through(source)
            target = Participant(to, epoch, through)
        else:
            through = clock.common_through(source, target)
            self._begin_anew(target, epoch, through)
        self._roster.add(target, instance, self._roster.remove(instance))
        clock.forget([instance], beyond=through)
        self.note_owing(source)
        self.note_owing(target)
        return target

    def leave(self, instances: Sequence[str], reason: str) -> None:
        """Take instances out, wherever they are, and withdraw them.

        What comes of it is history to each when it joins again: it takes part nowhere now. An event
        for one that goes on would have no place in the order of slices, nobody on record knows how
        far it has run ahead.
        """
        for instance in instances:
            participant = self._roster.by_instance.get(instance)
            if participant is not None:
                self._take_out(instance)
                self.note_owing(participant)
        self.withdraw(instances, reason)

    def withdraw(self, instances: Sequence[str], reason: str) -> None:
        """Withdraw those who take part nowhere; unknown ones are passed over."""
        known = set(self._decider.strategies)
        for instance in instances:
            if instance in known:
                events = self._decider.withdraw(instance, reason)
                self._dispatch.post(events, self._clock.matched, matched=False)

    def _take_out(self, instance: str) -> None:
        self._roster.remove(instance)
        self._executions.went(instance)
        self._clock.forget([instance], beyond=-1)

    def _begin_anew(self, participant: Participant, epoch: int, through: int) -> None:
        """Forget what a participant has answered beyond a slice; it will tell it again."""
        participant.begin_anew(epoch, is_in_step=False)
        participant.through = through
        self._clock.forget(participant.members, beyond=through)

    def note_owing(self, participant: Participant) -> None:
        """Wait for a participant, or not any more, after its instances have changed."""
        host, current = participant.host, self._clock.current
        if not participant.members:
            self._dispatch.restless.pop(host, None)
        if participant.members and current is not None and participant.owes(current):
            self._clock.owing[host] = participant
        else:
            self._clock.owing.pop(host, None)

    def past(self, participant: Participant, instances: Iterable[str]) -> Past:
        """Return what some of a participant's instances have to live through in a new process."""
        members = {name: participant.members[name] for name in instances}
        return Past(
            {name: member.joined for name, member in members.items()},
            self._clock.matched,
            participant.through,
            {name: self._dispatch.history(name) for name in members},
            {name: member.inherited for name, member in members.items()},
            [command for member in members.values() for command in member.commands],
        )
