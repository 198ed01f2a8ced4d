"""Who has to execute which interval: read along from the lines on executions of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from engine.recording.errors import RecordingError
from engine.recording.executions import ExecutionResult, ExecutionRow
from engine.sequencing.executions import Came, ExecutionLine, Took, Was, Went, decode_line

__all__ = ["Attendance"]


class _Member(msgspec.Struct):
    main: int
    since: int
    pauses: list[tuple[int, bool]]

    def is_paused_at(self, number: int) -> bool:
        return next((paused for slice_, paused in reversed(self.pauses) if slice_ < number), False)


class Attendance:
    """The roster of an engine, as it changes from line to line.

    Args:
        worker: Who executes.
        duration_us: How long an instance takes for a candle.
    """

    def __init__(self, worker: str, duration_us: Callable[[str], int]) -> None:
        self._worker = worker
        self._duration_us = duration_us
        self._members: dict[str, _Member] = {}
        self._listeners: dict[int, dict[str, None]] = {}

    def begin(self, before: Iterable[bytes]) -> None:
        """Forget everything, and become the roster these lines make.

        Raises:
            RecordingError: A line is damaged.
        """
        self._members.clear()
        self._listeners.clear()
        for data in before:
            self._change(_parsed(data))

    def rows_of(self, data: bytes) -> Iterator[ExecutionRow]:
        """Take the next line in; returns what was executed.

        Raises:
            RecordingError: It is damaged.
        """
        line = _parsed(data)
        if not isinstance(line, Took):
            self._change(line)
            return
        for main, closed_ms in line.closed:
            for name in self._listeners.get(main, ()):
                member = self._members[name]
                if member.since <= line.number:
                    yield self._row(line, name, member, closed_ms)

    def _row(self, line: Took, name: str, member: _Member, closed_ms: int) -> ExecutionRow:
        orders, followers = line.wanted.get(name, (0, 0))
        result: ExecutionResult = "no_signal"
        if name in line.wanted:
            result = "success"
        elif name in line.failed:
            result = "failed"
        elif member.pauses and member.is_paused_at(line.number):
            result = "skipped"
        return ExecutionRow(
            name,
            closed_ms,
            self._worker,
            self._duration_us(name),
            result,
            subscribers=followers,
            trades=orders,
        )

    def _change(self, line: ExecutionLine) -> None:
        if isinstance(line, Came):
            self._leave(line.instance)
            self._members[line.instance] = _Member(line.main, line.since, [])
            self._listeners.setdefault(line.main, {})[line.instance] = None
        elif isinstance(line, Went):
            self._leave(line.instance)
        elif isinstance(line, Was):
            self._members[line.instance].pauses.append((line.slice, line.is_paused))

    def _leave(self, name: str) -> None:
        member = self._members.pop(name, None)
        if member is not None:
            self._listeners[member.main].pop(name)


def _parsed(data: bytes) -> ExecutionLine:
    try:
        line: ExecutionLine = decode_line(data)
    except msgspec.MsgspecError as error:
        raise RecordingError(f"executions: a line cannot be read: {error}") from error
    return line
