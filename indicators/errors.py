"""The one error of this package."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["IndicatorError", "did_you_mean"]


class IndicatorError(ValueError):
    """An indicator is unknown, its parameters are out of range, or a bar is not finite.

    Whatever raises it has changed nothing: state is as it was before the call.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the nearest known name, or an empty string.

    >>> did_you_mean("maccd", ["macd", "rsi"])
    " (did you mean 'macd'?)"
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
