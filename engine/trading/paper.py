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

from collections.abc import Iterable, Sequence
from decimal import Decimal

from engine.config.run import ExecutionConfig
from engine.money import ZERO, Instrument, to_decimal
from engine.trading.brackets import trail_level
from engine.trading.gateway import ExecutionListener, Moment
from engine.trading.netting import NetMatcher, Prices
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
_STOPS = (STOP, TRAIL)
_BPS = Decimal(10_000)


class PaperGateway:
    """Simulated venue; see the module for the rules. Implements `Gateway`."""

    def __init__(
        self, config: ExecutionConfig, listener: ExecutionListener, nets: NetMatcher
    ) -> None:
        self._clip = listener.clip
        self._execute = listener.execute
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
            book.dirty = False
            before = tuple(book.orders.values())
            self._stops_inside(before, candle, cap)
            self._limits_inside(before, candle, cap)
            if book.dirty:
                fresh = [order for order in book.orders.values() if order not in before]
                self._stops_inside(fresh, candle, cap)
        if book.orders or book.nets:
            self._at_close(book, candle, cap)
            self._move_trails(book, candle)
        book.dirty = True

    def _at_open(self, book: SymbolBook, candle: Candle, cap: Decimal | None) -> None:
        opened = candle.open_time
        moment = Moment(opened, opened, opened)
        working = tuple(book.orders.values())
        resting = False
        price = book.instrument.price(candle.open)
        for order in working:
            if order.kind != MARKET and not order.triggered:
                resting = True
            elif order.active <= opened:
                self._fill(order, self._slip(order, price), moment, cap, opened)
        if book.nets:
            for net in tuple(book.nets.values()):
                if net.active <= opened:
                    self._fill_net(net, price, moment, cap)
        if resting:
            self._gaps(working, price, moment, cap, candle)

    def _gaps(
        self,
        orders: Sequence[Order],
        price: Decimal,
        moment: Moment,
        cap: Decimal | None,
        candle: Candle,
    ) -> None:
        """Fill what the open is beyond: stops first."""
        opened = candle.open_time
        beyond = [
            order
            for order in orders
            if order.kind != MARKET
            and not order.triggered
            and order.status is _WORKING
            and order.active <= opened
            and _is_beyond(order, candle.open)
        ]
        for limits in (False, True):
            for order in beyond:
                if (order.kind == LIMIT) is limits:
                    self._fire(order, price, moment, cap, candle)

    def _stops_inside(self, orders: Iterable[Order], candle: Candle, cap: Decimal | None) -> None:
        opened, closed = candle.open_time, candle.close_time
        reached = []
        for order in orders:
            if order.kind not in _STOPS or order.status is not _WORKING:
                continue
            if order.active > opened or order.triggered:
                continue
            if order.kind == TRAIL and not order.inside:
                _improve(order, candle.open)
            if candle.low <= order.level if order.sign < 0 else candle.high >= order.level:
                reached.append(order)
        if len(reached) > 1:
            reached.sort(key=lambda order: abs(order.level - candle.open))
        moment = Moment(closed, opened, closed)
        for order in reached:
            self._fire(order, _level_of(order), moment, cap, candle)

    def _limits_inside(self, orders: Iterable[Order], candle: Candle, cap: Decimal | None) -> None:
        opened, closed = candle.open_time, candle.close_time
        moment = Moment(closed, opened, closed)
        for order in orders:
            if order.kind != LIMIT or order.status is not _WORKING:
                continue
            if order.active > opened or order.last_open == opened:
                continue
            if candle.low <= order.level if order.sign > 0 else candle.high >= order.level:
                self._fill(order, _level_of(order), moment, cap, opened)

    def _at_close(self, book: SymbolBook, candle: Candle, cap: Decimal | None) -> None:
        opened, closed = candle.open_time, candle.close_time
        moment = Moment(closed, closed, closed)
        for order in tuple(book.orders.values()):
            if order.kind == MARKET and opened < order.active < closed:
                price = self._slip(order, book.instrument.price(candle.close))
                self._fill(order, price, moment, cap, opened)
        for net in tuple(book.nets.values()):
            if opened < net.active < closed:
                self._fill_net(net, book.instrument.price(candle.close), moment, cap)

    def _fire(
        self,
        order: Order,
        price: Decimal,
        moment: Moment,
        cap: Decimal | None,
        candle: Candle,
    ) -> None:
        """Fill a stop or a limit; what is left of a stop goes on as a market order."""
        if order.kind != LIMIT and order.status is _WORKING:
            order.triggered = True
            order.active = candle.close_time
            price = self._slip(order, price)
        self._fill(order, price, moment, cap, candle.open_time)

    def _fill(
        self, order: Order, price: Decimal, moment: Moment, cap: Decimal | None, opened: int
    ) -> None:
        if order.status is not _WORKING:
            return
        quantity = order.leaves
        order.last_open = opened
        if cap is not None:
            used = order.ticked if order.ticked_open == opened else ZERO
            quantity = min(quantity, order.book.instrument.quantity(cap - used))
        if quantity > ZERO:
            quantity = self._clip(order, quantity, price)
        if quantity > ZERO:
            self._execute(order, quantity, price, moment)

    def _fill_net(self, net: NetOrder, price: Decimal, moment: Moment, cap: Decimal | None) -> None:
        instrument = net.book.instrument
        prices = Prices(
            price, self._worse(price, 1, instrument), self._worse(price, -1, instrument)
        )
        self._nets.match(net, prices, None if cap is None else instrument.quantity(cap), moment)

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
        if not book.restless and book.floor < tick.price < book.ceiling:
            return
        time = tick.time
        cap = None if self._share is None else self._share * to_decimal(tick.volume)
        price = book.instrument.price(tick.price)
        moment = Moment(time, time - time % book.interval_ms, time)
        working = [order for order in book.orders.values() if order.active <= time]
        for order in working:
            if order.kind == MARKET or order.triggered:
                self._fill_at_tick(order, self._slip(order, price), moment, cap)
        for net in tuple(book.nets.values()):
            if net.active <= time:
                self._fill_net(net, price, moment, cap)
        resting = [o for o in working if o.kind != MARKET and not o.triggered]
        for kind in (STOP, TRAIL, LIMIT):
            for order in resting:
                if order.kind == kind:
                    self._rest_at_tick(order, tick.price, price, moment, cap)
        book.dirty = True

    def _rest_at_tick(
        self, order: Order, level: float, price: Decimal, moment: Moment, cap: Decimal | None
    ) -> None:
        if not _is_beyond(order, level):
            if order.kind == TRAIL:
                _improve(order, level)
        elif order.kind == LIMIT:
            self._fill_at_tick(order, price, moment, cap)
        elif order.status is _WORKING:
            order.triggered = True
            order.active = moment.time
            self._fill_at_tick(order, self._slip(order, price), moment, cap)

    def _fill_at_tick(
        self, order: Order, price: Decimal, moment: Moment, cap: Decimal | None
    ) -> None:
        before = order.leaves
        self._fill(order, price, moment, cap, -1)
        if order.ticked_open != moment.stop_from:
            order.ticked_open = moment.stop_from
            order.ticked = ZERO
        order.ticked += before - order.leaves


def _is_beyond(order: Order, price: float) -> bool:
    """Tell whether a price is at or past the order's level: a stop's or a limit's own way."""
    if (order.kind == LIMIT) == (order.sign > 0):
        return price <= order.level
    return price >= order.level


def _level_of(order: Order) -> Decimal:
    price = order.price
    assert price is not None  # noqa: S101 - only market orders have none
    return price


def _improve(order: Order, price: float) -> None:
    """Move a trailing stop if the price is better than the best one so far."""
    if price > order.best if order.sign < 0 else price < order.best:
        order.best = price
        order.price = level = trail_level(order)
        order.level = float(level)
