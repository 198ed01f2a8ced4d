"""What goes into a host and comes out of it at its start, and what it drives its instances by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from actors.requests import StrategySpec
from actors.wire import Endpoints
from engine.instance import Instance
from engine.money import Instrument
from engine.sequencing import Answer, CandleBatch, Past, Release, Stored

__all__ = ["HostSpec", "Prepared", "Runner"]


class HostSpec(msgspec.Struct, frozen=True):
    """What a host is started with.

    Attributes:
        host: Participant id.
        start: Number of this start.
        strategies: What it carries at first.
        instruments: Trading rules of all symbols.
        uncovered: Streams whose candles may miss prices their symbol's orders are matched on.
        endpoints: The engine's data plane.
        folder: Private folder of the engine on this machine.
        state: Folder of the run for what outlives processes.
    """

    host: str
    start: int
    strategies: tuple[StrategySpec, ...]
    instruments: dict[str, Instrument]
    uncovered: tuple[str, ...]
    endpoints: Endpoints
    folder: str
    state: str


class Prepared(msgspec.Struct, frozen=True):
    """What a host has built. `failures`: why instances could not be, by id."""

    process: int
    failures: dict[str, str]


class Runner(Protocol):
    """What both runners have in common; see `engine.sequencing`."""

    epoch: int
    matched: int

    @property
    def awaits_release(self) -> bool:
        """Tell whether nothing can be processed before a release."""
        ...

    def offer(self, batch: CandleBatch, /) -> tuple[int, int] | None:
        """Queue candles."""
        ...

    def mark(self, through: int, /) -> None:
        """Declare that nothing older is still to come."""
        ...

    def release(self, release: Release, /) -> None:
        """Apply order events."""
        ...

    def run(self, *, may_continue: Callable[[], bool] | None = None) -> bool:
        """Process what can be."""
        ...

    def answer(self) -> Answer | None:
        """Return what the order manager has not been told yet."""
        ...

    def recover(self, past: Past, stored: Stored[Instance] | None = None, /) -> None:
        """Let instances go on where they left off in another process."""
        ...

    def renew(self, epoch: int, reign: int, /) -> None:
        """Speak under a new epoch, telling everything again."""
        ...

    def repeat(self, reign: int, /) -> Answer:
        """Return everything an order manager that has lost its memory may not know."""
        ...
