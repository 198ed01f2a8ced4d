"""What strategies say of themselves, and what is said of them."""

from engine.logs.line import LEVELS, SOURCES, Level, Line, Source
from engine.logs.logs import KEEP_LINES, StrategyLogs

__all__ = ["KEEP_LINES", "LEVELS", "SOURCES", "Level", "Line", "Source", "StrategyLogs"]
