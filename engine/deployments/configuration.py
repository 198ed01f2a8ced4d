"""From a definition's defaults and what a user adds to a configuration that is checked."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from engine.catalog.schemas import problems_of
from engine.config import StrategyConfig
from engine.config.problems import refusal_of
from engine.errors import ConfigError
from engine.money import parse_symbol

__all__ = ["balance_of", "check_schema", "merged", "validated", "written"]

_MERGED: Final = frozenset({"parameters", "indicators", "risk", "sizing"})
"""Fields of which a user may give a part; any other replaces the default."""

_SPELLED: Final = frozenset({"risk", "sizing"})
"""Fields whose own fields have two spellings, as a configuration's have."""

_SIBLINGS: Final = {
    "symbol": "symbols",
    "symbols": "symbol",
    "timeframe": "timeframes",
    "timeframes": "timeframe",
}
"""Whoever gives one of two means both."""


def merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration's fields: those given, over the defaults.

    >>> merged({"symbols": ["A/B"], "risk": {"stop_loss": 1}}, {"symbol": "C/D", "risk": {"x": 2}})
    {'risk': {'stopLoss': 1, 'x': 2}, 'symbol': 'C/D'}
    """
    own, result = _spelled(given), _spelled(defaults)
    for name, value in own.items():
        result.pop(_SIBLINGS.get(name, ""), None)
        before = result.get(name)
        if name in _MERGED and isinstance(value, Mapping) and isinstance(before, Mapping):
            result[name] = {**before, **value}
        else:
            result[name] = value
    return result


def _spelled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same in one spelling."""
    result = {to_camel(name): value for name, value in fields.items()}
    for name in _SPELLED & result.keys():
        if isinstance(result[name], Mapping):
            result[name] = {to_camel(key): value for key, value in result[name].items()}
    return result


def validated(fields: Mapping[str, Any]) -> StrategyConfig:
    """Return the configuration.

    Raises:
        ConfigError: A field is not usable; one line for each.
    """
    try:
        return StrategyConfig.model_validate(fields)
    except ValidationError as error:
        raise refusal_of(error, fields, StrategyConfig, "config") from error


def written(config: StrategyConfig) -> dict[str, Any]:
    """Return a configuration as it is stored: what was said, no defaults of the program."""
    fields: dict[str, Any] = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return fields


def check_schema(schema: Mapping[str, Any], config: StrategyConfig) -> None:
    """Check the parameters against a definition's schema; their type's own comes on top.

    Raises:
        ConfigError: A parameter is not as it wants it; one line for each.
    """
    problems = problems_of(schema, config.parameters)
    if problems:
        raise ConfigError(
            "\n".join(
                f"config.parameters{each.json_path.removeprefix('$')}: {each.message}"
                for each in problems
            )
        )


def balance_of(config: StrategyConfig, balances: Mapping[str, str]) -> Decimal:
    """Return what a strategy may use: its own capital, else the balance its symbols are paid in.

    Raises:
        ConfigError: The account holds none of that currency.
    """
    if config.capital is not None:
        return config.capital
    _, quote = parse_symbol(config.symbol)
    if quote not in balances:
        raise ConfigError(
            f"account: {config.symbol} is paid in {quote}, but the account holds only "
            f"{', '.join(balances)}; use another account"
        )
    return Decimal(balances[quote])
