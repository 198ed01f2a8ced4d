"""Limits an instance keeps by itself: drawdown, time in a position, pause after an exit.

Stops, targets and trailing stops are orders; the order manager holds those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.config import RiskConfig
from engine.instance.position import Position
from engine.types import Action, CancelRequest, Intent, OrderRequest, Side, Signal

__all__ = ["Guard"]


class Guard:
    """Watches one instance's limits. Fractions are of 1, times are candles of the main stream.

    Attributes:
        watches: Whether there is anything to check at a close with an open position.
    """

    __slots__ = ("_cooldown", "_floor", "_free_from", "_limit", "_peak", "_time_limit", "watches")

    def __init__(self, risk: RiskConfig, capital: float) -> None:
        self._limit = None if risk.max_drawdown is None else float(risk.max_drawdown)
        self._time_limit = risk.time_limit_candles
        self._cooldown = risk.cooldown_candles
        self._free_from = -1
        self.watches = self._limit is not None or self._time_limit is not None
        self.reset(capital)

    def reset(self, equity: float) -> None:
        """Measure the drawdown from here on (a start or a restart)."""
        self._peak = equity
        self._floor = 0.0 if self._limit is None else equity * (1.0 - self._limit)

    def breach(self, equity: float) -> str:
        """Take the equity at a close; return the breached limit in words, empty if none is."""
        if self._limit is None:
            return ""
        if equity > self._peak:
            self.reset(equity)
        elif equity <= self._floor:
            return (
                f"limit max_drawdown breached: {1.0 - equity / self._peak:.2%} of equity lost "
                f"since its peak {self._peak:.10g}, allowed {self._limit:.2%}"
            )
        return ""

    def overdue(self, positions: Sequence[Position]) -> list[str]:
        """Return the symbols whose position is older than the time limit."""
        limit = self._time_limit
        if limit is None:
            return []
        return [
            position.symbol
            for position in positions
            if not position.is_flat and position.candles_held >= limit
        ]

    @property
    def time_limit(self) -> int | None:
        """Return the time limit in candles."""
        return self._time_limit

    def exited(self, next_seq: int) -> None:
        """Start the cooldown: a position was closed before candle `next_seq` of the main stream."""
        if self._cooldown:
            self._free_from = next_seq + self._cooldown

    def cooldown_left(self, seq: int) -> int:
        """Return for how many candles from `seq` on entries are blocked; 0 where they are free."""
        return max(0, self._free_from - seq)

    def without_entries(
        self, intents: Sequence[Intent], positions: Mapping[str, Position]
    ) -> list[Intent]:
        """Return what may leave during a cooldown.

        Exits, cancels and HOLD may. A signal that would turn a position round closes it only.
        """
        allowed: list[Intent] = []
        for intent in intents:
            if isinstance(intent, CancelRequest):
                allowed.append(intent)
            elif isinstance(intent, OrderRequest):
                if intent.reduce_only or _only_reduces(intent, positions[intent.symbol]):
                    allowed.append(intent)
            elif intent.action in (Action.CLOSE, Action.HOLD):
                allowed.append(intent)
            elif _opposes(intent, positions[intent.symbol]):
                reason = f"{intent.reason} (cooldown: closes only)".strip()
                allowed.append(Signal(Action.CLOSE, intent.symbol, intent.confidence, reason))
        return allowed

    def state(self) -> list[Any]:
        """Return everything a restore needs."""
        return [self._peak, self._free_from]

    def load(self, state: list[Any]) -> None:
        """Take back what `state` returned."""
        peak, self._free_from = state
        self.reset(peak)


def _opposes(signal: Signal, position: Position) -> bool:
    return position.is_short if signal.action is Action.BUY else position.is_long


def _only_reduces(order: OrderRequest, position: Position) -> bool:
    held = position.exact_quantity if order.side is Side.SELL else -position.exact_quantity
    return order.quantity <= held
