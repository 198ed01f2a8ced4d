"""What a strategy type is made for, and whether a configuration is that."""

from __future__ import annotations

from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

import msgspec

from engine.money import canonical_symbol, plain

if TYPE_CHECKING:
    from engine.config import StrategyConfig

__all__ = ["Compatibility", "MarketType"]

MarketType = Literal["spot", "perpetual"]


class Compatibility(msgspec.Struct, frozen=True):
    """What a strategy type is made for; empty: for anything.

    Attributes:
        exchanges: Venues, e.g. ``binance``.
        market_types: ``spot``, ``perpetual``.
        symbols: Patterns of symbols as `canonical_symbol` spells them, e.g. ``*/USDT``.
        timeframes: Timeframes, e.g. ``15m``.
        min_capital: Least capital, quote currency.
    """

    exchanges: tuple[str, ...] = ()
    market_types: tuple[MarketType, ...] = ()
    symbols: tuple[str, ...] = ()
    timeframes: tuple[str, ...] = ()
    min_capital: Decimal = Decimal(0)

    def problems(self, config: StrategyConfig, *, capital: Decimal) -> list[str]:
        """Return in which fields a configuration is not what the type is made for.

        Args:
            config: The strategy.
            capital: What it may use, quote currency.
        """
        found: list[str] = []
        if self.exchanges and config.venue not in (*self.exchanges, "paper"):
            found.append(_not_one_of("venue", config.venue, self.exchanges))
        is_picky = bool(self.market_types or self.symbols)
        for symbol in map(canonical_symbol, config.symbols if is_picky else ()):
            kind = "perpetual" if symbol.endswith("-PERP") else "spot"
            if self.market_types and kind not in self.market_types:
                found.append(_not_one_of("symbols", f"{symbol} ({kind})", self.market_types))
            elif self.symbols and not any(fnmatchcase(symbol, each) for each in self.symbols):
                found.append(_not_one_of("symbols", symbol, self.symbols))
        found += [
            _not_one_of("timeframes", timeframe, self.timeframes)
            for timeframe in config.timeframes
            if self.timeframes and timeframe not in self.timeframes
        ]
        if capital < self.min_capital:
            found.append(
                f"capital: the type needs {plain(self.min_capital)} at least, got {plain(capital)}"
            )
        return found


def _not_one_of(field: str, value: str, allowed: tuple[str, ...]) -> str:
    return f"{field}: the type is made for {', '.join(allowed)}, got {value}"
