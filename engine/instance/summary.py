"""Puts the report about an instance together from its parts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from engine.config import StrategyConfig
from engine.instance.lifecycle import Status
from engine.instance.metrics import (
    LastSignal,
    Metrics,
    annual_candles,
    calmar,
    ratio,
    risk_score,
    sharpe,
    sortino,
    total_return,
)
from engine.instance.performance import Performance
from engine.instance.position import Position, added
from engine.money import ZERO
from engine.timeframes import timeframe_ms
from engine.types import Decision, OrderRejected, Signal

__all__ = ["Activity", "summarise"]

_MAX_CODES = 32
_LIMIT_PREFIXES = ("max_", "account_max_")


class Activity:
    """What left an instance and what was refused.

    Attributes:
        signals: Signals sent, HOLD included.
        last_signal: The newest of them.
        refused: Rejected intents by code; at most 32 codes, the rest under ``other``.
    """

    __slots__ = ("_violated", "last_signal", "refused", "signals")

    def __init__(self) -> None:
        self.signals = 0
        self.refused: dict[str, int] = {}
        self._violated: dict[str, None] = {}
        self.last_signal: LastSignal | None = None

    def sent(self, decision: Decision) -> None:
        """Count the signals of a decision."""
        for intent in decision.intents:
            if isinstance(intent, Signal):
                self.signals += 1
                self.last_signal = LastSignal(
                    intent.action, intent.symbol, intent.confidence, intent.reason, decision.time
                )

    def rejected(self, event: OrderRejected) -> None:
        """Count a refused intent; codes of limits are named like the limit (``max_...``)."""
        code = event.code
        if code not in self.refused and len(self.refused) >= _MAX_CODES:
            code = "other"
        self.refused[code] = self.refused.get(code, 0) + 1
        if code.startswith(_LIMIT_PREFIXES):
            self.violated(code)

    def violated(self, limit: str) -> None:
        """Note a limit that was breached or that refused an order."""
        self._violated[limit] = None

    @property
    def violated_limits(self) -> tuple[str, ...]:
        """Return the limits noted so far, in alphabetical order."""
        return tuple(sorted(self._violated))

    def state(self) -> dict[str, Any]:
        """Return everything a restore needs."""
        return {
            "signals": self.signals,
            "refused": dict(self.refused),
            "violated": list(self._violated),
            "last_signal": msgspec.to_builtins(self.last_signal),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.signals = state["signals"]
        self.refused = dict(state["refused"])
        self._violated = dict.fromkeys(state["violated"])
        self.last_signal = msgspec.convert(state["last_signal"], LastSignal | None)


def summarise(
    *,
    config: StrategyConfig,
    status: Status,
    cause: str,
    capital: Decimal,
    equity: float,
    positions: Sequence[Position],
    performance: Performance,
    activity: Activity,
    last_update: int,
    dropped: int,
    errors: int,
    duplicates: int,
    parameters_version: int,
) -> Metrics:
    """Return the report of one moment; `positions` holds the one in the main symbol first."""
    annual = annual_candles(timeframe_ms(config.timeframe))
    main = positions[0]
    value = added(abs(position.quantity) * position.last_price for position in positions)
    exposure = value / equity if equity > 0.0 else None
    trades = performance.trades
    pnl = performance.gross_profit - performance.gross_loss
    limit = config.risk.max_drawdown
    return Metrics(
        instance=config.id,
        status=status,
        cause=cause,
        capital=capital,
        equity=equity,
        realised=sum((position.realised for position in positions), start=ZERO),
        fees=sum((position.fees for position in positions), start=ZERO),
        total_return=total_return(performance, equity),
        win_rate=ratio(performance.wins, trades),
        sharpe=sharpe(performance, annual),
        sortino=sortino(performance, annual),
        calmar=calmar(performance, annual),
        max_drawdown=performance.max_drawdown,
        max_drawdown_candles=performance.longest_under(),
        profit_factor=ratio(performance.gross_profit, performance.gross_loss),
        expectancy=ratio(pnl, trades),
        average_trade=ratio(performance.sum_trade_return, trades),
        total_trades=trades,
        winning_trades=performance.wins,
        losing_trades=performance.losses,
        exposure_time=ratio(performance.candles_exposed, performance.candles),
        position=main.quantity,
        average_price=main.average_price,
        unrealised=added(position.unrealised for position in positions),
        current_exposure=exposure,
        risk_score=risk_score(
            drawdown=performance.drawdown,
            drawdown_limit=None if limit is None else float(limit),
            exposure=exposure or 0.0,
            exposure_limit=float(config.risk.max_position_size * config.leverage),
            losing_streak=performance.losing_streak,
        ),
        violated_limits=activity.violated_limits,
        last_signal=activity.last_signal,
        last_update=last_update,
        candles=performance.candles,
        signals=activity.signals,
        dropped=dropped,
        rejected=dict(activity.refused),
        errors=errors,
        duplicates=duplicates,
        parameters_version=parameters_version,
    )
