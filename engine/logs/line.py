"""A line of a strategy's log."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

__all__ = ["LEVELS", "LONGEST", "SOURCES", "Level", "Line", "Source"]

Level = Literal["debug", "info", "warning", "error"]
LEVELS: Final = get_args(Level)
"""From the least important on."""

Source = Literal["strategy", "engine", "operator"]
SOURCES: Final = get_args(Source)

LONGEST: Final = 8_000
"""Characters of a line: enough for a traceback of twenty frames."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a strategy, or by its code.

    Attributes:
        strategy_id: Which.
        level: How important it is.
        source: Who says so.
        text: What.
        candle_ms: Close of the candle its code was at, milliseconds UTC; None: none.
    """

    strategy_id: str
    level: Level
    source: Source
    text: str
    candle_ms: int | None = None
