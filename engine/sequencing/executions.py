"""Who took part in which slice and what came of it: one line per slice, the same after any crash.

Rosters are not repeated in every line: who comes and goes is on lines of its own, and whoever reads
along keeps the roster. `ExecutionLog.read` tells whoever begins in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from engine.instance.commands import Pause, Restart, Resume
from engine.sequencing.messages import SliceCommand
from engine.spool import NumberedLines, Spool
from engine.trading.tally import Tally
from engine.types import Action, Decision, MarketSlice, Signal

__all__ = [
    "Came",
    "ExecutionLine",
    "ExecutionLog",
    "ExecutionPage",
    "Took",
    "Was",
    "Went",
    "decode_line",
]

_TOGETHER = 128
"""Lines made at a time."""


class _Line(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A line."""


class Came(_Line, frozen=True, array_like=True, tag=True):
    """An instance takes part from slice `since` on; `main` numbers its main stream."""

    instance: str
    main: int
    since: int


class Went(_Line, frozen=True, array_like=True, tag=True):
    """An instance takes part no more."""

    instance: str


class Was(_Line, frozen=True, array_like=True, tag=True):
    """An instance is paused, or not any more, in slices after `slice`."""

    instance: str
    is_paused: bool
    slice: int


class Took(_Line, frozen=True, array_like=True, tag=True):
    """A slice was decided.

    Attributes:
        number: Of the slice.
        closed: Number of each main stream in it, and close of its candle, ms UTC.
        wanted: Who wanted something: orders that were accepted, those of followers included, and
            followers of whom one was.
        failed: Who raised.
    """

    number: int
    closed: list[tuple[int, int]]
    wanted: dict[str, tuple[int, int]] = {}
    failed: list[str] = []


ExecutionLine = Came | Went | Was | Took

decode_line = msgspec.json.Decoder(ExecutionLine).decode
_encode_line = msgspec.json.Encoder().encode


class ExecutionPage(msgspec.Struct, frozen=True):
    """Some lines.

    Attributes:
        total: How many there are.
        lines: Those asked for, see `decode_line`.
        before: Lines that make the roster as it was before the first of them, where asked for.
        mains: Main streams, in the order they are numbered.
    """

    total: int
    lines: list[bytes]
    before: list[bytes]
    mains: list[str]


class ExecutionLog:
    """Keeps the lines.

    Args:
        spool: Where they are kept; None: in memory.
    """

    __slots__ = ("_changes", "_lines", "_mains", "_new", "_present")

    def __init__(self, spool: Spool | None) -> None:
        self._lines = NumberedLines(spool)
        self._new: list[ExecutionLine] = []
        self._mains: dict[str, int] = {}
        self._present: set[str] = set()
        # Number of its line, and the change, of all there were: they are few.
        self._changes: list[tuple[int, Came | Went | Was]] = []

    def __len__(self) -> int:
        return len(self._lines) + len(self._new)

    def came(self, instances: Mapping[str, Sequence[str]], since: int) -> None:
        """Note that instances, each with its streams, take part from a slice on."""
        for name, streams in instances.items():
            main = self._mains.setdefault(streams[0], len(self._mains)) if streams else -1
            self._present.add(name)
            self._change(Came(name, main, since))

    def went(self, instance: str) -> None:
        """Note that an instance takes part no more."""
        if instance in self._present:
            self._present.discard(instance)
            self._change(Went(instance))

    def obeyed(self, command: SliceCommand) -> None:
        """Note what an instance was told."""
        name = command.instance
        if name in self._present and isinstance(command.command, Pause | Resume | Restart):
            is_paused = isinstance(command.command, Pause)
            self._change(Was(name, is_paused, command.slice))

    def decided(
        self, market_slice: MarketSlice, decisions: Sequence[Decision], tally: Tally
    ) -> None:
        """Note what came of a slice; nothing if no main stream is in it."""
        mains = self._mains
        closed = [
            (mains[candle.stream], candle.close_time)
            for candle in market_slice.candles
            if candle.stream in mains
        ]
        if not closed:
            return
        if decisions:
            wanted, failed = {}, []
            for decision in decisions:
                name = decision.instance
                if not decision.intents:
                    failed.append(name)
                elif not all(map(_is_hold, decision.intents)):
                    wanted[name] = tally.get(name, (0, 0))
            self._new.append(Took(market_slice.number, closed, wanted, sorted(failed)))
        else:
            self._new.append(Took(market_slice.number, closed))
        if len(self._new) >= _TOGETHER:
            self._make_lines()

    def read(self, start: int, limit: int, *, with_roster: bool) -> ExecutionPage:
        """Return lines from a number on; `with_roster`: and what was before them.

        Raises:
            JournalError: They cannot be read back.
        """
        self._make_lines()
        before: dict[str, list[Came | Was]] = {}
        if with_roster:
            for number, change in self._changes:
                if number >= start:
                    break
                if isinstance(change, Went):
                    before.pop(change.instance, None)
                elif isinstance(change, Came):
                    before[change.instance] = [change]
                else:
                    before[change.instance].append(change)
        return ExecutionPage(
            len(self),
            self._lines.read(start, max(0, limit)),
            [_encode_line(change) for changes in before.values() for change in changes],
            list(self._mains),
        )

    def _change(self, change: Came | Went | Was) -> None:
        self._changes.append((len(self), change))
        self._new.append(change)

    def _make_lines(self) -> None:
        new, self._new = self._new, []
        self._lines.extend([_encode_line(line) + b"\n" for line in new])


def _is_hold(intent: object) -> bool:
    return isinstance(intent, Signal) and intent.action is Action.HOLD
