"""An append-only file of records that survives being killed at any instant."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from engine.errors import JournalError
from engine.journal.closing import Closing
from engine.journal.disk import disk_error, disk_errors, flush, flush_folder, write_all
from engine.journal.frames import (
    CHUNK,
    HEAD,
    MAX_PAYLOAD,
    encode_frame,
    has_mark,
    has_missing_sector,
    mark_at,
    read_frames,
    valid_frame_after,
    walk,
)

__all__ = ["JournalFile"]

_MAGIC = b"CHJRNL"
_FORMAT = 1
_PREFIX = struct.Struct("<6sH")


class JournalFile(Closing):
    """Append-only file of records; what `commit` has returned for is there after any crash.

    One thread of one process may use it; a second opening of the same file is refused. Appending
    costs no system call, a commit one write and one fdatasync however many records it carries.

    Opening verifies every record. A tail that a crash tore is cut off: it was never committed.

    Args:
        path: The file; made if it is not there, its folder must be.
        kind: What the records are, e.g. ``"orders"``; a file of another kind is refused.
        sync: Wait for the disk on commit. Without it a commit survives the death of the process,
            not a power cut.

    Attributes:
        torn_bytes: Bytes that were cut off when the file was opened.

    Raises:
        JournalError: The file cannot be opened, is in use, is of another kind or a newer format,
            or is damaged before its end; nothing is changed then.
    """

    def __init__(self, path: Path | str, *, kind: str, sync: bool = True) -> None:
        self.path = Path(path)
        self.kind = kind
        self.sync = sync
        self.torn_bytes = 0
        self._header = _PREFIX.pack(_MAGIC, _FORMAT) + encode_frame(kind.encode())
        self._buffer: list[bytes] = []
        self._committed = 0
        self._end = len(self._header)
        # Every CHUNK bytes or so: number of a record, and where its frame or mark begins.
        self._numbers = [0]
        self._offsets = [self._end]
        self._failure = ""
        with disk_errors(self.path, "open the journal"):
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            with contextlib.ExitStack() as undo:
                undo.callback(self._release)
                self._lock()
                self._recover()
                undo.pop_all()

    @property
    def count(self) -> int:
        """Return the number of records, those not committed yet included."""
        return self._committed + len(self._buffer)

    @property
    def committed(self) -> int:
        """Return the number of records that are safe."""
        return self._committed

    @property
    def is_open(self) -> bool:
        """Tell whether the journal has not been closed."""
        return self._fd >= 0

    @property
    def failed(self) -> bool:
        """Tell whether a commit has failed; nothing can be appended until it is reopened."""
        return bool(self._failure)

    def append(self, payload: bytes) -> int:
        """Buffer a record for the next commit. Does not touch the disk.

        Returns:
            The record's index, from 0.

        Raises:
            JournalError: A commit has failed, the journal is closed, or the payload is larger
                than 256 MiB.
        """
        self.require_usable()
        if len(payload) > MAX_PAYLOAD:
            raise JournalError(
                f"{str(self.path)!r}: a record may hold {MAX_PAYLOAD} bytes, got {len(payload)}; "
                "split it"
            )
        self._buffer.append(encode_frame(payload))
        return self._committed + len(self._buffer) - 1

    def commit(self) -> None:
        """Make everything buffered safe; returns when it is. Does nothing if nothing is buffered.

        Raises:
            JournalError: The disk did not take it. What was buffered is dropped, the file ends
                where the last commit ended (if that could still be had), and the journal refuses
                further records: reopen it.
        """
        self.require_usable()
        if not self._buffer:
            return
        data = mark_at(self._end) + b"".join(self._buffer)
        self._failure = "it was interrupted"  # taken back when all of it is done
        try:
            write_all(self._fd, data)
            if self.sync:
                flush(self._fd)
        except BaseException as error:  # after an interrupt it is unknown how much was written
            doing = f"commit {len(self._buffer)} record(s)"
            note = self._retreat(error)
            if isinstance(error, OSError):
                raise JournalError(f"{disk_error(self.path, doing, error)}{note}") from error
            raise
        if self._end - self._offsets[-1] >= CHUNK:
            self._numbers.append(self._committed)
            self._offsets.append(self._end)
        self._end += len(data)
        self._committed += len(self._buffer)
        self._buffer.clear()
        self._failure = ""

    def require_usable(self) -> None:
        """Check that records can be appended.

        Raises:
            JournalError: The journal is closed, or a commit has failed.
        """
        name = str(self.path)
        if self._failure:
            raise JournalError(
                f"{name!r}: takes no records since a commit failed ({self._failure}); mend the "
                "cause and reopen the journal"
            )
        if self._fd < 0:
            raise JournalError(f"{name!r}: the journal is closed; open it again")

    def records(self, start: int = 0) -> Iterator[bytes]:
        """Return the committed records from index `start` on, oldest first.

        Records committed after the iteration has begun are not part of it.

        Raises:
            JournalError: `start` is negative, the file cannot be read, or has changed since it
                was opened.
        """
        if start < 0:
            raise JournalError(f"{str(self.path)!r}: records start at 0, got {start}")
        place = bisect_right(self._numbers, start) - 1
        number, offset, end = self._numbers[place], self._offsets[place], self._end
        for reached, payloads in walk(self._read, offset, end):
            offset = reached
            if number + len(payloads) > start:
                yield from payloads[max(0, start - number) :]
            number += len(payloads)
        if offset != end:
            raise JournalError(
                f"{str(self.path)!r}: record {number} at byte {offset} is damaged, it was good "
                "when the journal was opened; check the disk, restore the file from a copy"
            )

    def close(self) -> None:
        """Commit what is buffered and let go of the file. May be called again.

        Raises:
            JournalError: The commit failed; the file is let go of all the same.
        """
        try:
            if self.is_open and not self.failed:
                self.commit()
        finally:
            self._release()

    def abandon(self) -> None:
        """Let go of the file without what was not committed. May be called again."""
        self._buffer.clear()
        self._release()

    def require_kind(self, kind: str) -> None:
        """Check what the file was opened as.

        Raises:
            JournalError: It is of another kind.
        """
        if self.kind != kind:
            raise JournalError(
                f"{str(self.path)!r}: need a journal of kind {kind!r}, got one of {self.kind!r}; "
                f"open it as {kind!r}"
            )

    def unreadable(self, index: int, error: Exception) -> JournalError:
        """Return the error of a record that is intact and still makes no sense."""
        return JournalError(
            f"{str(self.path)!r}: record {index} is intact but cannot be read: {error}; use the "
            "program that wrote it, or a later one"
        )

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JournalError(
                f"{str(self.path)!r}: the journal is open already, here or in another process; "
                "close it there first"
            ) from error

    def _recover(self) -> None:
        size = os.fstat(self._fd).st_size
        if self._is_unborn(size):
            self.torn_bytes = size
            os.ftruncate(self._fd, 0)
            write_all(self._fd, self._header)
        else:
            self._check_header()
            self._verify(size)
            if self._end < size:
                self.torn_bytes = size - self._end
                os.ftruncate(self._fd, self._end)
        if self.sync:
            # What is read from here on will be acted upon, so it has to be on the disk itself:
            # a killed process may have left it in the page cache only.
            flush(self._fd)
            flush_folder(self.path.parent)

    def _is_unborn(self, size: int) -> bool:
        """Tell whether a crash came before the header was safe, and so before any record."""
        head = self._read(0, min(size, len(self._header)))
        cut = size < len(self._header) and self._header.startswith(head)
        return cut or (size <= len(self._header) and not any(head))

    def _check_header(self) -> None:
        head = self._read(0, CHUNK)
        magic, version = _PREFIX.unpack(head[: _PREFIX.size].ljust(_PREFIX.size, b"\0"))
        name = str(self.path)
        if magic != _MAGIC:
            raise JournalError(f"{name!r}: not a journal; name another file")
        if version > _FORMAT:
            raise JournalError(
                f"{name!r}: journal format {version} is newer than {_FORMAT}, the newest this "
                "program reads; use the program that wrote it, or a later one"
            )
        if not head.startswith(self._header):
            found: list[bytes] = []
            read_frames(head[_PREFIX.size :], found, _PREFIX.size)
            actual = repr(found[0].decode(errors="replace")) if found else "a damaged header"
            raise JournalError(
                f"{name!r}: need a journal of kind {self.kind!r}, found {actual}; name another "
                "file or restore it from a copy"
            )

    def _verify(self, size: int) -> None:
        for reached, payloads in walk(self._read, self._end, size):
            if self._end - self._offsets[-1] >= CHUNK:
                self._numbers.append(self._committed)
                self._offsets.append(self._end)
            self._committed += len(payloads)
            self._end = reached
        if self._end < size:
            self._require_torn(size)

    def _require_torn(self, size: int) -> None:
        """Refuse a file whose first bad record is not the work of a crash.

        A crash tears the newest commit only, and leaves no valid record behind the tear unless a
        power cut kept some disk sectors of that commit from being written.
        """
        if has_mark(self._read, self._end + HEAD, size):
            raise self._damage("a later commit follows it")
        rest = self._read(self._end, size - self._end)
        valid = valid_frame_after(rest, self._end)
        if valid and not has_missing_sector(rest, self._end, valid):
            raise self._damage(f"a valid record follows it at byte {self._end + valid}")

    def _damage(self, evidence: str) -> JournalError:
        return JournalError(
            f"{str(self.path)!r}: record {self._committed} at byte {self._end} is damaged and "
            f"{evidence}, so no crash explains it; check the disk, restore the file from a copy "
            "(nothing was changed)"
        )

    def _read(self, offset: int, size: int) -> bytes:
        if self._fd < 0:
            raise JournalError(f"{str(self.path)!r}: the journal is closed; open it again")
        with disk_errors(self.path, f"read {size} bytes at {offset}"):
            return os.pread(self._fd, size, offset)

    def _retreat(self, error: BaseException) -> str:
        """Cut the file back to the last commit; return what to add to the error."""
        self._failure = str(error) or type(error).__name__
        self._buffer.clear()
        try:
            os.ftruncate(self._fd, self._end)
        except OSError as second:
            return f"; the file could not be cut back to byte {self._end} either: {second.strerror}"
        with contextlib.suppress(OSError):
            flush(self._fd)
        return f"; the file was cut back to its last commit ({self._committed} records)"

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
