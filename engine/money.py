"""The one place where float64 market data becomes Decimal money, quantised to tick and lot.

Three quanta: prices are whole ticks, quantities whole lots, and amounts of money (notionals, fees,
profits) whole units of `UNIT`, 1e-8 of the currency. Sums of such amounts are exact up to 1e20.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Decimal,
    DivisionByZero,
    InvalidOperation,
)
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import force_setattr

from engine.errors import ConfigError, MoneyError

if TYPE_CHECKING:
    from engine.config.run import InstrumentConfig

__all__ = [
    "UNIT",
    "ZERO",
    "Instrument",
    "canonical_symbol",
    "find_instrument",
    "instruments_by_symbol",
    "money",
    "money_up",
    "parse_symbol",
    "plain",
    "to_decimal",
]

ZERO = Decimal(0)
UNIT = Decimal("0.00000001")

_ONE = Decimal(1)
_SYMBOL = re.compile(
    r"(?P<base>[A-Za-z0-9.]+)[/\-](?P<quote>[A-Za-z0-9.]+)(?P<suffix>-PERP)?(:(?P<settle>\w+))?"
)


def to_decimal(value: float) -> Decimal:
    """Convert through the shortest text that reads back as the same float.

    >>> to_decimal(0.1)
    Decimal('0.1')
    """
    return Decimal(repr(float(value)))


def plain(value: Decimal) -> str:
    """Return the canonical text of an amount: no exponent, no trailing zeros, no minus zero.

    Equal amounts have equal texts, whatever the number of digits they carry.

    >>> plain(Decimal("64000.500")), plain(Decimal("6E+4")), plain(Decimal("-0.00"))
    ('64000.5', '60000', '0')
    """
    if not value:
        return "0"
    text = str(value)
    if "E" in text:
        text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(value: Decimal) -> Decimal:
    """Round an amount of money to the nearest `UNIT` (ties to even).

    Raises:
        MoneyError: The amount is 1e20 or more.
    """
    try:
        return value.quantize(UNIT)
    except InvalidOperation:
        raise _too_large(value) from None


def money_up(value: Decimal) -> Decimal:
    """Round an amount of money up to a whole `UNIT`, for what must be set aside.

    Raises:
        MoneyError: The amount is 1e20 or more.
    """
    try:
        return value.quantize(UNIT, ROUND_CEILING)
    except InvalidOperation:
        raise _too_large(value) from None


def _too_large(value: Decimal) -> MoneyError:
    return MoneyError(
        f"amount {value}: must be below 1e20; "
        "check quantity and price of the order, or use a smaller balance"
    )


def parse_symbol(symbol: str) -> tuple[str, str]:
    """Return the base and the quote currency of a symbol.

    Accepts ``BASE/QUOTE`` and ``BASE-QUOTE``, each with an optional ``-PERP`` suffix, and a
    settlement currency after a colon.

    Raises:
        ConfigError: The text is none of these.

    >>> parse_symbol("BTC/USDT-PERP"), parse_symbol("eth-btc"), parse_symbol("BTC/USDT:USDT")
    (('BTC', 'USDT'), ('ETH', 'BTC'), ('BTC', 'USDT'))
    """
    match = _SYMBOL.fullmatch(symbol)
    if match is None or match["quote"].upper() == "PERP":
        raise ConfigError(
            f"symbol {symbol!r}: needs the form BASE/QUOTE or BASE/QUOTE-PERP, e.g. BTC/USDT"
        )
    return match["base"].upper(), match["quote"].upper()


def canonical_symbol(symbol: str) -> str:
    """Return one spelling for all accepted spellings of a symbol: ``BASE/QUOTE[-PERP]``.

    Raises:
        ConfigError: The text is not a symbol.

    >>> canonical_symbol("BTC-USDT-PERP"), canonical_symbol("BTC/USDT:USDT")
    ('BTC/USDT-PERP', 'BTC/USDT-PERP')
    """
    base, quote = parse_symbol(symbol)
    perpetual = ":" in symbol or symbol.upper().endswith("-PERP")
    return f"{base}/{quote}{'-PERP' if perpetual else ''}"


def _decimals(step: Decimal) -> int:
    """Return n if the step is 10**-n (n >= 0), else -1."""
    sign, digits, exponent = step.normalize().as_tuple()
    if sign or digits != (1,) or not isinstance(exponent, int) or exponent > 0:
        return -1
    return -exponent


class Instrument(msgspec.Struct, frozen=True):
    """A tradable symbol on a venue.

    Attributes:
        symbol: ``BASE/QUOTE`` with an optional ``-PERP`` suffix.
        base: Currency that is bought and sold.
        quote: Currency prices, fees and profits are in.
        tick_size: Smallest price step, quote currency.
        lot_size: Smallest quantity step, base currency.
        min_notional: Smallest price x quantity of an order, quote currency.
        tick_decimals: Derived: decimals of a power-of-ten tick, otherwise -1.
        lot_decimals: Derived, likewise for the lot.
    """

    symbol: str
    base: str
    quote: str
    tick_size: Decimal = UNIT
    lot_size: Decimal = UNIT
    min_notional: Decimal = ZERO
    tick_decimals: int = -1
    lot_decimals: int = -1

    def __post_init__(self) -> None:
        # Steps are kept in their shortest form: quantize() takes the exponent from them.
        for step, decimals in (("tick_size", "tick_decimals"), ("lot_size", "lot_decimals")):
            size = getattr(self, step)
            if not (size.is_finite() and size > 0):
                raise ConfigError(
                    f"instrument {self.symbol!r}: {step} must be above 0, is {size}; "
                    "use the step the venue documents"
                )
            force_setattr(self, step, Decimal(plain(size)))
            force_setattr(self, decimals, _decimals(size))

    def price(self, value: float | Decimal) -> Decimal:
        """Round to the nearest tick (ties to even).

        Raises:
            MoneyError: The price is not finite, or too large for its tick.

        >>> Instrument("BTC/USDT", "BTC", "USDT", tick_size=Decimal("0.01")).price(64000.015)
        Decimal('64000.02')
        """
        return self._round(value, self.tick_size, self.tick_decimals, ROUND_HALF_EVEN)

    def price_up(self, value: Decimal) -> Decimal:
        """Round up to a whole tick: what a buyer pays once slippage is added.

        Raises:
            MoneyError: The price is not finite, or too large for its tick.
        """
        return self._round(value, self.tick_size, self.tick_decimals, ROUND_CEILING)

    def price_down(self, value: Decimal) -> Decimal:
        """Round down to a whole tick: what a seller gets once slippage is taken off.

        Raises:
            MoneyError: The price is not finite, or too large for its tick.
        """
        return self._round(value, self.tick_size, self.tick_decimals, ROUND_FLOOR)

    def quantity(self, value: float | Decimal) -> Decimal:
        """Round down to a whole number of lots, so that no order grows by rounding.

        Raises:
            MoneyError: The quantity is not finite, or too large for its lot.

        >>> Instrument("BTC/USDT", "BTC", "USDT", lot_size=Decimal("0.001")).quantity(1.2349)
        Decimal('1.234')
        """
        return self._round(value, self.lot_size, self.lot_decimals, ROUND_DOWN)

    def _round(
        self, value: float | Decimal, step: Decimal, decimals: int, rounding: str
    ) -> Decimal:
        if isinstance(value, Decimal):
            exact = value
        else:
            text = repr(float(value))
            exact = Decimal(text)
            # Most market data already lies on a tick: its text has no more decimals than one.
            point = text.find(".")
            if point > 0 and len(text) - point - 1 <= decimals and "e" not in text:
                return exact
        if exact.is_nan():
            raise self._unusable(value, step)
        try:
            if decimals >= 0:
                return exact.quantize(step, rounding)
            return (exact / step).quantize(_ONE, rounding) * step
        except (InvalidOperation, DivisionByZero):
            raise self._unusable(value, step) from None

    def _unusable(self, value: float | Decimal, step: Decimal) -> MoneyError:
        return MoneyError(
            f"instrument {self.symbol!r}: {value} cannot be expressed in steps of {plain(step)}; "
            "it must be finite and hold at most 28 digits; set a coarser tick_size or lot_size"
        )


def instruments_by_symbol(configs: Iterable[InstrumentConfig]) -> dict[str, Instrument]:
    """Return the configured instruments by their canonical symbol.

    Raises:
        ConfigError: A symbol does not parse, or is configured twice.
    """
    found: dict[str, Instrument] = {}
    for config in configs:
        symbol = canonical_symbol(config.symbol)
        if symbol in found:
            raise ConfigError(f"instruments: {config.symbol!r} is configured twice; keep one")
        base, quote = parse_symbol(config.symbol)
        found[symbol] = Instrument(
            symbol, base, quote, config.tick_size, config.lot_size, config.min_notional
        )
    return found


def find_instrument(symbol: str, configured: Mapping[str, Instrument]) -> Instrument:
    """Return the configured instrument of a symbol, or one with the paper venue's fine steps.

    Raises:
        ConfigError: The text is not a symbol.
    """
    name = canonical_symbol(symbol)
    known = configured.get(name)
    if known is not None:
        return known
    base, quote = parse_symbol(symbol)
    return Instrument(name, base, quote)
