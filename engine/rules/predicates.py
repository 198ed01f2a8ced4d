"""Named conditions that every declared indicator brings along, e.g. ``macd_crossover_bullish``.

Each is defined in the rule language itself, so it means exactly what its definition says, in
both evaluators. In a definition ``{name}`` stands for the indicator's own name, ``{source}`` for
what it reads, any other word in braces for a threshold. Thresholds come from the indicator's
entry (``{"period": 14, "overbought": 75}``) or keep the usual defaults. `docs/rules.md` lists
them all for people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import RuleError

__all__ = ["FAMILIES", "Family", "Predicate", "family_of"]


@dataclass(frozen=True)
class Predicate:
    """A named condition: what follows the indicator's name, and its definition."""

    suffix: str
    definition: str


@dataclass(frozen=True)
class Family:
    """Indicators that bring the same predicates.

    Attributes:
        types: Catalogue names.
        predicates: What they bring.
        thresholds: Names an indicator's entry may set, with their defaults.
    """

    types: tuple[str, ...]
    predicates: tuple[Predicate, ...]
    thresholds: Mapping[str, float]

    def read(self, where: str, entry: Mapping[str, Any]) -> dict[str, float]:
        """Return the thresholds of an indicator's entry, defaults filled in.

        Raises:
            RuleError: A threshold is not a finite number, or they contradict each other.
        """
        values = dict(self.thresholds)
        for name, value in entry.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise RuleError(f"{where}.{name}: must be a number, got {value!r}")
            if not math.isfinite(value):
                raise RuleError(f"{where}.{name}: must be finite, got {value!r}")
            values[name] = float(value)
        if "oversold" in values and values["oversold"] >= values["overbought"]:
            raise RuleError(
                f"{where}: `oversold` must be below `overbought`, got "
                f"{values['oversold']:g} and {values['overbought']:g}"
            )
        return values

    def named(self, name: str, source: str, thresholds: Mapping[str, float]) -> dict[str, str]:
        """Return the definitions of one indicator's predicates by their full names."""
        texts = {key: _literal(value) for key, value in thresholds.items()}
        return {
            name + predicate.suffix: predicate.definition.format(name=name, source=source, **texts)
            for predicate in self.predicates
        }


def _literal(value: float) -> str:
    """Write a number as the rule language reads it: whole numbers without a point."""
    return str(int(value)) if float(value).is_integer() else repr(value)


def _oscillator(types: tuple[str, ...], line: str, overbought: float, oversold: float) -> Family:
    """Return the family of a bounded indicator whose extremes have names."""
    return Family(
        types,
        (
            Predicate("_overbought", f"{line} > {{overbought}}"),
            Predicate("_oversold", f"{line} < {{oversold}}"),
            Predicate("_leaves_overbought", f"crosses_below({line}, {{overbought}})"),
            Predicate("_leaves_oversold", f"crosses_above({line}, {{oversold}})"),
        ),
        {"overbought": overbought, "oversold": oversold},
    )


def _crossing(a: str, b: str) -> tuple[Predicate, ...]:
    """Return the two directions of a crossing of `a` over `b`."""
    return (
        Predicate("_crossover_bullish", f"crosses_above({a}, {b})"),
        Predicate("_crossover_bearish", f"crosses_below({a}, {b})"),
    )


def _with_crossing(family: Family, a: str, b: str) -> Family:
    return Family(family.types, family.predicates + _crossing(a, b), family.thresholds)


def _trend(types: tuple[str, ...], a: str, b: str) -> Family:
    """Return the family of an indicator that is bullish while `a` is above `b`."""
    sides = (Predicate("_bullish", f"{a} > {b}"), Predicate("_bearish", f"{a} < {b}"))
    return Family(types, _crossing(a, b) + sides, {})


_WIDTH = "(({name}.upper - {name}.lower) / {name}.middle)"

FAMILIES: tuple[Family, ...] = (
    _trend(("macd", "macdext", "macdfix"), "{name}.hist", "0"),
    _oscillator(("rsi", "ultosc"), "{name}", 70, 30),
    _oscillator(("mfi",), "{name}", 80, 20),
    _oscillator(("cci",), "{name}", 100, -100),
    _oscillator(("willr",), "{name}", -20, -80),
    _oscillator(("cmo",), "{name}", 50, -50),
    _with_crossing(
        _oscillator(("stoch", "stochf", "stochrsi"), "{name}.k", 80, 20), "{name}.k", "{name}.d"
    ),
    Family(
        ("bbands", "keltner"),
        (
            Predicate("_breakout_upper", "{source} > {name}.upper"),
            Predicate("_breakout_lower", "{source} < {name}.lower"),
            # Bollinger: the squeeze is a band width at its low of the last 125 bars.
            Predicate("_squeeze", f"{_WIDTH} <= lowest({_WIDTH}, {{squeeze}})"),
        ),
        {"squeeze": 125},
    ),
    Family(
        ("donchian",),
        (
            # The channel holds this candle's own high and low: only the previous one can break.
            Predicate("_breakout_upper", "close > {name}.upper[1]"),
            Predicate("_breakout_lower", "close < {name}.lower[1]"),
        ),
        {},
    ),
    Family(
        ("adx",),
        (
            Predicate("_trending", "{name} > {trend}"),
            Predicate("_ranging", "{name} < {range}"),
        ),
        {"trend": 25, "range": 20},
    ),
    Family(("aroon",), _crossing("{name}.up", "{name}.down"), {}),
    _trend(("supertrend",), "{name}.trend", "0"),
    _trend(("sar",), "close", "{name}"),
    Family(
        ("ichimoku",),
        (
            *_crossing("{name}.tenkan", "{name}.kijun"),
            Predicate("_above_cloud", "close > max({name}.span_a, {name}.span_b)"),
            Predicate("_below_cloud", "close < min({name}.span_a, {name}.span_b)"),
        ),
        {},
    ),
)
"""Every predicate there is."""

_BY_TYPE = {kind: family for family in FAMILIES for kind in family.types}


def family_of(kind: str) -> Family | None:
    """Return the family of an indicator type (catalogue name), None if it brings nothing."""
    return _BY_TYPE.get(kind)
