"""The order manager's records in a file: everything a restart has to repeat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from engine.errors import JournalError
from engine.journal.closing import Closing
from engine.journal.file import JournalFile
from engine.sequencing.records import Record, Recorder

__all__ = ["OrderJournal"]


class OrderJournal(Recorder, Closing):
    """Keeps a coordinator's records in a `JournalFile` of kind `KIND`.

    A restart gives `records` to `Coordinator.restore`, of a coordinator that records here again.

    Args:
        file: The journal file; closed with this.

    Raises:
        JournalError: The file is of another kind.
    """

    KIND: Final = "orders"

    def __init__(self, file: JournalFile) -> None:
        file.require_kind(self.KIND)
        self.file = file
        self._append = file.append
        self._encode = msgspec.msgpack.Encoder().encode

    def add(self, record: Record) -> None:
        """Buffer a record for the next commit. Does not touch the disk.

        Raises:
            JournalError: It holds something msgpack cannot, or the file takes no records.
        """
        try:
            payload = self._encode(record)
        except (TypeError, ValueError, OverflowError) as error:
            raise JournalError(
                f"{str(self.file.path)!r}: a {type(record).__name__} record cannot be stored: "
                f"{error}; it may hold plain data only"
            ) from error
        self._append(payload)

    def commit(self) -> None:
        """Make everything added safe; see `JournalFile.commit`."""
        self.file.commit()

    def records(self, start: int = 0) -> Iterator[Record]:
        """Return the committed records from index `start` on, oldest first.

        Raises:
            JournalError: A record cannot be read, or is of a type this program does not know.
        """
        decode = msgspec.msgpack.Decoder(Record).decode
        for index, payload in enumerate(self.file.records(start), start):
            try:
                yield decode(payload)
            except msgspec.MsgspecError as error:
                raise self.file.unreadable(index, error) from error

    def close(self) -> None:
        """Commit what was added and close the file; see `JournalFile.close`."""
        self.file.close()

    def abandon(self) -> None:
        """Close the file without what was not committed."""
        self.file.abandon()
