"""Configuration models: what a user writes, checked before anything starts."""

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
    "MarketConfig",
    "RiskConfig",
    "RuleConfig",
    "RulesConfig",
    "RunConfig",
    "SizingConfig",
    "StrategyConfig",
    "SyntheticConfig",
    "SyntheticSymbol",
]
