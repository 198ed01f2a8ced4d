"""What lies behind an instance: candles published already, and what it was told between them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from engine.instance.history import CandleHistory
from engine.sequencing.messages import Past, SliceCommand, SliceEvent
from engine.types import Candle

__all__ = ["Entry", "Life", "Timeline", "lives_of"]

Entry = tuple[int, int, Candle]
"""A candle, after number and time of its slice."""


class Timeline:
    """Candles in the order in which instances process them; shared by those that listen alike.

    Args:
        entries: The candles.
        parts: The timelines of single streams these were merged from, if they were.

    Attributes:
        entries: The candles.
    """

    __slots__ = ("_histories", "_numbers", "_parts", "entries")

    def __init__(self, entries: Iterable[Entry] = (), *, parts: Sequence[Timeline] = ()) -> None:
        self.entries: list[Entry] = []
        self._numbers: list[int] = []
        self._parts = parts
        self._histories: dict[str, CandleHistory] | None = None
        self.extend(entries)

    def extend(self, entries: Iterable[Entry]) -> None:
        """Add the next candles."""
        first = len(self.entries)
        self.entries.extend(entries)
        self._numbers.extend(entry[0] for entry in self.entries[first:])
        self._histories = None

    def after(self, number: int) -> int:
        """Return the place of the first candle after a slice."""
        return bisect_right(self._numbers, number)

    def place_of(self, event: SliceEvent) -> int:
        """Return the place of the first candle an event belongs before."""
        find = bisect_left if event.matched else bisect_right
        return find(self._numbers, event.slice)

    def histories(self) -> Mapping[str, CandleHistory]:
        """Return the candles of each stream as columns, made once.

        Raises:
            CandleError: Candles of a stream are missing between others.
        """
        if self._histories is None:
            self._histories = {}
            for part in self._parts:
                self._histories.update(part.histories())
            if not self._parts:
                candles: dict[str, list[Candle]] = {}
                for _, _, candle in self.entries:
                    candles.setdefault(candle.stream, []).append(candle)
                for stream, own in candles.items():
                    self._histories[stream] = CandleHistory.of(own)
        return self._histories


class Life(msgspec.Struct, frozen=True):
    """One instance's part of a `Past`."""

    joined: int
    matched: int
    through: int
    events: list[SliceEvent]
    inherited: int
    commands: list[SliceCommand]

    @property
    def known(self) -> int:
        """Return the newest slice up to which nothing can differ from how it went.

        Every event is known up to the newest slice matched, the newest answered and the last
        command obeyed. Stopping short of what was answered would let a new command change what the
        order manager relies on.
        """
        told = max((command.slice for command in self.commands), default=-1)
        return max(self.matched, self.through, told)


def lives_of(past: Past) -> dict[str, Life]:
    """Return every instance's part of a past."""
    commands: dict[str, list[SliceCommand]] = {}
    for command in past.commands:
        commands.setdefault(command.instance, []).append(command)
    return {
        name: Life(
            joined,
            past.matched,
            past.through,
            past.events[name],
            past.inherited[name],
            commands.get(name, []),
        )
        for name, joined in past.joined.items()
    }
