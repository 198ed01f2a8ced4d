"""Where the order manager keeps its records."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.journal import read_state, write_state

__all__ = ["JournalPlace"]


class JournalPlace(msgspec.Struct, frozen=True):
    """A file for the order manager's records.

    Attributes:
        path: The file.
        is_durable: Wait for the disk before anybody is told of a record, so that the records
            outlive the machine and not only the process.
    """

    path: str
    is_durable: bool

    def next_reign(self) -> int:
        """Count a life on these records: what an earlier one said is never taken for its words.

        Returns:
            How many lives there were before.

        Raises:
            JournalError: The disk does not take it.
        """
        place = Path(self.path).with_suffix(".reign")
        last = read_state(place)
        reign = 0 if last is None else int(last) + 1
        write_state(place, str(reign).encode(), sync=self.is_durable)
        return reign
