"""What a definition may say: only what makes strategies that can run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from engine.catalog.canonical import canonical
from engine.catalog.discovery import LoadedType
from engine.catalog.schemas import check_schema, problems_of
from engine.config import StrategyConfig
from engine.config.problems import refusal_of
from engine.errors import ConfigError
from engine.instance.parameters import check_parameters
from indicators import IndicatorError, IndicatorManager

__all__ = ["check_key", "check_saying", "check_texts"]

_OF_THE_STRATEGY: Final = frozenset({"id", "account", "capital", "enabled"})
"""Fields of a strategy's configuration that no definition can know."""


def check_saying(
    loaded: LoadedType, schema: Mapping[str, Any] | None, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the schema of a definition that makes strategies that can run.

    Args:
        loaded: Its strategy type.
        schema: As said; None: that of the type.
        defaults: Fields of a configuration.

    Raises:
        ConfigError: It would not; the message names the field.
    """
    schema = loaded.cls.get_parameters_schema() if schema is None else dict(schema)
    check_schema(schema)
    canonical(defaults, name="defaults")
    misplaced = sorted(_OF_THE_STRATEGY & defaults.keys())
    if misplaced:
        raise ConfigError(
            f"defaults: {', '.join(misplaced)} can only be said of a strategy; take that out"
        )
    config = _tried(loaded.metadata.type, defaults)
    problems = problems_of(schema, config.parameters)
    if problems:
        first = problems[0]
        raise ConfigError(
            f"defaults.parameters{first.json_path.removeprefix('$')}: not as the schema of the "
            f"definition wants it: {first.message}"
        )
    parameters = check_parameters(loaded.cls, config.parameters, strategy="defaults")
    if config.rules is not None:
        try:
            IndicatorManager(loaded.cls.indicator_specs(config, parameters))
        except IndicatorError as error:
            raise ConfigError(f"defaults.indicators: {error}") from error
    return schema


def check_texts(**texts: str | None) -> None:
    """Check that every database keeps these texts.

    Raises:
        ConfigError: One holds what some do not.
    """
    for name, text in texts.items():
        canonical(text, name=name)


def check_key(key: str) -> None:
    """Check that a key may name a definition.

    Raises:
        ConfigError: It may not.
    """
    try:
        StrategyConfig.model_validate({"id": key, "type": "X", "symbol": "A/B", "timeframe": "1m"})
    except ValidationError as error:
        raise ConfigError(f"key: {error.errors()[0]['msg']}, got {key[:80]!r}") from error


def _tried(strategy_type: str, defaults: Mapping[str, Any]) -> StrategyConfig:
    """Return defaults as the configuration of some strategy."""
    fields = {"id": "defaults", "symbol": "BTC/USDT", "timeframe": "1m", **defaults}
    if fields.get("type", strategy_type) != strategy_type:
        raise ConfigError(
            f"defaults.type: must be {strategy_type!r} as the definition says, or left out, got "
            f"{fields['type']!r}"
        )
    try:
        return StrategyConfig.model_validate({**fields, "type": strategy_type})
    except ValidationError as error:
        raise refusal_of(error, fields, StrategyConfig, "defaults") from error
