"""Stored states of a host's instances: taken in quiet moments, read when it comes back.

They only shorten the way back. Whether one is of use is decided by what is on record when it is
read (`engine.sequencing.SeatState`), so none has to be complete, new or there at all, and what goes
wrong with one is noted and otherwise ignored.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from zlib import crc32

import msgspec

from engine.catalog import StrategyPlugin
from engine.crash_points import ARMED, CrashPoint, reach
from engine.errors import ChorusError, JournalError
from engine.journal import SnapshotStore
from engine.sequencing import SeatState
from strategies import Strategy

__all__ = ["SNAPSHOTS", "StateKeeper", "says_what_it_keeps"]

SNAPSHOTS = "snapshots"
"""Folder of the states in that of the run."""

ROUND_EVERY_NS = 60_000_000_000
ASK_AGAIN_NS = 1_000_000_000
"""When a round begins after one in which nobody had anything to store yet."""

NS_PER_BYTE = 1_000
"""How long a round takes at least: 1 MB/s is written at the most."""

SHARE = 0.05
"""Part of the time that may go into taking states."""

SPELL_NS = 2_000_000
"""How long a host is busy with it at a stretch, about; what arrives meanwhile waits."""

CHUNKS = 32
"""Files of a host: writing one per instance takes 16 times as long with thousands of them."""

_AT_ONCE = 8
_log = logging.getLogger(__name__)

Round = Generator[None, None, int]
TakeStates = Callable[[Sequence[str]], tuple[list[SeatState], dict[str, str]]]


@cache
def says_what_it_keeps(cls: type[StrategyPlugin]) -> bool:
    """Tell whether a strategy type says which of its variables a restored one needs.

    One that says nothing may keep nothing, or may not have thought of it; only living through
    everything is sure to bring such a one back as it was.
    """
    said = {"state_fields", "get_state", "on_history"}
    own = cls.__mro__[: cls.__mro__.index(Strategy)] if issubclass(cls, Strategy) else cls.__mro__
    return any(said & vars(base).keys() for base in own)


class StateKeeper:
    """Takes the states of a host's instances round by round, and reads them.

    Not thread-safe: the data-plane loop of one actor owns it.

    Args:
        folder: Where they are kept; nothing is taken where it is not on this machine, or empty.
        host: Whose they are.
        take: Returns present states, and why others have none.
        clock: Monotonic time, ns.

    Attributes:
        unwritten: Why states could not be written, at first; empty if they could.
    """

    def __init__(
        self,
        folder: str,
        host: str,
        take: TakeStates,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        is_here = bool(folder) and Path(folder).is_dir()
        self._store = SnapshotStore(Path(folder) / SNAPSHOTS) if is_here else None
        self._host = host
        self._take = take
        self._clock = clock
        self._rest_until_ns = 0
        self._next_round_ns = 0
        self._round: Round | None = None
        self._without: set[str] = set()
        self._noted: set[str] = set()
        self.unwritten = ""

    def take_some(self, instances: Iterable[str]) -> None:
        """Take a few states, if some are due; called when nothing else is to be done.

        Args:
            instances: Whose states are wanted; looked at only where a round begins.
        """
        began = self._clock()
        if self._store is None or began < self._rest_until_ns:
            return
        if self._round is None:
            if began < self._next_round_ns:
                return
            self._next_round_ns = began + ROUND_EVERY_NS
            self._round = self._go_round(self._store, instances)
        try:
            while self._clock() - began < SPELL_NS:
                next(self._round)
        except StopIteration as end:
            self._round = None
            if not end.value:
                self._next_round_ns = began + ASK_AGAIN_NS
            self._next_round_ns = max(self._next_round_ns, began + end.value * NS_PER_BYTE)
        except JournalError as error:
            self._round = None
            self.unwritten = self.unwritten or str(error)
            self._note("write", error)
        ended = self._clock()
        self._rest_until_ns = ended + round((ended - began) * (1 / SHARE - 1))

    def _go_round(
        self, store: SnapshotStore, instances: Iterable[str]
    ) -> Generator[None, None, int]:
        """Take and write all states, in steps of a millisecond or of one file.

        Returns:
            How many bytes were written.
        """
        chunks: dict[int, list[str]] = {}
        for name in instances:
            if name not in self._without:
                chunks.setdefault(_chunk_of(name), []).append(name)
        written = 0
        for chunk, names in chunks.items():
            encoded: list[bytes] = []
            newest = -1
            remaining = iter(names)
            while some := list(islice(remaining, _AT_ONCE)):
                states, failures = self._take(some)
                for name, cause in failures.items():
                    self._without.add(name)
                    self._note(name, ChorusError(cause))
                encoded += [state.encode() for state in states]
                newest = max([newest, *(state.processed for state in states)])
                yield
            if encoded:
                if ARMED and written:
                    reach(CrashPoint.STATES_WRITTEN_IN_PART)
                payload = msgspec.msgpack.encode(encoded)
                store.write(self._name(chunk), newest, payload)
                written += len(payload)
                yield
        return written

    def read(self, instances: Collection[str]) -> dict[str, SeatState]:
        """Return the newest states there are of some instances."""
        found: dict[str, SeatState] = {}
        if self._store is None:
            return found
        for chunk in sorted({_chunk_of(name) for name in instances}):
            try:
                newest = self._store.newest(self._name(chunk))
                if newest is not None:
                    found.update(_decoded(newest[1], instances))
            except ChorusError as error:
                self._note("read", error)
        return found

    def _name(self, chunk: int) -> str:
        return f"{self._host}/{chunk}"

    def _note(self, subject: str, error: ChorusError) -> None:
        """Say once what does not work; nothing depends on it."""
        if subject not in self._noted:
            self._noted.add(subject)
            _log.warning("host %r: %s: goes on without snapshots: %s", self._host, subject, error)


def _chunk_of(name: str) -> int:
    return crc32(name.encode()) % CHUNKS


def _decoded(payload: bytes, wanted: Collection[str]) -> Iterator[tuple[str, SeatState]]:
    try:
        stored = msgspec.msgpack.decode(payload, type=list[bytes])
    except msgspec.MsgspecError as error:
        raise ChorusError(f"states of {len(payload)} bytes are damaged: {error}") from error
    for data in stored:
        state = SeatState.decode(data)
        if state.instance in wanted:
            yield state.instance, state
