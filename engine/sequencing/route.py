"""A stream, and who of a host listens to it."""

from __future__ import annotations

from typing import Generic

from engine.errors import StrategyError
from engine.sequencing.messages import CandleBatch
from engine.sequencing.seat import InstanceT, Seat
from engine.sequencing.timeline import Entry, Timeline

__all__ = ["Route"]


class Route(Generic[InstanceT]):
    """The listeners of one stream and the candles they have yet to take.

    Those who take part all stand at the same candle. The others have the stream's past before
    them, from its first candle on; it is kept once for all of them, and as long as there are any.

    Attributes:
        next_seq: First seq that those who take part have not been given.
        singles: Those who listen to this stream only.
        merging: Those who listen to others, too.
        fresh: Candles that `singles` have not taken yet.
        past: What was published, for those who do not take part yet.
    """

    __slots__ = ("fresh", "held", "merging", "next_seq", "past", "singles", "stream")

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.next_seq = 0
        self.singles: list[Seat[InstanceT]] = []
        self.merging: list[Seat[InstanceT]] = []
        self.held = 0
        self.fresh: list[Entry] = []
        self.past = Timeline()

    @property
    def is_empty(self) -> bool:
        """Return whether nobody listens any more."""
        return not (self.singles or self.merging or self.held)

    @property
    def wanted(self) -> int:
        """Return the first seq somebody has not been given."""
        if not self.held:
            return self.next_seq
        held = len(self.past.entries)
        return min(held, self.next_seq) if self.singles or self.merging else held

    def add(self, seat: Seat[InstanceT]) -> None:
        """Let a seat listen that takes part."""
        (self.singles if seat.is_single else self.merging).append(seat)

    def remove(self, seat: Seat[InstanceT]) -> None:
        """Let a seat go that takes part."""
        (self.singles if seat.is_single else self.merging).remove(seat)

    def hold(self) -> None:
        """Let a seat listen that does not take part yet."""
        self.held += 1

    def let_go(self) -> None:
        """Let a seat go that did not take part; the last one takes the past with it."""
        self.held -= 1
        if not self.held:
            self.past = Timeline()

    def check_caught_up(self, host: str) -> None:
        """Make sure that those who come lack nothing of what those who are here have.

        Raises:
            StrategyError: They do.
        """
        held = len(self.past.entries)
        if not (self.singles or self.merging):
            self.next_seq = held
        elif held != self.next_seq:
            raise StrategyError(
                f"host {host!r}: newcomers need candles [{held}, {self.next_seq}) of "
                f"{self.stream!r} before they take part; offer them from the log"
            )

    def split(self, batch: CandleBatch) -> tuple[list[Entry], list[Entry]]:
        """Return what those who take part and those who do not have not been given yet."""
        entries = list(zip(batch.slices, batch.times, batch.candles, strict=True))
        first = batch.candles[0].seq
        live = entries[max(0, self.next_seq - first) :] if self.singles or self.merging else []
        held = entries[max(0, len(self.past.entries) - first) :] if self.held else []
        return live, held
