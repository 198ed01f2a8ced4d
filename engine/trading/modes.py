"""What accounts may do at present: trade, only get out, or nothing at all.

==========  =====================================================================================
mode        what a strategy, or a follower, of the account gets
==========  =====================================================================================
running     whatever limits and arbitration let it have
reduce      no entry (refused ``reduce_only``); exits, cancellations and protection as ever. A
            reversal closes only. What works already goes on
halted      no order at all (refused ``trading_halted``), and no cancellation either: what still
            works protects a position or closes it. Working entries end at once
==========  =====================================================================================

A mode holds for one account or for all; the stricter of the two counts.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from engine.errors import ConfigError

__all__ = ["EVERYWHERE", "TradingMode", "TradingModes"]

TradingMode = Literal["running", "reduce", "halted"]

EVERYWHERE: Final = ""
"""In place of an account: all of them."""

_STRICTNESS: Final = get_args(TradingMode)


class TradingModes:
    """The modes that were set."""

    def __init__(self) -> None:
        self._set: dict[str, TradingMode] = {}

    def set(self, mode: TradingMode, account: str) -> bool:
        """Set the mode of an account, opened yet or not, or of all; tell whether that is news.

        Raises:
            ConfigError: There is no such mode.
        """
        if mode not in _STRICTNESS:
            raise ConfigError(f"trading: needs one of {', '.join(_STRICTNESS)}, got {mode!r}")
        if self._set.get(account, "running") == mode:
            return False
        if mode == "running":
            del self._set[account]
        else:
            self._set[account] = mode
        return True

    def of(self, account: str) -> TradingMode:
        """Return what an account may do."""
        modes = (self._set.get(EVERYWHERE, "running"), self._set.get(account, "running"))
        return max(modes, key=_STRICTNESS.index)

    def all(self) -> dict[str, TradingMode]:
        """Return every mode other than ``running``, by account; `EVERYWHERE` for all of them."""
        return dict(self._set)
