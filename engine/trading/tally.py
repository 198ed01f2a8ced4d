"""How many orders a slice has brought, by strategy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.trading.participants import Participant
from engine.types import OrderAccepted, OrderEvent

__all__ = ["Tally", "tally_of"]

Tally = Mapping[str, tuple[int, int]]
"""By strategy: orders accepted, those of its followers included, and followers of whom one was."""


def tally_of(events: Iterable[OrderEvent], participants: Mapping[str, Participant]) -> Tally:
    """Count the orders accepted among the events of a decision, those of followers included."""
    found: dict[str, tuple[int, int]] = {}
    followers: set[str] = set()
    for event in events:
        if type(event) is not OrderAccepted:
            continue
        name, is_new = event.instance, False
        leader = participants[name].leader
        if leader is not None:
            is_new = name not in followers
            followers.add(name)
            name = leader.id
        orders, following = found.get(name, (0, 0))
        found[name] = orders + 1, following + is_new
    return found
