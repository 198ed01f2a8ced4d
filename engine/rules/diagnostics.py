"""What is wrong with a rule and where: places, nearest names, the final message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple

from engine.errors import RuleError

__all__ = ["Mistake", "Place", "nearest", "rule_error"]


class Place(NamedTuple):
    """A position in the text of a rule, both counted from 1."""

    line: int
    column: int


class Mistake(Exception):  # noqa: N818 - never leaves the package: `rule_error` makes it a RuleError
    """Something is wrong at one place of a rule's text.

    Attributes:
        message: What is wrong and what to do, without the place.
        place: Where, in the text the user wrote.
        caret: Whether the message shows the line with a caret under the place.
    """

    def __init__(self, message: str, place: Place, *, caret: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.caret = caret


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known name closest to `name`, else nothing.

    >>> nearest("macd_crossver_bullish", ["macd_crossover_bullish", "rsi"])
    " (did you mean 'macd_crossover_bullish'?)"
    >>> nearest("zzz", ["rsi"])
    ''
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[found[0]]!r}?)" if found else ""


def rule_error(strategy_id: str, path: str, text: str, mistake: Mistake) -> RuleError:
    """Make the error a user reads.

    Args:
        strategy_id: The strategy the rule belongs to.
        path: Which rule, e.g. ``entry.condition``.
        text: The rule as written.
        mistake: What was found.

    >>> print(rule_error("a", "entry.condition", "rsi <", Mistake("m", Place(1, 6), caret=True)))
    strategy 'a': rule entry.condition, column 6: m
      rsi <
           ^
    """
    line, column = mistake.place
    where = f"column {column}" if "\n" not in text else f"line {line}, column {column}"
    message = f"strategy {strategy_id!r}: rule {path}, {where}: {mistake.message}"
    if mistake.caret:
        message += "\n" + _pointer(text.split("\n")[line - 1], column)
    return RuleError(message)


def _pointer(line: str, column: int, width: int = 80) -> str:
    """Return the line, cut to about `width` characters, with a caret under the column."""
    start = max(0, column - 1 - width // 2)
    shown = line[start : start + width].replace("\t", " ")
    return f"  {shown}\n  {' ' * (column - 1 - start)}^"
