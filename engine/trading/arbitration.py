"""Arbitration: concurrent wishes of several strategies, decided the same way whoever is faster.

All decisions of a slice are put into one order first: by (time, timeframe, stream, -priority,
-confidence, instance id, seq); a decision's confidence is the highest of its intents, and its
intents keep the order the strategy gave them. Then the policy of the run judges every entry:

===========  ==============================================================================
policy       an entry is refused when
===========  ==============================================================================
independent  never: every strategy has its own sub-position
net          never; the market orders of an account and symbol in one slice become one order
             (see `engine.trading.netting`)
priority     ``outranked``: in the same slice a strategy of higher (priority, confidence, then
             smaller id) wants to enter the opposite side of that symbol in the account, or a
             strategy of higher priority holds or is entering the opposite side. The wish of a
             slice counts even if it is then refused for risk or capital
first        ``symbol_taken``: another strategy of the account holds or is entering the symbol
===========  ==============================================================================

Exits always pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from engine.config.run import ArbitrationConfig
from engine.money import ZERO
from engine.timeframes import TIMEFRAMES
from engine.trading.participants import Participant
from engine.trading.positions import Position
from engine.trading.refusals import Refusal
from engine.types import Action, CancelRequest, Decision, Intent, OrderRequest, Side, Signal

__all__ = ["Arbiter", "arbiter_of", "ranked"]

_Rank = tuple[int, float, str]


def ranked(
    decisions: Sequence[Decision], participants: Mapping[str, Participant]
) -> Sequence[Decision]:
    """Return the decisions in the order they are dealt with, whatever order they came in."""
    if len(decisions) < 2:  # noqa: PLR2004 - nothing to sort
        return decisions

    def key(decision: Decision) -> tuple[int, int, str, int, float, str, int]:
        return (
            decision.time,
            TIMEFRAMES.get(decision.stream.rpartition(":")[2], 0),
            decision.stream,
            *_rank(decision, participants.get(decision.instance)),
            decision.seq,
        )

    return sorted(decisions, key=key)


def _rank(decision: Decision, participant: Participant | None) -> _Rank:
    confidence = max(
        (i.confidence for i in decision.intents if not isinstance(i, CancelRequest)), default=0.0
    )
    priority = 0 if participant is None else participant.priority
    return -priority, -confidence, decision.instance


class Arbiter(Protocol):
    """A policy that judges entries."""

    def begin(self, decisions: Sequence[Decision], participants: Mapping[str, Participant]) -> None:
        """Look at all decisions of a slice before the first is dealt with."""
        ...

    def judge(self, position: Position, sign: int) -> Refusal | None:
        """Return why an entry loses, or None if it may go on."""
        ...


class _Open:
    """Policies `independent` and `net`: nobody stands in anybody's way."""

    def begin(self, decisions: Sequence[Decision], participants: Mapping[str, Participant]) -> None:
        """Look at nothing."""

    def judge(self, position: Position, sign: int) -> Refusal | None:  # noqa: ARG002 - protocol
        """Let every entry pass."""
        return None


class _First:
    """Policy `first`: whoever holds or enters a symbol owns it until flat."""

    def begin(self, decisions: Sequence[Decision], participants: Mapping[str, Participant]) -> None:
        """Look at nothing: the order of the decisions settles it."""

    def judge(self, position: Position, sign: int) -> Refusal | None:  # noqa: ARG002 - protocol
        """Refuse an entry into a symbol another strategy owns."""
        for owner in position.holding.members:
            if owner != position.participant.id:
                return Refusal(
                    "symbol_taken",
                    f"{position.symbol} in account {position.participant.account.id!r} belongs "
                    f"to strategy {owner!r} until that is flat",
                )
        return None


class _Priority:
    """Policy `priority`: on conflict the higher rank wins."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, str], tuple[_Rank, int]] = {}

    def begin(self, decisions: Sequence[Decision], participants: Mapping[str, Participant]) -> None:
        """Find the highest claim per account and symbol."""
        claims = self._claims
        claims.clear()
        for decision in decisions:
            participant = participants.get(decision.instance)
            if participant is None or participant.withdrawn is not None:
                continue
            rank = _rank(decision, participant)
            for n, intent in enumerate(decision.intents):
                claim = _claim(intent, participant)
                if claim is None or decision.intent_id(n) in participant.outcomes:
                    continue
                position, sign = claim
                if self._against_holder(position, sign) is not None:
                    continue
                key = participant.account.id, position.book.key
                if key not in claims or rank < claims[key][0]:
                    claims[key] = rank, sign

    def judge(self, position: Position, sign: int) -> Refusal | None:
        """Refuse an entry against a higher rank."""
        participant = position.participant
        claim = self._claims.get((participant.account.id, position.book.key))
        if claim is not None and claim[1] != sign and claim[0][2] != participant.id:
            return self._outranked(position, claim[0][2], "enters", claim[1])
        return self._against_holder(position, sign)

    def _against_holder(self, position: Position, sign: int) -> Refusal | None:
        participant = position.participant
        for owner, held in position.holding.members.items():
            if owner != participant.id and held.participant.priority > participant.priority:
                side = _direction(held)
                if side == -sign:
                    return self._outranked(position, owner, "holds", side)
        return None

    @staticmethod
    def _outranked(position: Position, winner: str, does: str, side: int) -> Refusal:
        return Refusal(
            "outranked",
            f"strategy {winner!r} ranks higher and {does} {position.symbol} "
            f"{'long' if side > 0 else 'short'}",
        )


def _direction(position: Position) -> int:
    if position.quantity:
        return 1 if position.quantity > ZERO else -1
    return position.entries[0].sign


def _claim(intent: Intent, participant: Participant) -> tuple[Position, int] | None:
    """Return the position and side an intent wants to enter, None if it is no entry."""
    if isinstance(intent, CancelRequest):
        return None
    position = participant.positions.get(intent.symbol)
    if position is None:
        return None
    if isinstance(intent, OrderRequest):
        return None if intent.reduce_only else (position, 1 if intent.side is Side.BUY else -1)
    assert isinstance(intent, Signal)  # noqa: S101 - the union has three members
    if intent.action is Action.BUY:
        sign = 1
    elif intent.action is Action.SELL:
        sign = -1
    else:
        return None
    if intent.quantity is None and position.projected() * sign > ZERO:
        return None
    return position, sign


def arbiter_of(config: ArbitrationConfig) -> Arbiter:
    """Return the policy a run asks for."""
    if config.policy == "priority":
        return _Priority()
    if config.policy == "first":
        return _First()
    return _Open()
