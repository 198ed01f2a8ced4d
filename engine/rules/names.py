"""What the names in a rule mean: candle fields, indicators, predicates, parameters."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import indicators
from engine.errors import RuleError
from engine.rules.diagnostics import nearest
from engine.rules.predicates import FAMILIES, family_of
from indicators import IndicatorError, IndicatorManager, IndicatorSpec

__all__ = ["DERIVED", "FIELDS", "Declared", "Scope", "read_parameter", "read_scope"]

FIELDS = ("open", "high", "low", "close", "volume")
"""Fields of a candle as it comes."""

DERIVED = {
    "hl2": "(high + low) / 2",
    "hlc3": "(high + low + close) / 3",
    "ohlc4": "(open + high + low + close) / 4",
}
"""Average prices of a candle, each defined in the rule language itself."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_KEYWORDS = ("and", "or", "not", "true", "false")


@dataclass(frozen=True)
class Declared:
    """An indicator of the strategy.

    Attributes:
        spec: What is computed.
        alias_of: The first name declared with an equal `spec` (itself if there is none), so
            that equal indicators under two names share their history.
    """

    spec: IndicatorSpec
    alias_of: str

    def output(self, name: str | None) -> str | None:
        """Return the output's proper name (None: the main one), None if there is no such output."""
        try:
            return self.spec.outputs[self.spec.info.output_index(name)]
        except IndicatorError:
            return None


@dataclass(frozen=True)
class Scope:
    """All names a strategy's rules may use.

    Attributes:
        indicators: Declared indicators by their own names.
        predicates: Named conditions and their definitions in the rule language.
        parameters: Numbers and booleans of the strategy.
        warmup: Candles until all indicators have their first value; 0 without indicators.
    """

    indicators: Mapping[str, Declared]
    predicates: Mapping[str, str]
    parameters: Mapping[str, float | bool]
    warmup: int

    def known(self) -> list[str]:
        """Return every bare name that means something, for suggestions."""
        return [*FIELDS, *DERIVED, *self.indicators, *self.predicates, *self.parameters]

    def is_indicator(self, name: str) -> bool:
        """Return whether `name` is one of the strategy's indicators or one in the catalogue."""
        return name in self.indicators or _canonical(name) is not None

    def unknown(self, name: str) -> str:
        """Say what to do about a name that means nothing."""
        kind = _undeclared_type(name)
        if kind is not None and kind not in self.indicators:
            known = _canonical(kind)
            same = [own for own, entry in self.indicators.items() if entry.spec.type == known]
            declared = f"; declared with that type: {', '.join(same)}" if same else ""
            return (
                f"unknown name {name!r}: no indicator {kind!r} is declared; "
                f'add "{kind}": {{}} to `indicators`{declared}'
            )
        there_are = [*FIELDS, *DERIVED, *self.indicators, *self.parameters]
        hint = nearest(name, self.known()) or f"; there are {', '.join(there_are)}"
        return f"unknown name {name!r}{hint}"


def read_scope(
    strategy_id: str,
    entries: Mapping[str, Mapping[str, Any]],
    parameters: Mapping[str, float | bool],
) -> Scope:
    """Read what a strategy declares.

    Args:
        strategy_id: For error messages.
        entries: ``indicators`` of the strategy: own name -> ``type`` (default: the name itself),
            ``source``, thresholds of predicates, and the parameters of the indicator.
        parameters: ``parameters`` of the strategy.

    Raises:
        RuleError: An indicator or a parameter is not usable, or two share a name.
    """
    declared: dict[str, Declared] = {}
    predicates: dict[str, str] = {}
    first: dict[IndicatorSpec, str] = {}
    for name, entry in entries.items():
        where = f"strategy {strategy_id!r}: indicators.{name}"
        _check_name(where, name)
        spec, thresholds = _read_entry(where, name, entry)
        declared[name] = Declared(spec, first.setdefault(spec, name))
        family = family_of(spec.type)
        if family is not None:
            levels = family.read(where, thresholds)
            # An indicator of several prices (a channel) is still broken by the close.
            source = spec.source if len(spec.sources) == 1 else "close"
            predicates.update(family.named(name, source, levels))
    warmup = _warmup(strategy_id, declared)
    values = _read_parameters(strategy_id, parameters)
    _refuse_shared_names(strategy_id, declared, predicates, values)
    return Scope(declared, predicates, values, warmup)


