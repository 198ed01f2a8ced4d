"""How far the slices are: arrived, matched, decided, and who keeps the one in hand waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence

from engine.errors import ChorusError
from engine.sequencing.decider import SliceDecider
from engine.sequencing.dispatch import Dispatch
from engine.sequencing.executions import ExecutionLog
from engine.sequencing.roster import Participant
from engine.types import Decision, MarketSlice

__all__ = ["Clock"]


class Clock:
    """Steps from slice to slice: each is matched, is in hand for a while, and is decided.

    Attributes:
        pending: Slices that have arrived and are not matched.
        received: Newest slice that has arrived.
        matched: Newest slice matched.
        decided: Newest slice decided.
        current: The slice in hand, matched and not decided.
        owing: Participants whose answer to it is missing.
        decisions: What was answered for slices not decided yet, by slice; never replaced.

    Args:
        decider: Matches and decides.
        dispatch: Gets the events that come of it.
        executions: Gets who took part.
    """

    __slots__ = (
        "_decider",
        "_dispatch",
        "_executions",
        "current",
        "decided",
        "decisions",
        "matched",
        "owing",
        "pending",
        "received",
    )

    def __init__(self, decider: SliceDecider, dispatch: Dispatch, executions: ExecutionLog) -> None:
        self._decider = decider
        self._dispatch = dispatch
        self._executions = executions
        self.pending: deque[MarketSlice] = deque()
        self.received = -1
        self.matched = -1
        self.decided = -1
        self.current: MarketSlice | None = None
        self.owing: dict[str, Participant] = {}
        self.decisions: dict[int, list[Decision]] = {}

    def add(self, slices: Iterable[MarketSlice]) -> None:
        """Take the next slices; repeated ones are ignored.

        Raises:
            ChorusError: A slice number is skipped.
        """
        for market_slice in slices:
            if market_slice.number <= self.received:
                continue
            if market_slice.number != self.received + 1:
                raise ChorusError(
                    f"order manager: slice {market_slice.number} arrived, "
                    f"{self.received + 1} is missing; replay it from the log first"
                )
            self.received = market_slice.number
            self.pending.append(market_slice)

    def match(self, market_slice: MarketSlice) -> None:
        """Match the next slice, which is in hand then."""
        events = self._decider.match(market_slice)
        self.current = market_slice
        self.matched = market_slice.number
        if events:
            self._dispatch.post(events, self.matched, matched=True)

    def decide(self, current: MarketSlice, decisions: Sequence[Decision]) -> None:
        """Decide the slice in hand."""
        events = self._decider.decide(current, decisions)
        self.decided = current.number
        self.current = None
        tally = self._decider.tally() if decisions else {}
        self._executions.decided(current, decisions, tally)
        if events:
            self._dispatch.post(events, self.decided, matched=False)

    def common_through(self, *participants: Participant) -> int:
        """Return the newest slice participants and the order manager have in common.

        Whatever is decided needs no answer any more, and what is not matched yet may be answered
        otherwise by others.
        """
        answered = min(participant.through for participant in participants)
        return max(self.decided, min(answered, self.matched))

    def forget(self, instances: Collection[str], *, beyond: int) -> None:
        """Drop what instances have decided for slices after one."""
        for number, decisions in self.decisions.items():
            if number > beyond:
                self.decisions[number] = [d for d in decisions if d.instance not in instances]
