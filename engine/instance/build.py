"""The one way an instance is made, the same in a backtest, an actor and a test."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.catalog import LoadedType
from engine.config import StrategyConfig
from engine.errors import ConfigError
from engine.instance.instance import Instance
from engine.instance.parameters import check_parameters
from engine.money import Instrument, find_instrument
from indicators import IndicatorError, IndicatorManager

__all__ = ["build", "indicators_of"]


def build(
    config: StrategyConfig,
    loaded: LoadedType,
    *,
    capital: Decimal,
    instruments: Mapping[str, Instrument] | None = None,
) -> Instance:
    """Make an instance of a strategy. Does no I/O.

    Args:
        config: The strategy.
        loaded: Its type, from `engine.catalog`.
        capital: What it may use, quote currency; see `RunConfig.capital_of`.
        instruments: Configured trading rules by canonical symbol; symbols that are not in it get
            the paper venue's fine steps, as in the order manager.

    Raises:
        ConfigError: Parameters, indicators or symbols are not usable, or the type is not made for
            such a strategy; the message names the field.
    """
    parameters = check_parameters(loaded.cls, config.parameters, strategy=config.id)
    rules = {symbol: find_instrument(symbol, instruments or {}) for symbol in config.symbols}
    _check_currency(config, rules)
    _check_compatibility(config, loaded, capital)
    manager = indicators_of(config, loaded, parameters)
    return Instance(
        config,
        loaded.cls(),
        instruments=rules,
        capital=capital,
        indicators=manager,
        parameters=parameters,
        code_hash=loaded.code_hash,
    )


def indicators_of(
    config: StrategyConfig, loaded: LoadedType, parameters: Mapping[str, Any]
) -> IndicatorManager:
    """Return a strategy's indicators; nothing has gone into them yet.

    Args:
        config: The strategy.
        loaded: Its type.
        parameters: As `check_parameters` returns them.

    Raises:
        ConfigError: They are not usable.
    """
    try:
        return IndicatorManager(loaded.cls.indicator_specs(config, parameters))
    except IndicatorError as error:
        raise ConfigError(f"strategy {config.id!r}: indicators: {error}") from error


def _check_compatibility(config: StrategyConfig, loaded: LoadedType, capital: Decimal) -> None:
    problems = loaded.metadata.compatibility.problems(config, capital=capital)
    if problems:
        raise ConfigError(
            "\n".join(f"strategy {config.id!r} ({config.type}): {each}" for each in problems)
        )


def _check_currency(config: StrategyConfig, rules: Mapping[str, Instrument]) -> None:
    """An equity in two currencies has no meaning: all symbols of a strategy share the quote."""
    quotes = sorted({instrument.quote for instrument in rules.values()})
    if len(quotes) > 1:
        raise ConfigError(
            f"strategy {config.id!r}: its symbols must share one quote currency, have "
            f"{', '.join(quotes)}; make one strategy per currency"
        )
