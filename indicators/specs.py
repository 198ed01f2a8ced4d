"""What a strategy asks for: an indicator type, its parameters, and what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from indicators.catalog import lookup
from indicators.errors import IndicatorError
from indicators.info import IndicatorInfo
from indicators.parameters import ParameterValue, parse_parameters

__all__ = ["IndicatorSpec", "spec"]


@dataclass(frozen=True, slots=True)
class IndicatorSpec:
    """A validated request; made by `spec`. Hashable, comparable, picklable.

    Attributes:
        type: Name in the catalogue.
        items: Every parameter with its canonical value, in TA-Lib's order.
        source: What each input reads, commas between: prices, or ``name`` / ``name.output`` of
            other indicators of the same set.
    """

    type: str
    items: tuple[tuple[str, ParameterValue], ...]
    source: str

    @property
    def params(self) -> dict[str, ParameterValue]:
        """The parameters as a (new) mapping."""
        return dict(self.items)

    @property
    def sources(self) -> tuple[str, ...]:
        """The source of each input."""
        return tuple(self.source.split(","))

    @property
    def info(self) -> IndicatorInfo:
        """The catalogue entry."""
        return lookup(self.type)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Short names of the outputs."""
        return self.info.outputs


def spec(
    name: str, params: Mapping[str, Any] | None = None, source: str | None = None
) -> IndicatorSpec:
    """Return a validated, canonical spec.

    Args:
        name: Indicator type or an alias; case and underscores do not matter.
        params: Parameters by name; case and underscores do not matter, and the names people use
            are understood (period, fastPeriod, stdDev, matype by name). Missing: the default.
        source: What it reads; None for the indicator's own default. See `IndicatorInfo.sources`.

    Raises:
        IndicatorError: Unknown name or parameter, or a value out of range.

    >>> spec("bb", {"period": 10, "stdDev": 1.5}).params
    {'timeperiod': 10, 'nbdevup': 1.5, 'nbdevdn': 1.5, 'matype': 'sma'}
    >>> spec("RSI") == spec("rsi", {"period": 14}, "close")
    True
    """
    info = lookup(name)
    try:
        items = parse_parameters(info.parameters, params or {})
        info.maker.check(dict(items))
        sources = info.sources(source)
    except IndicatorError as error:
        raise IndicatorError(f"indicator type {info.name!r}: {error}") from None
    return IndicatorSpec(info.name, items, ",".join(sources))
