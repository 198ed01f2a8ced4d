"""What runners need of an instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from engine.instance.commands import Command
from engine.instance.history import CandleHistory
from engine.types import Candle, Decision, OrderEvent

__all__ = ["RunnableInstance"]


class RunnableInstance(Protocol):
    """What a runner needs of an instance; see `engine.instance.Instance`."""

    id: str

    def on_candle(self, candle: Candle) -> Decision | None:
        """Process a closed candle."""
        ...

    def on_event(self, event: OrderEvent) -> None:
        """Apply an order event."""
        ...

    def warm(self, candle: Candle) -> None:
        """Process a candle from before the instance took part: no strategy call, no intent."""
        ...

    def must_hear(self, candle: Candle, *, late: bool) -> bool:
        """Tell whether an order event may belong before this candle."""
        ...

    @property
    def expects_event(self) -> bool:
        """Return whether the next candle will have to wait whatever its prices."""
        ...

    def on_command(self, command: Command) -> None:
        """Obey an operator."""
        ...

    @property
    def candles(self) -> int:
        """Return how many candles it has processed."""
        ...

    def snapshot(self) -> bytes:
        """Return what does not follow from candles alone."""
        ...

    def restore(self, data: bytes, history: Mapping[str, CandleHistory], /) -> None:
        """Become what a snapshot was taken of."""
        ...
