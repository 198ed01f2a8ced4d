"""Sub-positions: what one strategy holds of one symbol, with exact accounting.

The cost of a position is the sum of the notionals it was entered with. Closing a part releases
the same part of the cost, rounded to a unit of money; closing the rest releases all that is
left, so profits always add up to proceeds minus cost, to the last digit.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from engine.money import ZERO, money, money_up
from engine.trading.capital import Funds, Holding, Wallet

if TYPE_CHECKING:  # orders refer to positions and positions to orders
    from engine.trading.orders import Order, SymbolBook
    from engine.trading.participants import Participant

__all__ = ["Position", "PositionState", "Protection"]

Protection = tuple[Decimal | None, Decimal | None, Decimal | None]


class PositionState(msgspec.Struct, frozen=True):
    """A sub-position at one moment: signed quantity (base), the rest in quote currency.

    `average_price` is None when flat.
    """

    instance: str
    symbol: str
    quantity: Decimal
    average_price: Decimal | None
    cost: Decimal
    margin: Decimal
    realised: Decimal
    unrealised: Decimal


class Position:
    """One strategy's sub-position in one symbol, its working orders and its bracket.

    Attributes:
        symbol: As the strategy spells it.
        quantity: Signed, base currency.
        cost: Entry notional of what is open, quote currency, never negative.
        margin: Capital it binds: cost / leverage.
        realised: Profit of all that was closed, before fees.
        leverage: At least 1; None stands for 1 and saves the division.
        entries: Working orders that may open exposure, in order of submission.
        exits: Working orders that only close, protective ones excepted.
        stop, target, trailer: Working protective orders.
        protect: Fractions of the bracket: stop loss, take profit, trailing stop.
    """

    __slots__ = (
        "book",
        "cost",
        "engaged",
        "entries",
        "exits",
        "holding",
        "leverage",
        "margin",
        "participant",
        "protect",
        "purse",
        "quantity",
        "realised",
        "stop",
        "symbol",
        "target",
        "trailer",
        "wallet",
    )

    def __init__(
        self,
        participant: Participant,
        symbol: str,
        *,
        book: SymbolBook,
        wallet: Wallet,
        purse: Funds,
        holding: Holding,
        leverage: Decimal,
    ) -> None:
        self.participant = participant
        self.symbol = symbol
        self.book = book
        self.wallet = wallet
        self.purse = purse
        self.holding = holding
        self.leverage = leverage if leverage != 1 else None
        self.quantity = ZERO
        self.cost = ZERO
        self.margin = ZERO
        self.realised = ZERO
        self.engaged = False
        self.entries: list[Order] = []
        self.exits: list[Order] = []
        self.stop: Order | None = None
        self.target: Order | None = None
        self.trailer: Order | None = None
        self.protect: Protection = (None, None, None)

    def set_leverage(self, leverage: Decimal) -> None:
        """Use another leverage; the margin of what is held changes with it."""
        wanted = leverage if leverage != 1 else None
        if wanted == self.leverage:
            return
        self.leverage = wanted
        change = self.margin_of(self.cost) - self.margin
        self.margin += change
        self.wallet.committed += change
        self.purse.committed += change

    def closable(self, sign: int) -> Decimal:
        """Return how much an order of this sign could close."""
        held = self.quantity
        if sign > 0:
            return -held if held < ZERO else ZERO
        return max(held, ZERO)

    def projected(self) -> Decimal:
        """Return the signed quantity once all working market orders have filled."""
        total = self.quantity
        for order in self.exits:
            # Several exits may ask for more than there is; they never turn the position.
            if order.price is None:
                left = max(ZERO, abs(total) - order.leaves)
                total = left if total > ZERO else -left
        for order in self.entries:
            if order.price is None:
                total += order.leaves if order.sign > 0 else -order.leaves
        return total

    def protectors(self) -> list[Order]:
        """Return the working protective orders: stop, trailing stop, target."""
        stop, trailer, target = self.stop, self.trailer, self.target
        if stop is None and trailer is None and target is None:
            return []
        return [order for order in (stop, trailer, target) if order is not None]

    def protect_with(self, entry: Order) -> Protection:
        """Return the fractions to protect with after a fill of `entry`, and keep them.

        What the entry leaves open stays as it was, as long as something is protected already.
        """
        own = entry.protect or (None, None, None)
        if self.protectors():
            a, b, c = self.protect
            own = (own[0] or a, own[1] or b, own[2] or c)
        self.protect = own
        return own

    def margin_of(self, notional: Decimal) -> Decimal:
        """Return the capital that exposure of this notional binds."""
        return notional if self.leverage is None else money_up(notional / self.leverage)

    def profit_at(self, price: Decimal, closing: Decimal) -> Decimal:
        """Return the profit of closing this much (at most all of it) at a price."""
        size = abs(self.quantity)
        released = self.cost if closing == size else money(self.cost * closing / size)
        proceeds = money(price * closing)
        return proceeds - released if self.quantity > ZERO else released - proceeds

    def apply(self, sign: int, quantity: Decimal, price: Decimal) -> Decimal:
        """Take an execution in and return the profit it realised, before fees.

        What exceeds the open quantity of the other side opens the new side at the same price.
        """
        held, cost = self.quantity, self.cost
        notional = money(price * quantity)
        signed = quantity if sign > 0 else -quantity
        realised = ZERO
        if not held or (held > ZERO) == (sign > 0):
            self.cost = cost + notional
        else:
            size = abs(held)
            if quantity == size:
                # By far the most frequent: as below, without working the same amounts out again.
                realised = notional - cost if held > ZERO else cost - notional
                self.cost = notional - notional
            else:
                closing = min(quantity, size)
                realised = self.profit_at(price, closing)
                if quantity < size:
                    self.cost = cost - money(cost * closing / size)
                else:
                    self.cost = notional - money(price * closing)
            self.realised += realised
        self.quantity = held + signed
        self.margin = self.cost if self.leverage is None else self.margin_of(self.cost)
        holding = self.holding
        holding.quantity += signed
        # The signed cost moves by the notional of the trade, corrected by what was realised.
        holding.cost += (notional if sign > 0 else -notional) + realised
        if holding.quantity or holding.cost:
            self.wallet.exposed[self.book.key] = holding
        else:
            self.wallet.exposed.pop(self.book.key, None)
        return realised

    def state(self) -> PositionState:
        """Return an immutable picture of the position at the last price."""
        unrealised = ZERO
        if self.quantity:
            signed_cost = self.cost if self.quantity > ZERO else -self.cost
            unrealised = self.quantity * self.book.mark_price() - signed_cost
        return PositionState(
            instance=self.participant.id,
            symbol=self.symbol,
            quantity=self.quantity,
            average_price=self.cost / abs(self.quantity) if self.quantity else None,
            cost=self.cost,
            margin=self.margin,
            realised=self.realised,
            unrealised=unrealised,
        )
