"""What a strategy's indicators look like over some candles, for people who look at a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from engine.catalog import LoadedType
from engine.config import StrategyConfig
from engine.errors import ChorusError, ConfigError
from engine.instance.build import indicators_of
from engine.instance.parameters import check_parameters
from engine.types import Candle
from indicators import IndicatorManager

__all__ = ["chart", "warmup_of"]

_COLUMNS = ("open", "high", "low", "close", "volume", "open_time")


def chart(
    config: StrategyConfig, loaded: LoadedType, candles: Sequence[Candle]
) -> dict[str, list[float | None]]:
    """Return a strategy's indicators over candles of its main stream.

    They begin with the first of these candles, the strategy's own began with an earlier one: what
    never forgets, as an exponential average, differs by what is left of that.

    Returns:
        One value per candle by ``name`` (``name.output`` where there are several); None where it
        is not ready.

    Raises:
        ConfigError: The strategy could not be built.
    """
    if not candles:
        return {}
    manager, names = _indicators(config, loaded)
    columns = {
        name: np.array([getattr(candle, name) for candle in candles], dtype=np.float64)
        for name in _COLUMNS
    }
    slots = manager.batch(columns)
    shown: dict[str, list[float | None]] = {}
    for name in names:
        outputs = manager.outputs(name)
        for output in outputs:
            label = name if len(outputs) == 1 else f"{name}.{output}"
            values = slots[manager.slot(name, output)].tolist()
            shown[label] = [value if math.isfinite(value) else None for value in values]
    return shown


def warmup_of(config: StrategyConfig, loaded: LoadedType) -> int:
    """Return how many candles a strategy's indicators need before they are ready.

    Raises:
        ConfigError: The strategy could not be built.
    """
    return _indicators(config, loaded)[0].warmup


def _indicators(config: StrategyConfig, loaded: LoadedType) -> tuple[IndicatorManager, list[str]]:
    """Return a strategy's indicators, and how it calls them.

    Its type's file may have changed since it was started: what its code raises now concerns whoever
    looks at it, and nobody else.
    """
    try:
        parameters = check_parameters(loaded.cls, config.parameters, strategy=config.id)
        manager = indicators_of(config, loaded, parameters)
        return manager, list(loaded.cls.indicator_specs(config, parameters))
    except ChorusError:
        raise
    except (Exception, SystemExit) as error:  # a type's code may raise anything
        raise ConfigError(
            f"strategy {config.id!r}: the code of type {config.type!r} has raised "
            f"{type(error).__name__}: {error}; correct its file"
        ) from error
