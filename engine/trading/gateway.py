"""Where orders go, and who hears what became of them.

The order manager core speaks to a `Gateway`; the paper gateway is one, a live venue can stand
beside it. Everything a gateway does to an order it reports to its `ExecutionListener`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

import msgspec

from engine.trading.orders import NetOrder, Order, SymbolBook
from engine.types import Candle, Tick

__all__ = ["ExecutionListener", "Gateway", "Moment"]


class Moment(msgspec.Struct, frozen=True, gc=False):
    """When a fill happens, all ms UTC.

    Attributes:
        time: Time of the fill.
        stop_from: Protective stops made by it may fill in candles opening from here on.
        target_from: Likewise targets; later than `stop_from` if it filled inside a candle.
    """

    time: int
    stop_from: int
    target_from: int


class ExecutionListener(Protocol):
    """Takes executions in: capital, positions, brackets, ledger."""

    def clip(self, order: Order, quantity: Decimal, price: Decimal) -> Decimal:
        """Return how much of a fill position and capital allow; 0: the order has ended."""
        ...

    def execute(
        self,
        order: Order,
        quantity: Decimal,
        price: Decimal,
        moment: Moment,
        fee: Decimal | None = None,
    ) -> None:
        """Book a fill of a working order, as `clip` allowed it.

        `fee` is given by the gateway, or None: by the configured rate.
        """
        ...


class Gateway(Protocol):
    """A place that works orders. Called by the order manager only, never concurrently."""

    def submit(self, order: Order) -> None:
        """Work an order, or work it on its changed terms; it is journaled already."""
        ...

    def submit_net(self, net: NetOrder) -> None:
        """Work a net order instead of its children."""
        ...

    def cancel(self, order: Order) -> None:
        """Stop working an order; unknown ones are ignored."""
        ...

    def on_candle(self, book: SymbolBook, candle: Candle) -> None:
        """Match a book that has working orders against a closed base candle."""
        ...

    def on_tick(self, book: SymbolBook, tick: Tick) -> None:
        """Match a book that has working orders against a trade."""
        ...
