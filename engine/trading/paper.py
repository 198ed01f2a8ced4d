"""The paper gateway: matches working orders against closed candles and ticks.

What fills, and where, in one candle (in this order):

==========  ============================================================  ====================
stage       what fills                                                    at
==========  ============================================================  ====================
open        market orders active at the open; the rest of fired stops     open +- slippage
open        stops the open is beyond                                      open +- slippage
open        limits the open is better than                                open
inside      stops and trailing stops the low or high reaches              trigger +- slippage
inside      limits and targets the low or high reaches                    limit
inside      stops of entries that filled inside this very candle          trigger +- slippage
close       market orders that became active inside the candle            close +- slippage
==========  ============================================================  ====================

An order is active from its slice's time plus the latency; limits and stops take part in candles
that open at or after that. Stops go before limits because of two prices reached inside one candle
nobody knows which came first, so the worse one is assumed. Among several stops the one nearest
to the open fires first, as the price passes it first.

A trailing stop fires from the best price before the candle, its open included; the candle's high
(low for a short) moves it afterwards. A tick fills what it reaches: market orders and stops at
its price, limits at the limit or at the better tick.

Slippage worsens market and stop fills: a buyer's price is rounded up to a tick, a seller's down.
With `volume_share`, an order fills at most that share of a candle's (or a tick's) volume, rounded
down to a lot; what is left of a market order or a fired stop goes on at the next opens.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from engine.config.run import ExecutionConfig
from engine.money import ZERO, Instrument, to_decimal
from engine.trading.brackets import trail_level
from engine.trading.gateway import ExecutionListener
from engine.trading.netting import NetMatcher
from engine.trading.orders import (
    LIMIT,
    MARKET,
    STOP,
    TRAIL,
    NetOrder,
    Order,
    OrderStatus,
    SymbolBook,
)
from engine.types import Candle, Tick

__all__ = ["PaperGateway"]

_WORKING = OrderStatus.WORKING
_BPS = Decimal(10_000)


class PaperGateway:
    """Simulated venue; see the module for the rules. Implements `Gateway`."""

    def __init__(
        self, config: ExecutionConfig, listener: ExecutionListener, nets: NetMatcher
    ) -> None:
        self._listener = listener
        self._nets = nets
        self._share = config.volume_share
        slip = config.slippage_bps / _BPS
        self._slips = slip > 0
        self._up = 1 + slip
        self._down = 1 - slip

    def submit(self, order: Order) -> None:
        """Work an order; see `Gateway.submit`."""
        book = order.book
        book.orders[order.id] = order
        book.dirty = True

    def submit_net(self, net: NetOrder) -> None:
        """Work a net order; see `Gateway.submit_net`."""
        net.book.nets[net.id] = net
        net.book.dirty = True

    def cancel(self, order: Order) -> None:
        """Stop working an order; see `Gateway.cancel`."""
        book = order.book
        parent = order.parent
        if parent is None:
            book.orders.pop(order.id, None)
        else:
            parent.children.remove(order)
            if not parent.children:
                book.nets.pop(parent.id, None)
        book.dirty = True

    def on_candle(self, book: SymbolBook, candle: Candle) -> None:
        """Match a book against a closed base candle; see `Gateway.on_candle`."""
        if book.dirty:
            book.settle()
        if not book.restless and candle.low > book.floor and candle.high < book.ceiling:
            return
        share = self._share
        cap = None if share is None else share * to_decimal(candle.volume)
        self._at_open(book, candle, cap)
        if book.orders:
            before = tuple(book.orders.values())
            self._stops_inside(before, candle, cap)
            self._limits_inside(before, candle, cap)
            known = set(map(id, before))
            fresh = [order for order in book.orders.values() if id(order) not in known]
            if fresh:
                self._stops_inside(fresh, candle, cap)
        if book.orders or book.nets:
            self._at_close(book, candle, cap)
            self._move_trails(book, candle)
        book.dirty = True

    def _at_open(self, book: SymbolBook, candle: Candle, cap: Decimal | None) -> None:
        opened = candle.open_time
        price: Decimal | None = None
        working = tuple(book.orders.values())
        for order in working:
            if (order.kind == MARKET or order.triggered) and order.active <= opened:
                if price is None:
                    price = book.instrument.price(candle.open)
                self._fill(order, self._slip(order, price), opened, opened, opened, cap, opened)
        for net in tuple(book.nets.values()):
            if net.active <= opened:
                if price is None:
                    price = book.instrument.price(candle.open)
                self._fill_net(net, price, opened, opened, opened, cap)
        for gapped in (STOP, LIMIT):
            for order in working:
                if order.status is _WORKING and order.active <= opened and not order.triggered:
                    kind = STOP if order.kind == TRAIL else order.kind
                    if kind == gapped and _is_beyond(order, candle.open):
                        if price is None:
                            price = book.instrument.price(candle.open)
                        self._fire(order, price, opened, opened, opened, cap, candle)

    def _stops_inside(self, orders: Iterable[Order], candle: Candle, cap: Decimal | None) -> None:
        opened, closed = candle.open_time, candle.close_time
        reached = []
        for order in orders:
            kind = order.kind
            if (kind != STOP and kind != TRAIL) or order.status is not _WORKING:
                continue
            if order.active > opened or order.triggered or order.last_open == opened:
                continue
            if kind == TRAIL and not order.inside:
                _improve(order, candle.open)
            if candle.low <= order.level if order.sign < 0 else candle.high >= order.level:
                reached.append(order)
        if len(reached) > 1:
            reached.sort(key=lambda order: abs(order.level - candle.open))
        for order in reached:
            if order.status is _WORKING:
                price = order.price
                assert price is not None  # noqa: S101  only market orders have none
                self._fire(order, price, closed, opened, closed, cap, candle)

    def _limits_inside(self, orders: Iterable[Order], candle: Candle, cap: Decimal | None) -> None:
        opened, closed = candle.open_time, candle.close_time
        for order in orders:
            if order.kind != LIMIT or order.status is not _WORKING:
                continue
            if order.active > opened or order.last_open == opened:
                continue
            if candle.low <= order.level if order.sign > 0 else candle.high >= order.level:
                price = order.price
                assert price is not None  # noqa: S101  only market orders have none
                self._fill(order, price, closed, opened, closed, cap, opened)

    def _at_close(self, book: SymbolBook, candle: Candle, cap: Decimal | None) -> None:
        opened, closed = candle.open_time, candle.close_time
        for order in tuple(book.orders.values()):
            if order.kind == MARKET and opened < order.active < closed:
                price = self._slip(order, book.instrument.price(candle.close))
                self._fill(order, price, closed, closed, closed, cap, opened)
        for net in tuple(book.nets.values()):
            if opened < net.active < closed:
                price = book.instrument.price(candle.close)
                self._fill_net(net, price, closed, closed, closed, cap)

    def _fire(
        self,
        order: Order,
        price: Decimal,
        time: int,
        stop_from: int,
        target_from: int,
        cap: Decimal | None,
        candle: Candle,
    ) -> None:
        """Fill a stop or a limit; what is left of a stop goes on as a market order."""
        if order.kind == LIMIT:
            self._fill(order, price, time, stop_from, target_from, cap, candle.open_time)
            return
        order.triggered = True
        order.active = candle.close_time
        slipped = self._slip(order, price)
        self._fill(order, slipped, time, stop_from, target_from, cap, candle.open_time)

    def _fill(
        self,
        order: Order,
        price: Decimal,
        time: int,
        stop_from: int,
        target_from: int,
        cap: Decimal | None,
        opened: int,
    ) -> None:
        if order.status is not _WORKING:
            return
        quantity = order.leaves
        order.last_open = opened
        if cap is not None:
            used = order.ticked if order.ticked_open == opened else ZERO
            most = order.book.instrument.quantity(cap - used)
            if most < quantity:
                quantity = most
        if quantity > ZERO:
            quantity = self._listener.clip(order, quantity, price)
        if quantity > ZERO:
            self._listener.execute(order, quantity, price, time, stop_from, target_from)

    def _fill_net(
        self,
        net: NetOrder,
        price: Decimal,
        time: int,
        stop_from: int,
        target_from: int,
        cap: Decimal | None,
    ) -> None:
        instrument = net.book.instrument
        self._nets.match(
            net,
            price,
            self._worse(price, 1, instrument),
            self._worse(price, -1, instrument),
            None if cap is None else instrument.quantity(cap),
            (time, stop_from, target_from),
        )

    def _slip(self, order: Order, price: Decimal) -> Decimal:
        if not self._slips:
            return price
        return self._worse(price, order.sign, order.book.instrument)

    def _worse(self, price: Decimal, sign: int, instrument: Instrument) -> Decimal:
        if not self._slips:
            return price
        if sign > 0:
            return instrument.price_up(price * self._up)
        return instrument.price_down(price * self._down)

    @staticmethod
    def _move_trails(book: SymbolBook, candle: Candle) -> None:
        for order in book.orders.values():
            if order.kind == TRAIL and order.active <= candle.open_time:
                if order.inside:
                    # When inside the candle the entry filled is unknown; its close came later.
                    order.inside = False
                    _improve(order, candle.close)
                else:
                    _improve(order, candle.high if order.sign < 0 else candle.low)

    def on_tick(self, book: SymbolBook, tick: Tick) -> None:
        """Match a book against a trade; see `Gateway.on_tick`."""
        if book.dirty:
            book.settle()
        level, time = tick.price, tick.time
        if not book.restless and book.floor < level < book.ceiling:
            return
        share = self._share
        cap = None if share is None else share * to_decimal(tick.volume)
        price = book.instrument.price(level)
        candle_open = time - time % book.interval_ms
        working = [order for order in book.orders.values() if order.active <= time]
        for order in working:
            if order.kind == MARKET or order.triggered:
                self._fill_at_tick(order, self._slip(order, price), time, candle_open, cap)
        for net in tuple(book.nets.values()):
            if net.active <= time:
                self._fill_net(net, price, time, candle_open, time, cap)
        for wanted in (STOP, TRAIL, LIMIT):
            for order in working:
                if order.kind == wanted and order.status is _WORKING and not order.triggered:
                    if _is_beyond(order, level):
                        if wanted != LIMIT:
                            order.triggered = True
                            order.active = time
                        at = price if wanted == LIMIT else self._slip(order, price)
                        self._fill_at_tick(order, at, time, candle_open, cap)
                    elif wanted == TRAIL:
                        _improve(order, level)
        book.dirty = True

    def _fill_at_tick(
        self, order: Order, price: Decimal, time: int, candle_open: int, cap: Decimal | None
    ) -> None:
        before = order.leaves
        self._fill(order, price, time, candle_open, time, cap, -1)
        if order.ticked_open != candle_open:
            order.ticked_open = candle_open
            order.ticked = ZERO
        order.ticked += before - order.leaves


def _is_beyond(order: Order, price: float) -> bool:
    """Tell whether a price is at or past the order's level: a stop's or a limit's own way."""
    if (order.kind == LIMIT) == (order.sign > 0):
        return price <= order.level
    return price >= order.level


def _improve(order: Order, price: float) -> None:
    """Move a trailing stop if the price is better than the best one so far."""
    if price > order.best if order.sign < 0 else price < order.best:
        order.best = price
        order.price = level = trail_level(order)
        order.level = float(level)
