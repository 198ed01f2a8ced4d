"""Who takes part: participants, the instances they answer for, and the streams these listen to."""

from __future__ import annotations

import msgspec

from engine.sequencing.messages import SliceCommand, SliceEvent
from engine.types import MarketSlice

__all__ = ["Membership", "Participant", "Roster"]


class Membership(msgspec.Struct):
    """What the order manager's side of the clock keeps of one instance.

    Attributes:
        streams: What it listens to.
        joined: First slice it takes part in.
        inherited: How many of its order events happened before that.
        commands: What it was told since, in order.
    """

    streams: tuple[str, ...]
    joined: int
    inherited: int
    commands: list[SliceCommand] = msgspec.field(default_factory=list)


class Participant(msgspec.Struct):
    """One that answers once per candle, for all its instances.

    Attributes:
        host: Its id.
        epoch: Number of its start; it changes also where what it answered is forgotten.
        through: Newest slice it has answered.
        waiting: Slice it waits for; -1 if none.
        is_in_step: Whether it has spoken under this epoch, and repeated what this order manager may
            not know; until then it is sent nothing. A process that goes on may not have its
            newcomers yet, and nobody to give their events to.
        may_be_new: Whether it begins with this epoch, and need not repeat anything.
        members: Its instances.
        listeners: How many of them listen to each stream.
        events: What it has not been sent yet.
        heard: How many events each instance has taken already, where some may come up again.
    """

    host: str
    epoch: int
    through: int
    waiting: int = -1
    is_in_step: bool = False
    may_be_new: bool = True
    members: dict[str, Membership] = msgspec.field(default_factory=dict)
    listeners: dict[str, int] = msgspec.field(default_factory=dict)
    events: list[SliceEvent] = msgspec.field(default_factory=list)
    heard: dict[str, int] = msgspec.field(default_factory=dict)

    def begin_anew(self, epoch: int, *, is_in_step: bool) -> None:
        """Forget the conversation so far; what is past now is told by other means."""
        self.epoch = epoch
        self.waiting = -1
        self.is_in_step = is_in_step
        self.may_be_new = False
        self.events = []
        self.heard = {}

    def owes(self, market_slice: MarketSlice) -> bool:
        """Tell whether an answer to a slice is missing; looks at every instance."""
        if self.through >= market_slice.number:
            return False
        streams = {candle.stream for candle in market_slice.candles}
        return any(
            member.joined <= market_slice.number and not streams.isdisjoint(member.streams)
            for member in self.members.values()
        )


class Roster:
    """All participants. One without instances does not exist.

    Attributes:
        hosts: Participants by id.
        by_instance: The participant of each instance.
        by_stream: The participants with a listener, for each stream.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, Participant] = {}
        self.by_instance: dict[str, Participant] = {}
        self.by_stream: dict[str, tuple[Participant, ...]] = {}

    def add(self, participant: Participant, instance: str, membership: Membership) -> None:
        """Make an instance, which takes part nowhere, one of a participant's."""
        self.hosts[participant.host] = participant
        participant.members[instance] = membership
        self.by_instance[instance] = participant
        for stream in dict.fromkeys(membership.streams):
            listeners = participant.listeners.get(stream, 0)
            participant.listeners[stream] = listeners + 1
            if not listeners:
                self.by_stream[stream] = (*self.by_stream.get(stream, ()), participant)

    def remove(self, instance: str) -> Membership:
        """Take an instance out; its participant goes with its last one."""
        participant = self.by_instance.pop(instance)
        membership = participant.members.pop(instance)
        participant.heard.pop(instance, None)
        if participant.events:
            participant.events = [e for e in participant.events if e.event.instance != instance]
        for stream in dict.fromkeys(membership.streams):
            participant.listeners[stream] -= 1
            if not participant.listeners[stream]:
                del participant.listeners[stream]
                others = tuple(p for p in self.by_stream[stream] if p is not participant)
                if others:
                    self.by_stream[stream] = others
                else:
                    del self.by_stream[stream]
        if not participant.members:
            del self.hosts[participant.host]
        return membership

    def owing(self, market_slice: MarketSlice) -> dict[str, Participant]:
        """Return the participants that have a candle in a slice and no answer to it yet.

        Only for a slice just matched, which everybody present takes part in.
        """
        number = market_slice.number
        by_stream = self.by_stream
        return {
            participant.host: participant
            for candle in market_slice.candles
            for participant in by_stream.get(candle.stream, ())
            if participant.through < number
        }
