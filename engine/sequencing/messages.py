"""Messages between market data, instances and the order manager.

They are plain msgpack on the wire; the same structs serve tests without any wire. Every message
speaks in slice numbers (`MarketSlice.number`), so its meaning does not depend on when it arrives.
One that comes again, before any newer one of its sender, changes nothing: candles, events and
commands are numbered, and everything else says how far somebody is.
"""

from __future__ import annotations

import msgspec

from engine.instance.commands import Command
from engine.types import Candle, Decision, MarketSlice, OrderEvent

__all__ = [
    "Answer",
    "CandleBatch",
    "Mark",
    "Past",
    "Release",
    "SliceBatch",
    "SliceCommand",
    "SliceDecision",
    "SliceEvent",
]


class CandleBatch(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive candles of one stream, market data to instances.

    `slices[i]` and `times[i]` are number and time of the slice `candles[i]` belongs to.
    `published_ns` is the sender's monotonic clock.
    """

    stream: str
    published_ns: int
    slices: list[int]
    times: list[int]
    candles: list[Candle]


class SliceBatch(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive whole slices, market data to the order manager. `last` ends the feed."""

    published_ns: int
    slices: list[MarketSlice]
    last: bool = False


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Every candle up to and including slice `through` has been sent before this message."""

    published_ns: int
    through: int


class SliceDecision(msgspec.Struct, frozen=True, array_like=True):
    """A decision and the slice whose candle it answers."""

    slice: int
    decision: Decision


class SliceCommand(msgspec.Struct, frozen=True, array_like=True):
    """A command an instance has obeyed, and when: between two of its steps.

    Attributes:
        instance: Who obeyed.
        slice: Newest slice it had processed.
        taken: How many order events it had taken.
        command: What it was told.
        number: How many commands it had obeyed before, since it took part.
    """

    instance: str
    slice: int
    taken: int
    command: Command
    number: int = 0


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """Progress of one participant, instances to the order manager.

    Attributes:
        host: Participant id.
        epoch: Number of its start; an answer of an older epoch is refused.
        through: Every candle of the participant up to and including this slice is answered;
            where `decisions` holds nothing for a slice the answer was "none".
        waiting: Slice that may not be processed before the participant hears that the order
            manager has matched it, whether its candles have arrived yet or not; -1 if none.
        published_ns: When the newest answered candle was published (for latency); 0 where none is
            answered or newer ones have arrived already.
        decisions: In slice order.
        commands: What instances were told since the last answer, in order.
        taken: Only where everything is told again, after the order manager asked for it or at the
            beginning of an epoch: how many order events each instance has taken. `decisions` then
            hold all the order manager may not know, `commands` all there are.
        reign: With `taken`: for which life of the order manager (see `Release`).
    """

    host: str
    epoch: int
    through: int
    waiting: int
    published_ns: int
    decisions: list[SliceDecision]
    commands: list[SliceCommand] = []
    taken: dict[str, int] | None = None
    reign: int = 0


class SliceEvent(msgspec.Struct, frozen=True, array_like=True):
    """An order event and its place in the order of slices.

    Attributes:
        slice: The slice whose matching or deciding produced it.
        event: The event.
        matched: Matching produced it, so it belongs before the slice's candles; otherwise deciding
            or a withdrawal did, and it belongs after them.
        number: How many events its instance had before, those of earlier starts included.
    """

    slice: int
    event: OrderEvent
    matched: bool = False
    number: int = 0


class Past(msgspec.Struct, frozen=True, array_like=True):
    """What instances of a participant have to live through again in another process.

    Attributes:
        joined: First slice each instance took part in; older ones are history to it.
        matched: Newest slice the order manager has matched.
        through: Newest slice the order manager has the participant's answer to; older decisions
            are not repeated.
        events: Every order event by instance, those of earlier starts first.
        inherited: How many of those happened before it took part, by instance.
        commands: What the instances were told since they took part; those of one are in order.
    """

    joined: dict[str, int]
    matched: int
    through: int
    events: dict[str, list[SliceEvent]]
    inherited: dict[str, int]
    commands: list[SliceCommand]


class Release(msgspec.Struct, frozen=True, array_like=True):
    """Order manager to one participant: working orders are matched through slice `through`.

    `events` are all events of the participant's instances since the last release, in order.
    `reign` numbers the order manager's lives: what an earlier one said is not listened to after
    the participant has repeated itself for its successor. Nor is what was said to an earlier
    `epoch` of a participant that goes on under a new one.
    """

    through: int
    events: list[SliceEvent]
    reign: int = 0
    epoch: int = 0
