"""A position mirrored from fills: exact in Decimal, with floats cached for the hot path."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from engine.money import ZERO, Instrument
from engine.types import Fill, Side

__all__ = ["Position", "RoundTrip", "added"]

# Bound once: reading a member off its enum class costs more than a function call.
_BUY = Side.BUY
_SELL = Side.SELL


def added(values: Iterable[float]) -> float:
    """Return the sum, added up one after the other.

    The built-in `sum` compensates rounding from Python 3.12 on, so its last bit, and with it a
    decision, would depend on the interpreter.
    """
    total = 0.0
    for value in values:
        total += value
    return total


class RoundTrip(msgspec.Struct, frozen=True):
    """A position from its entry until it was flat or turned round.

    Attributes:
        symbol: Instrument.
        side: BUY for a long, SELL for a short position.
        quantity: Largest absolute size, base currency.
        entry_notional: Sum of price x quantity of everything that opened it, quote currency.
        pnl: Profit net of all its fees, quote currency.
        entry_time: Time of the first fill, ms UTC.
        exit_time: Time of the last fill, ms UTC.
    """

    symbol: str
    side: Side
    quantity: Decimal
    entry_notional: Decimal
    pnl: Decimal
    entry_time: int
    exit_time: int


class Position:
    """Position of one instance in one symbol, average-cost method. Read-only for strategies.

    Attributes:
        symbol: Symbol as the strategy spells it.
        instrument: Its trading rules.
        quantity: Signed, base currency; negative is short.
        average_price: Quantity-weighted price of what is open; 0.0 while flat.
        is_flat, is_long, is_short: Its side.
        last_price: Close of the newest candle of the symbol; 0.0 before the first.
        entry_time: Time of the fill that opened it, ms UTC; 0 while flat.
        candles_held: Candles of the main stream closed since it was opened.
        exact_quantity, exact_average_price: The same as Decimal.
        realised: Profit of everything closed so far before fees, quote currency.
        fees: All fees so far, quote currency.
    """

    __slots__ = (
        "_opened_fees",
        "_opened_notional",
        "_opened_realised",
        "_peak_quantity",
        "average_price",
        "candles_held",
        "entry_time",
        "exact_average_price",
        "exact_quantity",
        "fees",
        "instrument",
        "is_flat",
        "is_long",
        "is_short",
        "last_price",
        "quantity",
        "realised",
        "symbol",
    )

    def __init__(self, symbol: str, instrument: Instrument) -> None:
        self.symbol = symbol
        self.instrument = instrument
        self.exact_quantity = ZERO
        self.exact_average_price = ZERO
        self.realised = ZERO
        self.fees = ZERO
        self.last_price = 0.0
        self.entry_time = 0
        self.candles_held = 0
        self._opened_realised = ZERO
        self._opened_fees = ZERO
        self._opened_notional = ZERO
        self._peak_quantity = ZERO
        self._cache()

    def _cache(self) -> None:
        quantity = price = 0.0
        if self.exact_quantity:  # `float` of a Decimal goes by way of its text
            quantity = float(self.exact_quantity)
            price = float(self.exact_average_price)
        self.quantity = quantity
        self.average_price = price
        self.is_flat = quantity == 0.0
        self.is_long = quantity > 0.0
        self.is_short = quantity < 0.0

    @property
    def unrealised(self) -> float:
        """Return the open profit at the last close before fees, quote currency."""
        return self.quantity * (self.last_price - self.average_price)

    def apply(self, fill: Fill) -> RoundTrip | None:
        """Take an own fill.

        A fill beyond flat closes the position and opens the opposite one; its fee is shared
        between the two by quantity.

        Returns:
            The round trip the fill ended, if any.
        """
        signed = fill.quantity if fill.side is _BUY else -fill.quantity
        before = self.exact_quantity
        ended = None
        if not before or (before > 0) == (signed > 0):
            self._open(signed, fill.price, fill.fee, fill.time)
        elif fill.quantity <= abs(before):
            ended = self._close(signed, fill.price, fill.fee, fill.time)
        else:
            closing_fee = fill.fee * (abs(before) / fill.quantity)
            ended = self._close(-before, fill.price, closing_fee, fill.time)
            self._open(signed + before, fill.price, fill.fee - closing_fee, fill.time)
        self._cache()
        return ended

    def _open(self, signed: Decimal, price: Decimal, fee: Decimal, time: int) -> None:
        before = self.exact_quantity
        self.fees += fee
        if not before:
            size = abs(signed)
            self.entry_time = time
            self.candles_held = 0
            self.exact_quantity = signed
            self.exact_average_price = price
            self._opened_fees = fee
            self._opened_notional = size * price
            self._opened_realised = ZERO
            self._peak_quantity = size
            return
        after = before + signed
        self.exact_average_price = (before * self.exact_average_price + signed * price) / after
        self.exact_quantity = after
        self._opened_fees += fee
        self._opened_notional += abs(signed) * price
        self._peak_quantity = max(self._peak_quantity, abs(after))

    def _close(self, signed: Decimal, price: Decimal, fee: Decimal, time: int) -> RoundTrip | None:
        gain = -signed * (price - self.exact_average_price)
        side = _BUY if self.exact_quantity > 0 else _SELL
        self.realised += gain
        self._opened_realised += gain
        self.fees += fee
        self._opened_fees += fee
        self.exact_quantity += signed
        if self.exact_quantity:
            return None
        ended = RoundTrip(
            symbol=self.symbol,
            side=side,
            quantity=self._peak_quantity,
            entry_notional=self._opened_notional,
            pnl=self._opened_realised - self._opened_fees,
            entry_time=self.entry_time,
            exit_time=time,
        )
        self.exact_quantity = self.exact_average_price = ZERO
        self.entry_time = self.candles_held = 0
        return ended

    def state(self) -> list[Any]:
        """Return everything a restore needs, JSON-able."""
        return [
            *(
                str(value)
                for value in (
                    self.exact_quantity,
                    self.exact_average_price,
                    self.realised,
                    self.fees,
                    self._opened_realised,
                    self._opened_fees,
                    self._opened_notional,
                    self._peak_quantity,
                )
            ),
            self.last_price,
            self.entry_time,
            self.candles_held,
        ]

    def load(self, state: list[Any]) -> None:
        """Take back what `state` returned."""
        (
            self.exact_quantity,
            self.exact_average_price,
            self.realised,
            self.fees,
            self._opened_realised,
            self._opened_fees,
            self._opened_notional,
            self._peak_quantity,
        ) = (Decimal(text) for text in state[:8])
        self.last_price, self.entry_time, self.candles_held = state[8:]
        self._cache()
