"""Net orders: what opposing wishes of one account cross inside it, and who gets which part.

With buys B and sells S of one account and symbol in one slice, the gateway sees one market order
for |B - S|. Executed at price p:

- every child fills at p; the smaller side entirely against the larger side's part
- fee = |net quantity filled| x p x taker rate, shared among all children that filled in
  proportion to their quantities, by largest remainder in units of money: the shares add up
- slippage is in p, once for the net quantity
- when only a part f of the net quantity N fills, both sides fill in the proportion f / N, each
  side shared out by largest remainder in lots
- B = S crosses at the open itself, without slippage or fee
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from engine.money import UNIT, ZERO, money
from engine.trading.executions import Executions
from engine.trading.gateway import Moment
from engine.trading.orders import MARKET, NetOrder, Order
from engine.trading.positions import Position

__all__ = ["NetMatcher", "Prices", "apportion"]


class Prices(NamedTuple):
    """Prices of one moment: without slippage, for a buyer, for a seller."""

    flat: Decimal
    up: Decimal
    down: Decimal


def apportion(total: Decimal, weights: Sequence[Decimal], step: Decimal) -> list[Decimal]:
    """Share a total out in proportion to weights, in whole steps that add up exactly.

    Args:
        total: A multiple of `step`, at least 0.
        weights: At least 0, not all 0.
        step: Smallest part, above 0.

    Returns:
        One part per weight; ties of the remainders go to the earlier one.

    >>> apportion(Decimal(10), [Decimal(1), Decimal(1), Decimal(1)], Decimal(1))
    [Decimal('4'), Decimal('3'), Decimal('3')]
    """
    whole = sum(weights, ZERO)
    if total == whole:
        return list(weights)
    exact = [total * weight / whole for weight in weights]
    parts = [(share / step).to_integral_value(ROUND_FLOOR) * step for share in exact]
    missing = int((total - sum(parts, ZERO)) / step)
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[:missing]:
        parts[i] += step
    return parts


class NetMatcher:
    """Executes net orders and shares the result out to their children."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions

    def match(
        self,
        net: NetOrder,
        prices: Prices,
        cap: Decimal | None,
        moment: Moment,
    ) -> None:
        """Fill as much of a net order as the cap allows.

        Args:
            net: The order; children that the capital does not carry are cut first.
            prices: Prices to execute at.
            cap: Largest net quantity, None: no limit.
            moment: Time of the fill, and from when stops and targets may fill.
        """
        closed: dict[Position, Decimal] = {}
        for child in tuple(net.children):
            worst = prices.up if child.sign > 0 else prices.down
            taken = closed.get(child.position, ZERO)
            closing = self._executions.secure(child, worst, taken)
            if closing:
                closed[child.position] = taken + closing
        buys = [child for child in net.children if child.sign > 0]
        sells = [child for child in net.children if child.sign < 0]
        bought = sum((child.leaves for child in buys), ZERO)
        sold = sum((child.leaves for child in sells), ZERO)
        wanted = abs(bought - sold)
        filled = wanted if cap is None or cap > wanted else cap
        if not (bought or sold) or (wanted and not filled):
            return
        major, minor = (buys, sells) if bought > sold else (sells, buys)
        crossed = min(bought, sold)
        if filled < wanted:
            crossed = net.book.instrument.quantity(crossed * filled / wanted)
        at = prices.flat
        if wanted:
            at = prices.up if bought > sold else prices.down
        lot = net.book.instrument.lot_size
        parts = [*_share(major, crossed + filled, lot), *_share(minor, crossed, lot)]
        fee = money(filled * at * self._executions.fee_rate(MARKET))
        signed = filled if bought > sold else -filled
        self._executions.cross(net, signed, at, crossed=crossed, fee=fee, time=moment.time)
        fees = apportion(fee, [quantity for _, quantity in parts], UNIT)
        for (child, quantity), share in zip(parts, fees, strict=True):
            if quantity:
                self._executions.execute(child, quantity, at, moment, share)


def _share(children: Sequence[Order], total: Decimal, lot: Decimal) -> list[tuple[Order, Decimal]]:
    if not total:
        return []
    parts = apportion(total, [child.leaves for child in children], lot)
    return list(zip(children, parts, strict=True))
