"""Streaming indicators and their batch twins."""

from indicators.bars import PRICES, Array, Bar
from indicators.batches import Batch, Batches
from indicators.catalog import Catalog, catalog, lookup
from indicators.errors import IndicatorError
from indicators.indicator import Indicator, batch, create
from indicators.info import IndicatorInfo, Input
from indicators.manager import IndicatorManager
from indicators.parameters import Parameter
from indicators.prices import Prices
from indicators.specs import IndicatorSpec, spec

__all__ = [
    "PRICES",
    "Array",
    "Bar",
    "Batch",
    "Batches",
    "Catalog",
    "Indicator",
    "IndicatorError",
    "IndicatorInfo",
    "IndicatorManager",
    "IndicatorSpec",
    "Input",
    "Parameter",
    "Prices",
    "batch",
    "catalog",
    "create",
    "lookup",
    "spec",
]
