"""What supervision remembers: strikes, verdicts, epochs and backoff. Immutable and storable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

from engine.supervision.actions import Action, EndHost, RecoverHost, StartHost
from engine.supervision.desired import DesiredStrategy

__all__ = ["History", "HostRecord", "StrategyRecord", "Verdict"]

Verdict = Literal["", "paused", "failed"]


class StrategyRecord(msgspec.Struct, frozen=True):
    """What is held against one version of a strategy.

    Attributes:
        version: The version it is about; any other has a clean record.
        causes: One per strike, oldest first; empty again after healthy progress.
        is_apart: It has cost a pooled host its process, so it gets a host of its own.
        verdict: What its last strike led to: it is out of its host until its version is raised.
    """

    version: int
    causes: tuple[str, ...] = ()
    is_apart: bool = False
    verdict: Verdict = ""


class HostRecord(msgspec.Struct, frozen=True):
    """What is known about one host across its epochs.

    Attributes:
        epoch: Newest epoch seen or given out.
        closed: Newest epoch that is over; a host alive at that epoch is to be ended.
        cause: Why it is over.
        closed_at: When that was noticed, seconds.
        restarts: Failures since the last healthy progress.
        delay_s: Time from `closed_at` until it may start again.
        reached: Newest slice answered in a closed epoch; progress is what goes beyond.
        behind_since: Since when there are slices it has not answered; None while there are none.
        progressed_at: When it was first seen beyond `reached` in this epoch; None before.
    """

    epoch: int = 0
    closed: int = 0
    cause: str = ""
    closed_at: float = 0.0
    restarts: int = 0
    delay_s: float = 0.0
    reached: int = -1
    behind_since: float | None = None
    progressed_at: float | None = None

    def begin(self, epoch: int) -> HostRecord:
        """Return the record with a newer epoch."""
        return replace(self, epoch=epoch, behind_since=None, progressed_at=None)

    def is_due(self, now: float) -> bool:
        """Return whether the host may start again.

        A clock that lies before the failure is that of another boot; what was left to wait is over.
        """
        return not self.closed_at <= now < self.closed_at + self.delay_s


class History(msgspec.Struct, frozen=True):
    """Everything remembered, by strategy id and by host id.

    `observe` adds what has happened, `with_actions` what is about to be done. Store it between
    the two and the carrying out of actions: then no strike is lost or counted twice and no epoch
    is given out twice, wherever the manager's process ends.
    """

    strategies: dict[str, StrategyRecord] = {}
    hosts: dict[str, HostRecord] = {}

    def strategy(self, name: str, version: int) -> StrategyRecord:
        """Return the record of a version, a clean one if there is none."""
        record = self.strategies.get(name)
        if record is None or record.version != version:
            return StrategyRecord(version)
        return record

    def of(self, strategy: DesiredStrategy) -> StrategyRecord:
        """Return the record of the version that is wanted."""
        return self.strategy(strategy.id, strategy.version)

    def with_actions(self, actions: Iterable[Action]) -> History:
        """Return the history once a plan is to be carried out.

        Epochs are given out, and a host the plan ends without fault leaves a clean record.
        """
        hosts = dict(self.hosts)
        for action in actions:
            if isinstance(action, StartHost | RecoverHost):
                hosts[action.id] = hosts.get(action.id, HostRecord()).begin(action.epoch)
            elif isinstance(action, EndHost):
                record = hosts.get(action.id, HostRecord())
                if action.epoch > record.closed:
                    epoch = max(record.epoch, action.epoch)
                    hosts[action.id] = HostRecord(epoch, action.epoch, action.reason)
        return History(self.strategies, hosts)