def _read_entry(
    where: str, name: str, entry: Mapping[str, Any]
) -> tuple[IndicatorSpec, dict[str, Any]]:
    """Split an entry into what is computed and the thresholds of its predicates."""
    rest = dict(entry)
    kind = rest.pop("type", name)
    source = rest.pop("source", None)
    if not isinstance(kind, str) or not isinstance(source, str | None):
        raise RuleError(f"{where}: `type` and `source` must be names, got {kind!r}, {source!r}")
    known = _canonical(kind)
    if known is None and "type" not in entry:
        raise RuleError(
            f"{where}: {name!r} is not a known indicator"
            f"{nearest(name, indicators.catalog())}; if it "
            'is your own name for one, say which by `type`, e.g. "type": "ema"'
        )
    family = family_of(known or "")
    names = family.thresholds if family is not None else {}
    thresholds = {key.lower(): rest.pop(key) for key in list(rest) if key.lower() in names}
    try:
        return indicators.spec(kind, rest, source), thresholds
    except IndicatorError as error:
        raise RuleError(f"{where}: {error}") from error


def _canonical(kind: str) -> str | None:
    """Return the catalogue's name of an indicator type however it is written, None if unknown."""
    try:
        return indicators.spec(kind).type
    except IndicatorError:
        return None


def _check_name(where: str, name: str) -> None:
    if not _NAME.match(name):
        raise RuleError(
            f"{where}: rules cannot refer to this name; use letters, digits and _, "
            "not starting with a digit"
        )
    if name.lower() in _KEYWORDS or name in FIELDS or name in DERIVED:
        raise RuleError(f"{where}: {name!r} already means something in rules; choose another name")


def _warmup(strategy_id: str, declared: Mapping[str, Declared]) -> int:
    """Return the warm-up of all indicators; the manager checks what they read from each other."""
    try:
        return IndicatorManager({name: entry.spec for name, entry in declared.items()}).warmup
    except IndicatorError as error:
        raise RuleError(f"strategy {strategy_id!r}: indicators: {error}") from error


def _read_parameters(
    strategy_id: str, parameters: Mapping[str, float | bool]
) -> dict[str, float | bool]:
    values: dict[str, float | bool] = {}
    for name, value in parameters.items():
        where = f"strategy {strategy_id!r}: parameters.{name}"
        _check_name(where, name)
        values[name] = read_parameter(where, value)
    return values


def read_parameter(where: str, value: object) -> float | bool:
    """Return a parameter's value as rules compute with it: a boolean or a finite float.

    Raises:
        RuleError: It is neither.
    """
    if isinstance(value, bool):
        return value
    if not isinstance(value, int | float):
        raise RuleError(f"{where}: must be a number, true or false, got {reprlib.repr(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RuleError(f"{where}: must be a finite number, got {reprlib.repr(value)}")
    return number


def _refuse_shared_names(
    strategy_id: str,
    declared: Iterable[str],
    predicates: Mapping[str, str],
    parameters: Iterable[str],
) -> None:
    owner: dict[str, str] = {}
    groups = (("indicators", declared), ("predicates", predicates), ("parameters", parameters))
    for group, names in groups:
        for name in names:
            if name in owner:
                raise RuleError(
                    f"strategy {strategy_id!r}: {name!r} is in both {owner[name]} and {group}; "
                    "rules need one meaning per name, rename one"
                )
            owner[name] = group


def _undeclared_type(name: str) -> str | None:
    """Return the indicator a name stands for: the name itself, or what precedes a predicate."""
    if _canonical(name) is not None:
        return name.lower()
    lower = name.lower()
    for family in FAMILIES:
        for predicate in family.predicates:
            kind = lower.removesuffix(predicate.suffix)
            if kind != lower and _canonical(kind) in family.types:
                return kind
    return None
