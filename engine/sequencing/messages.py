"""Messages between market data, instances and the order manager.

They are plain msgpack on the wire; the same structs serve tests without any wire. Every message
speaks in slice numbers (`MarketSlice.number`), so its meaning does not depend on when it arrives.
"""

from __future__ import annotations

import msgspec

from engine.types import Candle, Decision, MarketSlice, OrderEvent

__all__ = [
    "Answer",
    "CandleBatch",
    "Mark",
    "Release",
    "SliceBatch",
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
    """

    host: str
    epoch: int
    through: int
    waiting: int
    published_ns: int
    decisions: list[SliceDecision]


class SliceEvent(msgspec.Struct, frozen=True, array_like=True):
    """An order event and its place in the order of slices.

    Attributes:
        slice: The slice whose matching or deciding produced it.
        event: The event.
        matched: Matching produced it, so it belongs before the slice's candles; otherwise deciding
            or a withdrawal did, and it belongs after them.
    """

    slice: int
    event: OrderEvent
    matched: bool = False


class Release(msgspec.Struct, frozen=True, array_like=True):
    """Order manager to one participant: working orders are matched through slice `through`.

    `events` are all events of the participant's instances since the last release, in order.
    """

    through: int
    events: list[SliceEvent]
