"""What an operator wants to run."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from engine.errors import ConfigError

__all__ = ["Desired", "DesiredStrategy", "Isolation"]

Isolation = Literal["dedicated", "pooled"]


class DesiredStrategy(msgspec.Struct, frozen=True):
    """What is wanted of one strategy.

    Attributes:
        id: Strategy id.
        status: A paused strategy follows the market in its host and may not act; a stopped one is
            in no host.
        isolation: A host of its own, or one it shares.
        version: Raised by whoever changes the strategy or asks for a restart. A higher version is
            started afresh and has no strikes.
    """

    id: str
    status: Literal["running", "paused", "stopped"]
    isolation: Isolation
    version: int


class Desired(msgspec.Struct, frozen=True):
    """The desired state of the engine.

    Attributes:
        strategies: Those that are not listed are to be stopped.
        hosts: Pooled hosts to spread pooled strategies over; those without any are not started.

    Raises:
        ConfigError: An id occurs twice, or there is not at least one host.
    """

    strategies: tuple[DesiredStrategy, ...]
    hosts: int

    def __post_init__(self) -> None:
        if self.hosts < 1:
            raise ConfigError(
                f"desired state: hosts must be at least 1, is {self.hosts}; "
                "one per processor core is a good start"
            )
        counts = Counter(strategy.id for strategy in self.strategies)
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise ConfigError(
                f"desired state: ids must be unique, {', '.join(map(repr, twice))} "
                "occur more than once; rename or remove all but one of each"
            )
