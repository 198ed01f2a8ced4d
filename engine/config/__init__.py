"""Configuration models: what a user writes, checked before anything starts.

A process that runs strategies needs their own models alone. Those of a whole run and the reading
of files are imported when somebody first asks for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from engine.config.strategy import (
    Isolation,
    RiskConfig,
    RuleConfig,
    RulesConfig,
    SizingConfig,
    StrategyConfig,
)

if TYPE_CHECKING:
    from engine.config.load import LoadedRun, load_run, load_run_with_places
    from engine.config.problems import InvalidConfigError, Problem
    from engine.config.run import (
        AccountConfig,
        ArbitrationConfig,
        ExecutionConfig,
        InstrumentConfig,
        MarketConfig,
        PlacementConfig,
        RunConfig,
        SyntheticConfig,
        SyntheticSymbol,
    )

__all__ = [
    "AccountConfig",
    "ArbitrationConfig",
    "ExecutionConfig",
    "InstrumentConfig",
    "InvalidConfigError",
    "Isolation",
    "LoadedRun",
    "MarketConfig",
    "PlacementConfig",
    "Problem",
    "RiskConfig",
    "RuleConfig",
    "RulesConfig",
    "RunConfig",
    "SizingConfig",
    "StrategyConfig",
    "SyntheticConfig",
    "SyntheticSymbol",
    "load_run",
    "load_run_with_places",
]

if not TYPE_CHECKING:  # type checkers see the imports above, and names that do not exist

    def __getattr__(name: str) -> object:
        """Import what is not there yet (PEP 562)."""
        if name in __all__:
            for module in ("run", "problems", "load"):
                found = import_module(f"{__name__}.{module}")
                if name in found.__all__:
                    return getattr(found, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
