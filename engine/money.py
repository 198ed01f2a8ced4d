"""The one place where float64 market data becomes Decimal money, quantised to tick and lot."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

import msgspec

__all__ = ["ZERO", "Instrument", "to_decimal"]

ZERO = Decimal(0)


def to_decimal(value: float) -> Decimal:
    """Convert through the shortest text that reads back as the same float.

    >>> to_decimal(0.1)
    Decimal('0.1')
    """
    return Decimal(repr(float(value)))


class Instrument(msgspec.Struct, frozen=True):
    """A tradable symbol on a venue.

    Attributes:
        symbol: ``BASE/QUOTE`` with an optional ``-PERP`` suffix.
        base: Currency that is bought and sold.
        quote: Currency prices, fees and profits are in.
        tick_size: Smallest price step, quote currency.
        lot_size: Smallest quantity step, base currency.
        min_notional: Smallest price x quantity of an order, quote currency.
    """

    symbol: str
    base: str
    quote: str
    tick_size: Decimal = Decimal("0.00000001")
    lot_size: Decimal = Decimal("0.00000001")
    min_notional: Decimal = ZERO

    def price(self, value: float | Decimal) -> Decimal:
        """Round to the nearest tick (ties to even)."""
        exact = value if isinstance(value, Decimal) else to_decimal(value)
        return (exact / self.tick_size).quantize(
            Decimal(1), rounding=ROUND_HALF_EVEN
        ) * self.tick_size

    def quantity(self, value: float | Decimal) -> Decimal:
        """Round down to a whole number of lots, so that no order grows by rounding."""
        exact = value if isinstance(value, Decimal) else to_decimal(value)
        return (exact / self.lot_size).quantize(Decimal(1), rounding=ROUND_DOWN) * self.lot_size
