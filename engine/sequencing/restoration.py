"""Builds what a coordinator was again, from the slices and from what it put on record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from engine.errors import ChorusError
from engine.sequencing.admission import Admission
from engine.sequencing.clock import Clock
from engine.sequencing.decider import SliceDecider
from engine.sequencing.executions import ExecutionLog
from engine.sequencing.records import (
    Commanded,
    Decided,
    Joined,
    Left,
    Moved,
    Record,
    Registered,
    Rejoined,
    Traded,
    Withdrawn,
    registration_of,
)
from engine.sequencing.roster import Roster
from engine.types import Decision, MarketSlice

__all__ = ["Restoration"]


class Restoration:
    """Does again, in its place among the slices, everything that is on record.

    Args:
        roster: Who takes part; nobody yet.
        clock: At the beginning.
        admission: Changes who takes part.
        decider: Matches and decides.
        executions: Gets what instances obeyed.
    """

    __slots__ = ("_admission", "_clock", "_decider", "_executions", "_roster")

    def __init__(
        self,
        roster: Roster,
        clock: Clock,
        admission: Admission,
        decider: SliceDecider,
        executions: ExecutionLog,
    ) -> None:
        self._executions = executions
        self._roster = roster
        self._clock = clock
        self._admission = admission
        self._decider = decider

    def play(self, slices: Iterable[MarketSlice], records: Iterable[Record]) -> None:
        """Play slices and records in their order.

        Raises:
            ChorusError: The slices end before the records do, or do not start at 0.
        """
        source = iter(slices)
        for record in records:
            # A record of deciding carries the slice it decides: that one has to be in hand.
            self._go_to(source, record.matched, record.decided)
            self._redo(record)
        self._await_everybody()

    def _await_everybody(self) -> None:
        """Have every participant repeat itself: what it had answered is lost."""
        clock = self._clock
        clock.received = clock.matched
        clock.decisions.clear()
        clock.owing.clear()
        for participant in self._roster.hosts.values():
            joined = min(each.joined for each in participant.members.values())
            participant.through = max(joined - 1, clock.decided)
            participant.begin_anew(participant.epoch, is_in_step=False)
            self._admission.note_owing(participant)

    def _go_to(self, source: Iterator[MarketSlice], matched: int, decided: int) -> None:
        """Match and decide, without decisions, up to the place of a record."""
        clock = self._clock
        while clock.decided < decided or clock.matched < matched:
            if clock.current is None:
                self._match_next(source)
            elif clock.decided < decided:
                self._decide(())
            else:
                return

    def _match_next(self, source: Iterator[MarketSlice]) -> None:
        market_slice, wanted = next(source, None), self._clock.matched + 1
        if market_slice is None or market_slice.number != wanted:
            found = "they end" if market_slice is None else f"{market_slice.number} comes"
            raise ChorusError(
                f"order manager: cannot be restored, slice {wanted} is needed and "
                f"{found}; replay from the same market data"
            )
        self._clock.match(market_slice)

    def _decide(self, decisions: Sequence[Decision]) -> None:
        clock = self._clock
        if clock.current is None:
            raise ChorusError(f"order manager: slice {clock.matched} was decided twice on record")
        clock.decide(clock.current, decisions)

    def _redo(self, record: Record) -> None:
        if isinstance(record, Decided):
            self._decide(record.decisions)
        elif isinstance(record, Registered):
            self._decider.register(registration_of(record))
        elif isinstance(record, Joined):
            self._admission.join(record.host, record.epoch, record.instances)
        elif isinstance(record, Rejoined):
            self._roster.hosts[record.host].epoch = record.epoch
        elif isinstance(record, Moved):
            self._admission.move(record.instance, record.to, record.epoch)
        elif isinstance(record, Left):
            self._admission.leave(record.instances, record.reason)
        elif isinstance(record, Withdrawn):
            self._admission.withdraw(record.ids, record.reason)
        elif isinstance(record, Traded):
            self._decider.set_trading(record.mode, record.account)
        elif isinstance(record, Commanded):
            own = self._roster.hosts[record.host].members[record.command.instance]
            own.commands.append(record.command)
            self._executions.obeyed(record.command)
