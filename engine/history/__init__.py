"""What has happened, as those may read it who own it: nothing here writes."""

from engine.history.curve import Curve
from engine.history.history import History, Selection
from engine.history.performance import Performance
from engine.history.portfolio import AccountHoldings, Holding

__all__ = ["AccountHoldings", "Curve", "History", "Holding", "Performance", "Selection"]
