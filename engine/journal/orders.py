"""What the order manager writes down before it acts: everything a restart has to repeat."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

import msgspec

from engine.errors import JournalError
from engine.instance.commands import Command
from engine.journal.file import JournalFile
from engine.types import Decision

__all__ = [
    "Commanded",
    "Decided",
    "Joined",
    "Left",
    "OrderJournal",
    "OrderJournalRecord",
    "Registered",
]


class Decided(msgspec.Struct, frozen=True, array_like=True, tag="decided"):
    """The decisions of a slice, in the order they were taken into account.

    A slice nobody decided anything in has no record.
    """

    slice: int
    decisions: list[Decision]


class Joined(msgspec.Struct, frozen=True, array_like=True, tag="joined"):
    """A participant takes part from `slice` on."""

    host: str
    epoch: int
    instances: list[str]
    streams: list[str]
    slice: int


class Left(msgspec.Struct, frozen=True, array_like=True, tag="left"):
    """A participant was taken out after `slice`; its instances are withdrawn for `reason`."""

    host: str
    instances: list[str]
    reason: str
    slice: int


class Commanded(msgspec.Struct, frozen=True, array_like=True, tag="commanded"):
    """An operator's command to an instance, in force from the candle after `slice` on."""

    instance: str
    slice: int
    command: Command


class Registered(msgspec.Struct, frozen=True, array_like=True, tag="registered"):
    """A strategy was added to the run. `strategy` is its configuration as JSON."""

    strategy: bytes


OrderJournalRecord = Decided | Joined | Left | Commanded | Registered


class OrderJournal:
    """The order manager's journal: typed records over a `JournalFile` of kind `KIND`.

    Args:
        file: The journal file; closed with this.

    Raises:
        JournalError: The file is of another kind.
    """

    KIND: Final = "orders"

    def __init__(self, file: JournalFile) -> None:
        require_kind(file, self.KIND)
        self.file = file
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(OrderJournalRecord)

    def append(self, record: OrderJournalRecord) -> int:
        """Buffer a record for the next commit. Does not touch the disk.

        Returns:
            The record's index, from 0.

        Raises:
            JournalError: It holds something msgpack cannot, or the file takes no records.
        """
        try:
            payload = self._encoder.encode(record)
        except (TypeError, ValueError, OverflowError) as error:
            raise JournalError(
                f"{str(self.file.path)!r}: a {type(record).__name__} record cannot be stored: "
                f"{error}; it may hold plain data only"
            ) from error
        return self.file.append(payload)

    def commit(self) -> None:
        """Make everything appended safe; see `JournalFile.commit`."""
        self.file.commit()

    def replay(self, start: int = 0) -> Iterator[OrderJournalRecord]:
        """Return the committed records from index `start` on, oldest first.

        Raises:
            JournalError: A record cannot be read, or is of a type this program does not know.
        """
        for index, payload in enumerate(self.file.records(start), start):
            try:
                yield self._decoder.decode(payload)
            except msgspec.MsgspecError as error:
                raise unreadable(self.file, index, error) from error

    def close(self) -> None:
        """Commit what was appended and close the file; see `JournalFile.close`."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.file.__exit__(kind, error, trace)


def require_kind(file: JournalFile, kind: str) -> None:
    """Check what a journal file was opened as.

    Raises:
        JournalError: It is of another kind.
    """
    if file.kind != kind:
        raise JournalError(
            f"{str(file.path)!r}: need a journal of kind {kind!r}, got one of {file.kind!r}; "
            f"open it as {kind!r}"
        )


def unreadable(file: JournalFile, index: int, error: Exception) -> JournalError:
    """Return the error of a record that is intact and still makes no sense."""
    return JournalError(
        f"{str(file.path)!r}: record {index} is intact but cannot be read: {error}; use the "
        "program that wrote it, or a later one"
    )
