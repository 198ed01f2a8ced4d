"""From executions to money: positions, capital, order states, protective orders.

Order of things at a fill: the position and its profit, the wallet and the strategy's purse
(profit, fee, margin instead of reservation), the ledger, then the bracket.
"""

from __future__ import annotations

from decimal import Decimal

from engine.config.run import ExecutionConfig
from engine.money import ZERO, money, money_up
from engine.trading.blotter import Blotter
from engine.trading.brackets import Brackets
from engine.trading.gateway import Gateway, Moment
from engine.trading.orders import LIMIT, NetOrder, Order, OrderStatus
from engine.trading.participants import Participant
from engine.trading.positions import Position
from engine.trading.records import NetRecord
from engine.types import OrderRole

__all__ = ["Executions"]

_ENTRY = OrderRole.ENTRY
_WORKING = OrderStatus.WORKING
_FILLED = OrderStatus.FILLED
_CANCELED = OrderStatus.CANCELED
_HALTED = "halted"
_BPS = Decimal(10_000)


class Executions:
    """Books what a gateway reports; the `ExecutionListener` of the order manager.

    Args:
        blotter: Records events.
        config: Fee rates.
    """

    def __init__(self, blotter: Blotter, config: ExecutionConfig) -> None:
        self._blotter = blotter
        self._maker = config.maker_fee_bps / _BPS
        self._taker = config.taker_fee_bps / _BPS
        self._gateway: Gateway | None = None
        self._brackets: Brackets | None = None

    def connect(self, gateway: Gateway) -> None:
        """Use this gateway; gateway and listener need each other."""
        self._gateway = gateway
        self._brackets = Brackets(self._blotter, gateway, self)

    def fee_rate(self, kind: int) -> Decimal:
        """Return the fee per notional: maker for resting orders, taker for the others."""
        return self._maker if kind == LIMIT else self._taker

    def need(self, position: Position, opening: Decimal, price: Decimal, kind: int) -> Decimal:
        """Return the capital that opening this much at a price binds and costs."""
        notional = price * opening
        need = money_up(notional)
        if position.leverage is not None:
            need = position.margin_of(need)
        rate = self._maker if kind == LIMIT else self._taker
        return need + money_up(notional * rate) if rate else need

    def budget(self, position: Position, closing: Decimal, price: Decimal, kind: int) -> Decimal:
        """Return what an entry may use, once it has closed `closing` at `price`.

        The smaller of what the account and what the strategy's own share leave free.
        """
        wallet, purse = position.wallet, position.purse
        if not closing:
            return min(wallet.free(), purse.balance - purse.committed)
        mark = position.book.mark_price()
        unrealised = wallet.unrealised() - position.profit_at(mark, closing)
        free = wallet.balance - wallet.committed + min(ZERO, unrealised)
        gain = self.gain(position, closing, price, kind)
        return gain + min(free, purse.balance - purse.committed)

    def gain(self, position: Position, closing: Decimal, price: Decimal, kind: int) -> Decimal:
        """Return the capital that closing this much at a price sets free; may be negative."""
        profit = position.profit_at(price, closing)
        gain = profit - money_up(price * closing * self.fee_rate(kind))
        return gain + position.margin if closing == abs(position.quantity) else gain

    def affordable(self, position: Position, budget: Decimal, price: Decimal, kind: int) -> Decimal:
        """Return the largest quantity (whole lots) whose need fits into a budget."""
        if budget <= ZERO:
            return ZERO
        leverage = position.leverage
        per_unit = price if leverage is None else price / leverage
        per_unit += price * self.fee_rate(kind)
        instrument = position.book.instrument
        quantity = instrument.quantity(budget / per_unit)
        # Margin and fee are rounded up to whole units of money: that can cost one lot more.
        while quantity > ZERO and self.need(position, quantity, price, kind) > budget:
            quantity -= instrument.lot_size
        return max(quantity, ZERO)

    def reserve(self, order: Order, amount: Decimal) -> None:
        """Set capital aside for an order, or (negative) give it back."""
        order.reserved += amount
        order.position.wallet.committed += amount
        order.position.purse.committed += amount

    def clip(
        self, order: Order, quantity: Decimal, price: Decimal, taken: Decimal = ZERO
    ) -> Decimal:
        """Return how much of a fill the position and the capital allow.

        What an order can never fill any more is taken off its leaves; an order left without
        leaves is cancelled here. `taken` of the position is closed by others already.
        """
        if order.voided:
            self.tell_voided(order)
            return ZERO
        position = order.position
        room = position.closable(order.sign) if position.quantity else ZERO
        if taken and room:
            room -= taken
        if order.reduces:
            return self._shrink(order, quantity, room)
        if order.flips:
            quantity = self._shrink(order, quantity, room + order.opens)
        opening = quantity - room
        if opening <= ZERO:
            return quantity
        need = self.need(position, opening, price, order.kind)
        if need <= order.reserved:
            return quantity
        closing = min(quantity, room)
        budget = self.budget(position, closing, price, order.kind) + order.reserved
        if need > budget:
            opening = self.affordable(position, budget, price, order.kind)
            quantity = closing + opening
            order.cut = True
            order.leaves = quantity
            order.opens = opening
            if not quantity:
                self.cancel(order, "capital")
        return quantity

    def secure(self, order: Order, price: Decimal, taken: Decimal) -> Decimal:
        """Cut an order to what can fill at a price, and set the capital for that aside now.

        Netting fills several orders at once; each must see what the ones before it need.

        Args:
            order: One of them.
            price: The worst it can fill at.
            taken: What those before it close of its position.

        Returns:
            What it closes of its position.
        """
        quantity = self.clip(order, order.leaves, price, taken)
        position = order.position
        closing = min(quantity, max(ZERO, position.closable(order.sign) - taken))
        opening = quantity - closing
        if opening > ZERO and not order.reduces:
            need = self.need(position, opening, price, order.kind)
            if closing:
                need -= self.gain(position, closing, price, order.kind)
            if need > order.reserved:
                self.reserve(order, need - order.reserved)
        return closing

    def _shrink(self, order: Order, quantity: Decimal, most: Decimal) -> Decimal:
        if order.leaves > most:
            order.leaves = most
            if not most:
                self.cancel(order, "flat")
        return min(most, quantity)

    def execute(
        self,
        order: Order,
        quantity: Decimal,
        price: Decimal,
        moment: Moment,
        fee: Decimal | None = None,
    ) -> None:
        """Book a fill; see `ExecutionListener.execute`."""
        position = order.position
        sign = order.sign
        time = moment.time
        if fee is None:
            rate = self._maker if order.kind == LIMIT else self._taker
            fee = money(price * quantity * rate) if rate else ZERO
        opened = quantity - position.closable(sign) if position.quantity else quantity
        margin = position.margin
        realised = position.apply(sign, quantity, price)

        leaves = order.leaves = order.leaves - quantity
        order.fills += 1
        committed = position.margin - margin
        released = order.reserved
        if leaves:
            order.opens = min(leaves, max(ZERO, order.opens - max(ZERO, opened)))
            if released:
                # What this part took is no longer set aside, even if that is more than its share.
                share = money(released * quantity / (leaves + quantity))
                released = min(released, max(share, committed + fee - realised))
                order.reserved -= released
        else:
            order.opens = order.reserved = ZERO
        committed -= released
        position.wallet.book(realised, fee, committed, time)
        position.purse.book(realised, fee, committed, time)
        self._blotter.filled(order, quantity, price, fee, realised, time=time)
        if leaves:
            self.engage(position)
        else:
            self._finish(order, time)
        if order.participant.leader is not None and ZERO <= opened < quantity:
            order.participant.note_exit(max(time, self._blotter.time))
        brackets = self._brackets
        assert brackets is not None  # noqa: S101 - connect() precedes every fill
        brackets.after_fill(order, opened, price, moment)

    def _finish(self, order: Order, time: int) -> None:
        if order.cut:
            self._retire(order, _CANCELED)
            self._blotter.canceled(order, "capital", time)
        else:
            self._retire(order, _FILLED)

    def cancel(self, order: Order, reason: str, time: int | None = None) -> None:
        """End a working order; an order that has ended already stays as it is."""
        if order.status is not _WORKING:
            return
        self._retire(order, _CANCELED)
        self._blotter.canceled(order, reason, self._blotter.time if time is None else time)

    def void(self, order: Order) -> None:
        """End a working entry because trading was halted, between any two steps of its instance.

        An instance that has only resting orders runs ahead: it waits for a candle that touches one,
        and cannot be told anything in between. So the order is on record as cancelled from now on,
        and stays in its book only to tell when the market reaches it; see `tell_voided`. Nobody
        is told of a follower's.
        """
        if order.participant.leader is not None:
            self.cancel(order, _HALTED)
            return
        self._blotter.voided(order, _HALTED)
        order.voided = True
        position = order.position
        position.entries.remove(order)
        self.reserve(order, -order.reserved)
        self.engage(position)
        order.participant.voided.append(order)

    def tell_voided(self, order: Order) -> None:
        """Hand out the end of a voided order, now that its instance waits to hear something."""
        order.status = _CANCELED
        gateway = self._gateway
        assert gateway is not None  # noqa: S101 - connect() precedes every order
        gateway.cancel(order)
        order.participant.voided.remove(order)
        self._blotter.canceled(order, _HALTED, self._blotter.time)

    def tell_all_voided(self, participant: Participant) -> None:
        """Hand out the end of every voided order of a strategy."""
        for order in tuple(participant.voided):
            self.tell_voided(order)

    def _retire(self, order: Order, status: OrderStatus) -> None:
        order.status = status
        if order.reserved:
            self.reserve(order, -order.reserved)
        gateway = self._gateway
        assert gateway is not None  # noqa: S101 - connect() precedes every order
        gateway.cancel(order)
        position = order.position
        if order.role is _ENTRY:
            position.entries.remove(order)
        elif order is position.stop:
            position.stop = None
        elif order is position.target:
            position.target = None
        elif order is position.trailer:
            position.trailer = None
        else:
            position.exits.remove(order)
        self.engage(position)

    def engage(self, position: Position) -> None:
        """Keep the account's list of open or entering sub-positions up to date."""
        engaged = bool(position.entries) or bool(position.quantity)
        if engaged is not position.engaged:
            position.engaged = engaged
            participant = position.participant
            if engaged:
                participant.account.engaged += 1
                position.holding.members[participant.id] = position
            else:
                participant.account.engaged -= 1
                del position.holding.members[participant.id]

    def cross(
        self,
        net: NetOrder,
        quantity: Decimal,
        price: Decimal,
        *,
        crossed: Decimal,
        fee: Decimal,
        time: int,
    ) -> None:
        """Record the execution of a net order before the fills of its children.

        Args:
            net: The order.
            quantity: Signed net quantity that went to the market.
            price: For the market and for what was crossed.
            crossed: Quantity that stayed inside the account.
            fee: Of the net quantity.
            time: ms UTC.
        """
        net.fills += 1
        self._blotter.ledger.write_net(
            NetRecord(
                slice=self._blotter.number,
                time=time,
                account=net.account,
                order_id=net.id,
                symbol=net.book.symbol,
                quantity=quantity,
                crossed=crossed,
                price=price,
                fee=fee,
            )
        )
