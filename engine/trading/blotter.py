"""The blotter: every event of the order manager is recorded here first, then handed out."""

from __future__ import annotations

from decimal import Decimal

from engine.trading.ledger import Ledger
from engine.trading.orders import Order
from engine.trading.records import SignalRecord
from engine.types import Fill, Intent, OrderCanceled, OrderEvent, OrderRejected

__all__ = ["Blotter"]


class Blotter:
    """Writes the ledger and gathers the events of the step in progress.

    Attributes:
        number: Slice in progress.
        time: Its time, ms UTC.
        events: Events since `begin`, in the order they happened.
    """

    __slots__ = ("events", "ledger", "number", "time")

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.number = -1
        self.time = 0
        self.events: list[OrderEvent] = []

    def begin(self) -> list[OrderEvent]:
        """Start a new list of events and return it."""
        events: list[OrderEvent] = []
        self.events = events
        return events

    def intent(
        self,
        instance: str,
        intent_id: str,
        intent: Intent,
        time: int,
        code: str,
        *,
        detail: str = "",
        order_id: str = "",
    ) -> None:
        """Record an intent and its outcome."""
        self.ledger.write_intent(
            SignalRecord(self.number, time, instance, intent_id, intent, code, detail, order_id)
        )

    def rejected(self, instance: str, intent_id: str, symbol: str, code: str, detail: str) -> None:
        """Hand out a rejection; it is already recorded as the outcome of its intent."""
        self.events.append(OrderRejected(instance, intent_id, symbol, code, detail, self.time))

    def accepted(self, order: Order, time: int) -> None:
        """Record and hand out that an order works, or works on new terms."""
        event = order.accepted(time)
        parent = order.parent
        self.ledger.write_order(self.number, event, "" if parent is None else parent.id)
        self.events.append(event)

    def filled(
        self,
        order: Order,
        quantity: Decimal,
        price: Decimal,
        fee: Decimal,
        realised: Decimal,
        *,
        time: int,
    ) -> None:
        """Record and hand out an execution; `order` already counts it."""
        order_id = order.id
        event = Fill(
            order.participant.id,
            f"{order_id}#{order.fills}",
            order_id,
            order.position.symbol,
            order.side,
            order.role,
            quantity,
            price,
            fee,
            order.leaves,
            time,
        )
        self.ledger.write_fill(self.number, event, realised)
        self.events.append(event)

    def canceled(self, order: Order, reason: str, time: int) -> None:
        """Record and hand out that an order ended without (further) fills."""
        event = OrderCanceled(order.participant.id, order.id, order.position.symbol, reason, time)
        if not order.voided:  # that is on record already
            self.ledger.write_cancel(self.number, event)
        self.events.append(event)

    def voided(self, order: Order, reason: str) -> None:
        """Record the end of an order, of which its instance will be handed the event later."""
        event = OrderCanceled(
            order.participant.id, order.id, order.position.symbol, reason, self.time
        )
        self.ledger.write_cancel(self.number, event)
