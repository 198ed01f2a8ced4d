"""Configuration models: what a user writes, checked before anything starts."""

from engine.config.load import LoadedRun, load_run, load_run_with_places
from engine.config.problems import InvalidConfigError, Problem
from engine.config.run import (
    AccountConfig,
    ArbitrationConfig,
    ExecutionConfig,
    InstrumentConfig,
    MarketConfig,
    RunConfig,
    SyntheticConfig,
    SyntheticSymbol,
)
from engine.config.strategy import (
    RiskConfig,
    RuleConfig,
    RulesConfig,
    SizingConfig,
    StrategyConfig,
)

__all__ = [
    "AccountConfig",
    "ArbitrationConfig",
    "ExecutionConfig",
    "InstrumentConfig",
    "InvalidConfigError",
    "LoadedRun",
    "MarketConfig",
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
