"""A bounded queue that loses what is out of date, and nothing else.

It holds what waits for a slow client, and what waits for a log that cannot be reached.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import Counter
from typing import Generic, TypeVar

from engine.events.event import Draft, is_expendable

__all__ = ["EventQueue"]

D = TypeVar("D", bound=Draft)


class EventQueue(Generic[D]):
    """Events in order of arrival; when it is full, old expendable ones go.

    An expendable event may go only while a newer one about the same subject (topic and strategy)
    waits behind it, the oldest first. So whoever is slow sees fewer updates, but ends with the
    newest of each. Events that must not be lost never go; `put` refuses them instead. Not
    thread-safe.

    Args:
        capacity: How many events wait at most. It is exceeded by no more than the number of
            subjects of expendable events, because the newest of each stays.

    Attributes:
        dropped: How many events of each topic went so far.
    """

    def __init__(self, capacity: int) -> None:
        self.dropped: Counter[str] = Counter()
        self._capacity = capacity
        self._next = 0
        self._numbers: list[int] = []
        self._waiting: dict[int, D] = {}
        self._lasting = 0
        self._newest: dict[tuple[str, str], int] = {}
        # Events that a newer one follows, the oldest on top. Taking from the front of the queue
        # takes from the top, too, so this never holds what is not waiting.
        self._outdated: list[int] = []
        self._lost_before: dict[int, Counter[str]] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def put(self, event: D) -> bool:
        """Append an event; False, and nothing has changed: it must not be lost, and is too many."""
        if is_expendable(event.topic):
            if (older := self._newest.get(event.subject)) is not None:
                heapq.heappush(self._outdated, older)
            self._newest[event.subject] = self._next
        elif self._lasting >= self._capacity:
            return False
        else:
            self._lasting += 1
        self._waiting[self._next] = event
        self._numbers.append(self._next)
        self._next += 1
        while len(self) > self._capacity and self._outdated:
            self._drop(heapq.heappop(self._outdated))
        return True

    def take(self, limit: int) -> tuple[list[D], dict[str, int]]:
        """Remove the oldest events; returns them, and what was lost before and between them.

        What went behind the last of them is not told yet: whoever gives up this queue and reads
        the log from there on gets it after all, so that every loss is told once or did not happen.
        """
        numbers = self._numbers[:limit]
        del self._numbers[:limit]
        lost: Counter[str] = Counter()
        for number in numbers:
            lost.update(self._lost_before.pop(number, ()))
        return [self._remove(number) for number in numbers], dict(lost)

    def _drop(self, number: int) -> None:
        place = bisect_left(self._numbers, number)
        del self._numbers[place]
        topic = self._waiting.pop(number).topic
        self.dropped[topic] += 1
        lost = self._lost_before.pop(number, Counter())
        lost[topic] += 1
        # There is a next one: the newer one about the same subject, if no other.
        self._lost_before.setdefault(self._numbers[place], Counter()).update(lost)

    def _remove(self, number: int) -> D:
        event = self._waiting.pop(number)
        if not is_expendable(event.topic):
            self._lasting -= 1
        elif self._newest[event.subject] == number:
            del self._newest[event.subject]
        else:
            heapq.heappop(self._outdated)
        return event
