"""A stand-in for market and order manager, for tests of strategies and of the instance itself.

Small on purpose: one strategy, no account, no risk, no sizing beyond a fixed quantity. What a
strategy earns is the backtest's business; here it is seen to do what it says.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from engine.catalog.discovery import LoadedType
from engine.catalog.plugin import StrategyPlugin
from engine.instance.instance import Instance
from engine.money import ZERO, to_decimal
from engine.timeframes import timeframe_ms
from engine.types import (
    Action,
    CancelRequest,
    Candle,
    Decision,
    Fill,
    Intent,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderRejected,
    OrderRequest,
    OrderRole,
    OrderType,
    Side,
    Signal,
    StreamId,
)

__all__ = ["Desk", "as_loaded", "random_candles"]


def random_candles(
    count: int,
    *,
    seed: int = 0,
    stream: str = "paper:BTC/USDT:1m",
    volatility: float = 0.002,
    price: float = 100.0,
) -> list[Candle]:
    """Return a seeded random walk of consecutive candles, from 1970 and seq 0 on.

    Args:
        count: How many.
        seed: The same seed gives the same candles.
        stream: Text form of the stream id.
        volatility: Standard deviation of a candle's return, a fraction.
        price: First price.
    """
    source = random.Random(seed)  # noqa: S311 - test data, not for secrets
    step = timeframe_ms(StreamId.parse(stream).timeframe)
    candles = []
    for seq in range(count):
        opened = price
        price = max(opened * (1.0 + source.gauss(0.0, volatility)), 1e-6)
        high = max(opened, price) * (1.0 + abs(source.gauss(0.0, volatility / 2)))
        low = min(opened, price) * (1.0 - abs(source.gauss(0.0, volatility / 2)))
        volume = source.lognormvariate(3.0, 0.7)
        candles.append(
            Candle(stream, seq, seq * step, (seq + 1) * step, opened, high, low, price, volume)
        )
    return candles


def as_loaded(cls: type[StrategyPlugin], *, code_hash: str = "") -> LoadedType:
    """Return a class that is not in a plugin file as if discovery had found it."""
    return LoadedType(cls, Path(), code_hash, cls.metadata)


class Desk:
    """Fills the orders of one instance: market orders at the next open, others when touched.

    Signals without a quantity trade `quantity`. Signals with a limit price are refused.

    Args:
        instance: Whose orders.
        quantity: Size of a signal without one, base currency.
        fee: Per fill, quote currency.

    Attributes:
        events: Every event so far, in order; each was delivered to the instance at once.
    """

    def __init__(
        self, instance: Instance, *, quantity: Decimal = Decimal(1), fee: Decimal = ZERO
    ) -> None:
        self.instance = instance
        self.events: list[OrderEvent] = []
        self._quantity = quantity
        self._fee = fee
        self._working: dict[str, OrderAccepted] = {}
        self._held: dict[str, Decimal] = {}

    @property
    def fills(self) -> list[Fill]:
        """Return the fills so far."""
        return [event for event in self.events if isinstance(event, Fill)]

    def play(self, candles: Iterable[Candle]) -> list[Decision]:
        """Feed candles one by one, with the order events each brings; return the decisions."""
        decisions = []
        for candle in candles:
            self.match(candle)
            decision = self.instance.on_candle(candle)
            if decision is not None:
                decisions.append(decision)
                self.decide(decision)
        return decisions

    def match(self, candle: Candle) -> Sequence[OrderEvent]:
        """Fill what a candle of the order's symbol fills; deliver and return the events."""
        start = len(self.events)
        symbol = StreamId.parse(candle.stream).symbol
        for order in list(self._working.values()):
            if order.symbol == symbol and _reaches(order, candle):
                price = to_decimal(candle.open) if order.price is None else order.price
                self._fill(order, price, candle.open_time)
        return self.events[start:]

    def decide(self, decision: Decision) -> Sequence[OrderEvent]:
        """Answer each intent of a decision; deliver and return the events."""
        start = len(self.events)
        for n, intent in enumerate(decision.intents):
            self._answer(decision.intent_id(n), intent, decision.time)
        return self.events[start:]

    def _answer(self, intent_id: str, intent: Intent, time: int) -> None:
        if isinstance(intent, CancelRequest):
            if intent.order_id in self._working:
                symbol = self._working.pop(intent.order_id).symbol
                self._tell(
                    OrderCanceled(self.instance.id, intent.order_id, symbol, intent.reason, time)
                )
            else:
                self._refuse(intent_id, "", "unknown_order", time)
        elif isinstance(intent, OrderRequest):
            role = OrderRole.EXIT if intent.reduce_only else OrderRole.ENTRY
            self._accept(
                intent_id,
                intent.symbol,
                intent.side,
                intent.quantity,
                time,
                role=role,
                kind=intent.type,
                price=intent.price,
            )
        elif intent.action is not Action.HOLD:
            self._signal(intent_id, intent, time)

    def _signal(self, intent_id: str, signal: Signal, time: int) -> None:
        held = self._held.get(signal.symbol, ZERO)
        wanted = signal.quantity or self._quantity
        target = {Action.BUY: wanted, Action.SELL: -wanted}.get(signal.action, ZERO)
        change = target - held
        if signal.limit_price is not None or not change:
            code = "unsupported" if signal.limit_price is not None else "no_change"
            self._refuse(intent_id, signal.symbol, code, time)
            return
        role = OrderRole.EXIT if signal.action is Action.CLOSE else OrderRole.ENTRY
        side = Side.BUY if change > 0 else Side.SELL
        self._accept(intent_id, signal.symbol, side, abs(change), time, role=role)

    def _accept(
        self,
        intent_id: str,
        symbol: str,
        side: Side,
        quantity: Decimal,
        time: int,
        *,
        role: OrderRole,
        kind: OrderType = OrderType.MARKET,
        price: Decimal | None = None,
    ) -> None:
        order = OrderAccepted(
            instance=self.instance.id,
            order_id=f"order-{len(self.events)}",
            intent_id=intent_id,
            symbol=symbol,
            side=side,
            type=kind,
            role=role,
            quantity=quantity,
            price=price,
            trail=None,
            time=time,
        )
        self._working[order.order_id] = order
        self._tell(order)

    def _refuse(self, intent_id: str, symbol: str, code: str, time: int) -> None:
        self._tell(OrderRejected(self.instance.id, intent_id, symbol, code, "", time))

    def _fill(self, order: OrderAccepted, price: Decimal, time: int) -> None:
        del self._working[order.order_id]
        held = self._held.get(order.symbol, ZERO)
        self._held[order.symbol] = held + order.side.sign * order.quantity
        self._tell(
            Fill(
                instance=order.instance,
                fill_id=f"{order.order_id}#1",
                order_id=order.order_id,
                symbol=order.symbol,
                side=order.side,
                role=order.role,
                quantity=order.quantity,
                price=price,
                fee=self._fee,
                leaves=ZERO,
                time=time,
            )
        )

    def _tell(self, event: OrderEvent) -> None:
        self.events.append(event)
        self.instance.on_event(event)


def _reaches(order: OrderAccepted, candle: Candle) -> bool:
    if order.price is None:
        return True
    rising = (order.side is Side.BUY) is (order.type is OrderType.STOP)
    price = float(order.price)
    return candle.high >= price if rising else candle.low <= price
