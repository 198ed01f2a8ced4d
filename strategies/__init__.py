"""The plugin SDK and the built-in strategy types."""

from engine.catalog.compatibility import Compatibility
from engine.errors import StrategyError
from engine.instance.services import StrategyServices
from engine.types import Candle, Fill, OrderType, Side, Tick
from indicators import IndicatorSpec, spec
from strategies.base import Strategy, StrategyMetadata

__all__ = [
    "Candle",
    "Compatibility",
    "Fill",
    "IndicatorSpec",
    "OrderType",
    "Side",
    "Strategy",
    "StrategyError",
    "StrategyMetadata",
    "StrategyServices",
    "Tick",
    "spec",
]
