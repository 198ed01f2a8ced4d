"""What a host has decided and obeyed, and how much of it the order manager was told."""

from __future__ import annotations

from collections import deque
from operator import attrgetter

from engine.sequencing.messages import SliceCommand, SliceDecision

__all__ = ["Outbox"]

_slice_of = attrgetter("slice")


class Outbox:
    """Decisions and commands of all instances of a host.

    Attributes:
        decisions: Not told yet, in any order; every instance adds its own.
        commands: Not told yet.
    """

    __slots__ = ("_told", "commands", "decisions")

    def __init__(self) -> None:
        self.decisions: list[SliceDecision] = []
        self.commands: list[SliceCommand] = []
        self._told: deque[SliceDecision] = deque()

    def due(self, through: int) -> list[SliceDecision]:
        """Take the decisions up to a slice; the later ones are of no use to anybody yet."""
        decisions = self.decisions
        if not decisions:
            return []
        decisions.sort(key=_slice_of)
        due = [entry for entry in decisions if entry.slice <= through]
        del decisions[: len(due)]
        self._told.extend(due)
        return due

    def all_due(self, through: int) -> list[SliceDecision]:
        """Take all decisions up to a slice that the order manager may not know."""
        self.decisions.extend(self._told)
        self._told.clear()
        return self.due(through)

    def take_commands(self) -> list[SliceCommand]:
        """Take the commands."""
        commands = self.commands[:]
        self.commands.clear()
        return commands

    def by_instance(self) -> dict[str, list[SliceDecision]]:
        """Return all decisions kept, told or not, by who made them."""
        found: dict[str, list[SliceDecision]] = {}
        for kept in (self._told, self.decisions):
            for entry in kept:
                found.setdefault(entry.decision.instance, []).append(entry)
        return found

    def settle(self, matched: int) -> None:
        """Forget what is on record: what is matched further is decided."""
        told = self._told
        while told and told[0].slice < matched:
            told.popleft()

    def set_aside(self, through: int) -> None:
        """Count decisions up to a slice as told."""
        self.due(through)

    def forget(self, instance: str) -> None:
        """Forget an instance, which is spoken for by others or by nobody."""
        self.decisions[:] = [e for e in self.decisions if e.decision.instance != instance]
        self._told = deque(e for e in self._told if e.decision.instance != instance)
        self.commands = [told for told in self.commands if told.instance != instance]
