"""The stored state of an instance among its messages: a shorter way back than its whole past.

An instance is a function of its candles, order events and commands, each in its place. A stored
state is of use where it is what the instance was somewhere on the way its past describes; going on
from there then gives what living through everything gives. Whoever stored it may have been ahead of
what the order manager has on record, or on a way that is not on record at all: it obeyed a command
nobody heard of, or ran past the place where its successor obeyed one. So nothing is believed that
the past does not confirm; what does not fit is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Self, TypeVar
from zlib import crc32

import msgspec

from engine.errors import ChorusError
from engine.sequencing.messages import SliceCommand, SliceDecision, SliceEvent
from engine.sequencing.timeline import Life, Timeline

__all__ = ["SeatState", "Stored", "digest_of", "is_before"]

_VERSION = 1
_ENCODE = msgspec.msgpack.Encoder().encode

InstanceT = TypeVar("InstanceT")


def is_before(entry: SliceEvent, number: int) -> bool:
    """Tell whether an event belongs before the candles of a slice."""
    return entry.slice < number or (entry.slice == number and entry.matched)


def digest_of(events: Iterable[SliceEvent], digest: int = 0) -> int:
    """Return the checksum of events with their places, after those a checksum is given of."""
    for entry in events:
        digest = crc32(_ENCODE(entry), digest)
    return digest


class SeatState(msgspec.Struct, frozen=True, array_like=True):
    """What an instance was between two of its steps. Plain msgpack.

    Attributes:
        version: Of this layout.
        instance: Who.
        joined: First slice it took part in.
        inherited: How many of its order events happened before that.
        processed: Newest slice it had processed a candle of.
        taken: How many order events it had taken.
        events: Checksum of those, see `digest_of`.
        matched: `decisions` hold every one from this slice on.
        commands: Everything it had obeyed since it joined.
        decisions: What the order manager may have to be told again, or has not been told.
        state: Its snapshot.
    """

    version: int
    instance: str
    joined: int
    inherited: int
    processed: int
    taken: int
    events: int
    matched: int
    commands: list[SliceCommand]
    decisions: list[SliceDecision]
    state: bytes

    @classmethod
    def of(
        cls,
        instance: str,
        *,
        joined: int,
        inherited: int,
        processed: int,
        taken: int,
        events: int,
        matched: int,
        commands: list[SliceCommand],
        decisions: list[SliceDecision],
        state: bytes,
    ) -> Self:
        """Return a state of the present layout."""
        return cls(
            _VERSION,
            instance,
            joined,
            inherited,
            processed,
            taken,
            events,
            matched,
            commands,
            decisions,
            state,
        )

    def encode(self) -> bytes:
        """Return its stored form."""
        return _ENCODE(self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read it back.

        Raises:
            ChorusError: It is damaged, or of another layout.
        """
        try:
            version = msgspec.msgpack.decode(data, type=_Head).version
            if version == _VERSION:
                return msgspec.msgpack.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ChorusError(f"state of {len(data)} bytes is damaged: {error}") from error
        raise ChorusError(
            f"state of an instance has layout {version}, this program reads {_VERSION}; "
            "live through the log instead"
        )

    def misfit(self, life: Life, line: Timeline) -> str:
        """Return why this is no place on the way a past describes; empty if it is one.

        Args:
            life: The past.
            line: Every candle published so far.
        """
        if (self.joined, self.inherited) != (life.joined, life.inherited):
            return "it is of an earlier start"
        if self.matched > life.matched:
            return f"decisions before slice {self.matched} are not kept"
        return self._misfit_of_candles(line) or self._misfit_of_told(life, line)

    def _misfit_of_candles(self, line: Timeline) -> str:
        place = line.after(self.processed)
        if not place or line.entries[place - 1][0] != self.processed:
            return f"slice {self.processed} is not published"
        return ""

    def _misfit_of_told(self, life: Life, line: Timeline) -> str:
        """Compare what it was told with what is on record, and look at what comes next there."""
        events, told = life.events[: self.taken], len(self.commands)
        if len(events) < self.taken or digest_of(events) != self.events:
            return "its order events are not those on record"
        if events and line.place_of(events[-1]) > line.after(self.processed):
            return "it has taken an event early"
        if life.commands[:told] != self.commands:
            return "its commands are not those on record"
        if self.taken < len(life.events) and is_before(life.events[self.taken], self.processed):
            return "an event belongs before its last candle"
        if told < len(life.commands):
            following = life.commands[told]
            if following.slice < self.processed or following.taken < self.taken:
                return "a command was obeyed before"
        return ""


class _Head(msgspec.Struct, array_like=True):
    version: int


class Stored(Generic[InstanceT]):
    """States instances may go on from, by id.

    Args:
        states: The states; whether one is of use is found out when its instance recovers.
        rebuild: Makes an instance anew that has seen nothing, for one that could not be restored.

    Attributes:
        used: Who went on from its state.
        refused: Why others did not.
    """

    def __init__(
        self, states: Mapping[str, SeatState], rebuild: Callable[[str], InstanceT]
    ) -> None:
        self._states = states
        self.rebuild = rebuild
        self.used: list[str] = []
        self.refused: dict[str, str] = {}

    def fitting(self, instance: str, life: Life, line: Timeline) -> SeatState | None:
        """Return the state of an instance if it fits its past."""
        state = self._states.get(instance)
        if state is None:
            return None
        misfit = state.misfit(life, line)
        if misfit:
            self.refused[instance] = misfit
            return None
        return state
