"""The durable slice log: what was published, so that a restart sees the very same market."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from engine.errors import JournalError
from engine.journal.closing import Closing
from engine.journal.file import JournalFile
from engine.types import MarketSlice

__all__ = ["SliceJournal"]

_SLICES_PER_RECORD = 256
"""A record more costs as much as a slice; 256 make it small and 20 KB or so to read."""

_CANDLES_PER_RECORD = 1 << 16
"""5 MB or so; with thousands of streams 256 slices are too much to find one in, or to keep."""


class _Page(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive slices: one record of the file."""

    first: int
    count: int
    slices: list[MarketSlice]


class _PageHead(msgspec.Struct, frozen=True, array_like=True):
    """The part of a `_Page` that is needed to find a slice."""

    first: int
    count: int


class SliceJournal(Closing):
    """All slices of a run by number, from 0 and without gaps; the first write of one wins.

    Slices are gathered into records, each ended by 256 slices or 65,536 candles or more;
    `commit` ends the record in hand.

    Args:
        file: The journal file, of kind `KIND`; closed with this.

    Raises:
        JournalError: The file is of another kind or cannot be read.
    """

    KIND: Final = "slices"

    def __init__(self, file: JournalFile) -> None:
        file.require_kind(self.KIND)
        self.file = file
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Page)
        self._head_decoder = msgspec.msgpack.Decoder(_PageHead)
        # Slices that are in no record yet, and those that are in records not yet committed.
        self._open: list[MarketSlice] = []
        self._open_candles = 0
        self._sealed: list[MarketSlice] = []
        self._committed = self._end_of_last_record()
        # A restart appends the old slices anew, in order: they are compared by one reading.
        self._known: Iterator[MarketSlice] = iter(())
        self._next_known = -1

    @property
    def head(self) -> int:
        """Return the number the next slice must carry."""
        return self._committed + len(self._sealed) + len(self._open)

    @property
    def committed(self) -> int:
        """Return how many slices are safe: the numbers below it."""
        return self._committed

    def append(self, market_slice: MarketSlice) -> bool:
        """Record a slice; tell whether it was new. Touches the disk only to compare.

        Raises:
            JournalError: The number leaves a gap, or is there already with other content.
        """
        number = market_slice.number
        head = self._committed + len(self._sealed) + len(self._open)
        if number != head:
            self._require_same(market_slice, head)
            return False
        self.file.require_usable()
        self._open.append(market_slice)
        self._open_candles += len(market_slice.candles)
        if len(self._open) >= _SLICES_PER_RECORD or self._open_candles >= _CANDLES_PER_RECORD:
            self._seal()
        return True

    def commit(self) -> None:
        """Make all slices appended safe; see `JournalFile.commit`."""
        self._seal()
        # A commit that fails drops what it was given; so it is forgotten here first.
        sealed, self._sealed = self._sealed, []
        self.file.commit()
        self._committed += len(sealed)

    def slices(self, start: int = 0) -> Iterator[MarketSlice]:
        """Return the committed slices from number `start` on, in order.

        Raises:
            JournalError: `start` is negative, or the file cannot be read.
        """
        if start < 0:
            raise JournalError(f"{str(self.file.path)!r}: slices start at 0, got {start}")
        if start >= self._committed:
            return
        index = self._record_with(start)
        for place, payload in enumerate(self.file.records(index), index):
            page = self._decode(place, payload)
            yield from page.slices[max(0, start - page.first) :]

    def close(self) -> None:
        """Commit what was appended and close the file; see `JournalFile.close`."""
        try:
            if self.file.is_open and not self.file.failed:
                self.commit()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file without what was not committed."""
        self._open = []
        self._sealed = []
        self.file.abandon()

    def _seal(self) -> None:
        if not self._open:
            return
        page = _Page(self._open[0].number, len(self._open), self._open)
        self.file.append(self._encoder.encode(page))
        self._sealed += self._open
        self._open = []
        self._open_candles = 0

    def _require_same(self, market_slice: MarketSlice, head: int) -> None:
        number = market_slice.number
        name = str(self.file.path)
        if not 0 <= number < head:
            raise JournalError(
                f"{name!r}: the next slice must have number {head}, got {number}; append the ones "
                "between first"
            )
        known = self._recorded(number)
        if known != market_slice:
            raise JournalError(
                f"{name!r}: slice {number} is recorded as {known}, got {market_slice}; the market "
                "is not the one this run began with: give it the same files, or start a new run"
            )

    def _recorded(self, number: int) -> MarketSlice:
        if number >= self._committed:
            place = number - self._committed
            sealed = len(self._sealed)
            return self._sealed[place] if place < sealed else self._open[place - sealed]
        known = next(self._known, None) if number == self._next_known else None
        if known is None:
            self._known = self.slices(number)
            known = next(self._known)
        self._next_known = number + 1
        return known

    def _record_with(self, number: int) -> int:
        """Return the index of the record that holds a committed slice, by halving."""
        low, high = 0, self.file.committed - 1
        while low < high:
            middle = (low + high) // 2
            head = self._page_head(middle)
            if number >= head.first + head.count:
                low = middle + 1
            else:
                high = middle
        return low

    def _end_of_last_record(self) -> int:
        if not self.file.committed:
            return 0
        head = self._page_head(self.file.committed - 1)
        return head.first + head.count

    def _page_head(self, index: int) -> _PageHead:
        payload = next(self.file.records(index))
        try:
            return self._head_decoder.decode(payload)
        except msgspec.MsgspecError as error:
            raise self.file.unreadable(index, error) from error

    def _decode(self, index: int, payload: bytes) -> _Page:
        try:
            return self._decoder.decode(payload)
        except msgspec.MsgspecError as error:
            raise self.file.unreadable(index, error) from error
