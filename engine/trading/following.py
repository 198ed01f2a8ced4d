"""What followers want: the wishes of the strategy they follow, in their own proportions.

=============================  ====================================================================
wish of the strategy           becomes, for a follower
=============================  ====================================================================
signal without a quantity      the same; sized from the follower's own equity and limits. A fixed
                               quantity or notional of the strategy's `sizing` is scaled
BUY, SELL with a quantity,     the same, its quantity scaled
order request
CLOSE with a quantity,         the same share of the follower's own position as it is of the
reduce-only request            strategy's; where the strategy holds nothing, all of it (CLOSE) or
                               scaled (request)
CLOSE, HOLD                    the same
cancel request                 of the follower's own order that came of the same wish
=============================  ====================================================================

Scaled: times follower's capital / strategy's capital, as they were put in, rounded down to whole
lots; what comes to less than one lot is refused ``min_quantity``. A wish goes to followers when the
strategy takes part and it is a new one, whatever becomes of it for the strategy itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from engine.errors import MoneyError
from engine.money import ZERO
from engine.trading.participants import Participant
from engine.trading.positions import Position
from engine.types import Action, CancelRequest, Decision, Intent, OrderRequest, Side, Signal

__all__ = ["share_of_capital", "with_followers"]

_CLOSE = Action.CLOSE


def with_followers(
    decisions: Sequence[Decision],
    participants: Mapping[str, Participant],
    followers: Mapping[str, Sequence[Participant]],
) -> list[Decision]:
    """Return decisions with those of followers added.

    Args:
        decisions: Of strategies; nothing of this slice has been dealt with.
        participants: By id.
        followers: Of each strategy that has any.
    """
    found = list(decisions)
    for decision in decisions:
        own = followers.get(decision.instance)
        if own is None:
            continue
        leader = participants[decision.instance]
        if leader.withdrawn is not None or decision.seq <= leader.newest.get(decision.stream, -1):
            continue
        for follower in own:
            if follower.withdrawn is None:
                intents = tuple(_for_follower(each, follower, leader) for each in decision.intents)
                found.append(replace(decision, instance=follower.id, intents=intents))
    return found


def share_of_capital(position: Position) -> Decimal:
    """Return a follower's capital over its strategy's, both as put in; 1 for a strategy."""
    leader = position.participant.leader
    followed = None if leader is None else leader.positions.get(position.symbol)
    return Decimal(1) if followed is None else position.purse.start / followed.purse.start


def _for_follower(intent: Intent, follower: Participant, leader: Participant) -> Intent:
    if isinstance(intent, CancelRequest):
        own = intent.order_id.removeprefix(f"{leader.id}|")
        is_mine = own != intent.order_id
        return replace(intent, order_id=f"{follower.id}|{own}") if is_mine else intent
    position = follower.positions.get(intent.symbol)
    followed = leader.positions.get(intent.symbol)
    if intent.quantity is None or position is None or followed is None:
        return intent
    part, whole = position.purse.start, followed.purse.start
    if isinstance(intent, Signal):
        if intent.action is _CLOSE:
            part, whole = abs(position.quantity), abs(followed.quantity)
            if part and not whole:
                return replace(intent, quantity=None)
    elif intent.reduce_only:
        sign = 1 if intent.side is Side.BUY else -1
        if followed.closable(sign):
            part, whole = position.closable(sign), followed.closable(sign)
    return _scaled(intent, position, part, whole)


def _scaled(
    intent: Signal | OrderRequest, position: Position, part: Decimal, whole: Decimal
) -> Intent:
    """Return an intent with its quantity times part / whole; the same one if these are equal."""
    if part == whole or intent.quantity is None:
        return intent
    try:
        quantity = position.book.instrument.quantity(intent.quantity * part / whole)
    except MoneyError:
        quantity = ZERO  # more than there are digits for: refused like less than a lot
    return replace(intent, quantity=quantity)
