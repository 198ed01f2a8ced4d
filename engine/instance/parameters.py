"""Checks a strategy's parameters against the JSON Schema (Draft 7) of its type."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft7Validator

from engine.catalog.plugin import StrategyPlugin
from engine.config import StrategyConfig
from engine.errors import ConfigError
from indicators import IndicatorError

__all__ = ["UPDATABLE", "check_parameters", "check_update"]

UPDATABLE = "x-updatable"
"""Keyword of a property that may change while an instance is live."""


def check_parameters(
    plugin: type[StrategyPlugin], parameters: Mapping[str, Any], *, strategy: str
) -> dict[str, Any]:
    """Return the parameters with defaults filled in, in the schema's order.

    Args:
        plugin: The strategy type.
        parameters: As configured.
        strategy: Id for messages.

    Raises:
        ConfigError: One line per field that is not as the schema wants it.
    """
    schema = plugin.get_parameters_schema()
    properties: dict[str, Any] = schema.get("properties", {})
    filled = {name: rule["default"] for name, rule in properties.items() if "default" in rule}
    filled.update({name: _number(properties.get(name), parameters[name]) for name in parameters})
    problems = _unknown(schema, filled)
    validator = Draft7Validator(schema)
    for error in sorted(validator.iter_errors(filled), key=lambda error: str(error.json_path)):
        if problems and error.validator == "additionalProperties" and not error.path:
            continue  # said above, with the nearest name
        place = error.json_path.removeprefix("$").removeprefix(".")
        problems.append(f"parameters{'.' if place else ''}{place}: {error.message}")
    if problems:
        raise ConfigError(
            "\n".join(
                f"strategy {strategy!r} ({plugin.metadata.type}): {problem}" for problem in problems
            )
        )
    ordered = [name for name in properties if name in filled]
    return {name: filled[name] for name in dict.fromkeys([*ordered, *filled])}


def _unknown(schema: Mapping[str, Any], filled: Mapping[str, Any]) -> list[str]:
    """Refuse unknown names even where the schema forgot to: a typo must not be ignored."""
    if schema.get("additionalProperties", False) is not False or "patternProperties" in schema:
        return []
    known = list(schema.get("properties", {}))
    problems = []
    for name in filled:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
        problems.append(f"parameters.{name}: unknown parameter ({hint})")
    return problems


def _number(rule: Any, value: Any) -> Any:
    """Turn 14.0 into 14 where the schema wants an integer: JSON Schema counts it as one."""
    wants_integer = isinstance(rule, dict) and rule.get("type") == "integer"
    return (
        int(value) if wants_integer and isinstance(value, float) and value.is_integer() else value
    )


def check_update(
    plugin: type[StrategyPlugin],
    config: StrategyConfig,
    present: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> dict[str, Any]:
    """Return all parameters after a change to a live instance.

    Args:
        plugin: The strategy type.
        config: The instance's configuration; its own parameters are not looked at.
        present: The instance's parameters, defaults filled in.
        changes: Those that are to be different.

    Raises:
        ConfigError: A changed parameter is not marked updatable, the result is not valid, or an
            indicator would change.
    """
    schema = plugin.get_parameters_schema()
    properties: dict[str, Any] = schema.get("properties", {})
    extra = schema.get("additionalProperties")
    updatable = [name for name, rule in properties.items() if rule.get(UPDATABLE) is True]
    if isinstance(extra, dict) and extra.get(UPDATABLE) is True:
        updatable += [name for name in present if name not in properties]
    merged = check_parameters(plugin, {**present, **changes}, strategy=config.id)
    fixed = [
        name for name in changes if name not in updatable and merged[name] != present.get(name)
    ]
    if fixed:
        raise ConfigError(
            f"strategy {config.id!r} ({plugin.metadata.type}): {', '.join(fixed)} cannot change "
            f"while it is live; updatable: {', '.join(updatable) or 'none'}. "
            "Stop it and start it with the new value instead"
        )
    try:
        specs = plugin.indicator_specs(config, merged)
    except IndicatorError as error:
        raise ConfigError(f"strategy {config.id!r}: indicators: {error}") from error
    if specs != plugin.indicator_specs(config, present):
        raise ConfigError(
            f"strategy {config.id!r} ({plugin.metadata.type}): {', '.join(changes)} would change "
            "an indicator, which needs a new warm-up; stop it and start it with the new value"
        )
    return merged
