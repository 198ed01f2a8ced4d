"""Exact amounts as arrays of whole numbers: an amount is units x 10^-decimals.

The event-driven backtest computes in Decimal. Whole numbers give the same digits at the speed of
arrays: int64 where every intermediate result fits, Python's own integers where it might not.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.market.columns import Floats

__all__ = [
    "DIGITS",
    "SAFE",
    "Units",
    "decimals_of",
    "fitting",
    "halves_to_even",
    "require_digits",
    "to_amount",
    "to_floats",
    "units_of",
]

Units = NDArray[Any]
"""Whole numbers: int64, or Python integers (dtype object)."""

SAFE = 1 << 62
"""Magnitude below which sums of two int64 cannot overflow."""

DIGITS = 28
"""Digits to which Decimal is exact; the event-driven backtest rounds beyond."""

_EXACT = 1 << 53
_EXACT_POWER = 22  # 10^22 is the largest power of ten that float64 holds exactly


def decimals_of(value: Decimal) -> int:
    """Return the digits after the point, without trailing zeros.

    >>> decimals_of(Decimal("1.50")), decimals_of(Decimal("2E+1"))
    (1, 0)
    """
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101 - configured amounts are finite
    return max(0, -exponent)


def units_of(value: Decimal, decimals: int) -> int:
    """Return an amount in units; `decimals` must be enough for it.

    >>> units_of(Decimal("1.5"), 3)
    1500
    """
    return int(value.scaleb(decimals))


def to_amount(units: int, decimals: int) -> Decimal:
    """Return units as an amount.

    >>> to_amount(1500, 3)
    Decimal('1.500')
    """
    return Decimal(units).scaleb(-decimals)


def to_floats(units: Units, decimals: int) -> Floats:
    """Return the float64 nearest to each amount, as `float` of a Decimal is."""
    exact = decimals <= _EXACT_POWER and units.dtype != object
    if exact and (not units.size or -_EXACT < int(units.min()) <= int(units.max()) < _EXACT):
        return np.asarray(units / 10.0**decimals, dtype=np.float64)
    # Division of Python integers is correctly rounded, whatever their size.
    one = 10**decimals
    return np.array([value / one for value in units.tolist()], dtype=np.float64)


def fitting(units: Units, *bounds: int) -> Units:
    """Return units in a dtype that holds results up to all of the bounds (magnitudes)."""
    return units.astype(object) if max(bounds) >= SAFE else units


def halves_to_even(numerator: Units, denominator: int) -> Units:
    """Return the nearest whole quotients, ties to even; numerators are at least 0."""
    quotient = numerator // denominator
    twice = 2 * (numerator - quotient * denominator)
    up = (twice > denominator) | ((twice == denominator) & (quotient % 2 == 1))
    return np.asarray(quotient + up)


def require_digits(what: str, largest: int) -> None:
    """Refuse amounts that Decimal would round.

    Raises:
        ConfigError: The largest of them has more digits than Decimal keeps.
    """
    digits = len(str(largest))
    if digits > DIGITS:
        raise ConfigError(
            f"{what}: needs {digits} digits, amounts are exact to {DIGITS}; set a coarser "
            "tick_size or lot_size, or fewer decimals in fees and slippage"
        )
