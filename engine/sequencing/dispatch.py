"""What participants have yet to be sent: order events, and that what they wait for is matched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from engine.sequencing.messages import Release, SliceEvent
from engine.sequencing.roster import Participant, Roster
from engine.spool import Kept, Spool, decoder_of, kept
from engine.types import OrderEvent

__all__ = ["Dispatch"]

_events = decoder_of(SliceEvent)


class Dispatch:
    """Keeps every order event for good, and tells each participant those of its instances.

    Attributes:
        restless: Participants that have events to be sent, or wait.

    Args:
        roster: Who takes part.
        reign: Number of the order manager's life.
        spool: Where events are kept; None: in memory.
    """

    __slots__ = ("_history", "_reign", "_roster", "_spool", "restless")

    def __init__(self, roster: Roster, reign: int, spool: Spool | None = None) -> None:
        self._roster = roster
        self._reign = reign
        self._spool = spool
        self._history: dict[str, Kept[SliceEvent]] = {}
        self.restless: dict[str, Participant] = {}

    def history(self, instance: str) -> list[SliceEvent]:
        """Return every event of an instance so far."""
        return list(self._history.get(instance, ()))

    def count(self, instance: str) -> int:
        """Return how many events an instance has had so far."""
        return len(self._history.get(instance, ()))

    def post(self, events: Iterable[OrderEvent], number: int, *, matched: bool) -> None:
        """Put events in their place, by matching or by deciding slice `number`, and on their way.

        Those of an instance that takes part nowhere wait for the day it joins.
        """
        for event in events:
            instance = event.instance
            history = self._history.get(instance)
            if history is None:
                history = self._history[instance] = kept(self._spool, _events)
            entry = SliceEvent(number, event, matched, len(history))
            history.append(entry)
            participant = self._roster.by_instance.get(instance)
            if participant is not None and entry.number >= participant.heard.get(instance, 0):
                participant.events.append(entry)
                self.restless[participant.host] = participant

    def take_up(self, participant: Participant, taken: Mapping[str, int]) -> None:
        """Have a participant sent all its instances have not taken, as it says."""
        # The order manager before may have told more than this one has got to yet.
        participant.heard = dict(taken)
        participant.events = []
        for name in participant.members:
            history, known = self._history.get(name, []), taken.get(name, 0)
            if len(history) > known:  # most of thousands have nothing new, and may be in a file
                participant.events += islice(history, known, None)
        participant.events.sort(key=lambda entry: (entry.slice, not entry.matched))
        self.restless[participant.host] = participant

    def releases(self, matched: int) -> list[tuple[str, Release]]:
        """Take what there is to be sent now that a slice is matched.

        Nothing for one that has yet to repeat what may have been lost.
        """
        releases: list[tuple[str, Release]] = []
        for host, participant in list(self.restless.items()):
            if not participant.is_in_step:
                continue
            heard = participant.waiting <= matched
            if participant.events or heard:
                releases.append(
                    (host, Release(matched, participant.events, self._reign, participant.epoch))
                )
                participant.events = []
            if heard:
                participant.waiting = -1
                del self.restless[host]
        return releases

    def farewell(self, matched: int) -> list[tuple[str, Release]]:
        """Return a last release for every participant."""
        return [
            (host, Release(matched, [], self._reign, participant.epoch))
            for host, participant in self._roster.hosts.items()
        ]
