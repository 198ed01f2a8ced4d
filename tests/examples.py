"""How many examples a property is tried with: all of them, or a part where time is short."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

__all__ = ["examples"]

_FEWEST = 5


def examples(count: int, *, fewest: int = _FEWEST, **changes: Any) -> settings:
    """Return the settings of a property that is worth so many examples, without a deadline.

    Args:
        count: Examples under a profile of 100, which is what hypothesis starts from. A profile
            with fewer, such as `quick`, makes them fewer in proportion.
        fewest: How many at least.
        **changes: Further settings.
    """
    share = settings.default.max_examples / 100
    return settings(max_examples=max(fewest, round(count * share)), deadline=None, **changes)
