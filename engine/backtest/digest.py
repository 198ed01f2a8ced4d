"""What is kept of a backtest: its report within bounds, and the figures of it.

A report holds every signal, order and fill, and may be larger than the candles it comes from. What
is kept says how much it leaves out; counts and hashes are those of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from engine.report import RunReport, StrategyReport

__all__ = ["CURVE_POINTS", "KEPT_RECORDS", "MAX_REPORT_BYTES", "Curve", "Digest", "digest"]

CURVE_POINTS: Final = 500
"""Of each strategy's equity curve, at most."""

KEPT_RECORDS: Final = 1_000
"""Signals, orders and fills of each strategy, at most; the newest."""

MAX_REPORT_BYTES: Final = 4 * 1024 * 1024
_MAX_TEXT: Final = 4_000

_LISTS: Final = ("signals", "orders", "fills")
_FIGURES: Final = (
    "capital",
    "equity",
    "realised",
    "fees",
    "total_return",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "profit_factor",
    "win_rate",
    "expectancy",
    "total_trades",
    "exposure_time",
    "signals",
)

Curve = Sequence[tuple[int, float]]
"""Close time (ms UTC) and equity (quote currency), the oldest first."""


class Digest(msgspec.Struct, frozen=True):
    """What is kept of a backtest.

    Attributes:
        summary: Counts, hash and the figures of each strategy; some kilobytes.
        report: The report as JSON, at most `MAX_REPORT_BYTES`.
    """

    summary: bytes
    report: bytes


def digest(report: RunReport, curves: Mapping[str, Curve]) -> Digest:
    """Return what is kept of a report.

    Args:
        report: The whole.
        curves: Equity curves by strategy, where there is one, as `Instance.equity_curve` has them.
    """
    return Digest(msgspec.json.encode(_summary(report)), _bounded(report, curves))


def _summary(report: RunReport) -> dict[str, Any]:
    totals = report.totals
    return {
        "ledger_sha256": report.ledger_sha256,
        "candles": report.candles,
        "elapsed_s": report.elapsed_s,
        "signals": totals["signals"],
        "orders": totals["orders"],
        "fills": totals["fills"],
        "errors": totals["errors"],
        "strategies": [_figures(strategy) for strategy in report.strategies],
    }


def _figures(strategy: StrategyReport) -> dict[str, Any]:
    metrics = strategy.metrics
    return {
        "id": strategy.id,
        "type": strategy.type,
        "symbol": strategy.symbol,
        "timeframe": strategy.timeframe,
        "status": strategy.status,
        "cause": strategy.cause[:_MAX_TEXT],
        "ledger_sha256": strategy.ledger_sha256,
        "metrics": None if metrics is None else {name: metrics[name] for name in _FIGURES},
    }


def _bounded(report: RunReport, curves: Mapping[str, Curve]) -> bytes:
    """Return the report as JSON, with ever fewer records until it is small enough."""
    kept, points = KEPT_RECORDS, CURVE_POINTS
    while True:
        text = msgspec.json.encode(_cut(report, curves, kept, points), order="deterministic")
        if len(text) <= MAX_REPORT_BYTES or not (kept or points):
            return text
        if kept:
            kept //= 2
        else:
            points //= 2


def _cut(report: RunReport, curves: Mapping[str, Curve], kept: int, points: int) -> dict[str, Any]:
    fields = {name: getattr(report, name) for name in report.__struct_fields__}
    fields["strategies"] = [
        _cut_strategy(strategy, curves.get(strategy.id, ()), kept, points)
        for strategy in report.strategies
    ]
    return fields


def _cut_strategy(strategy: StrategyReport, curve: Curve, kept: int, points: int) -> dict[str, Any]:
    fields = {name: getattr(strategy, name) for name in strategy.__struct_fields__}
    left_out = {}
    for name in _LISTS:
        records: list[Any] = fields[name]
        fields[name] = records[max(len(records) - kept, 0) :]
        left_out[name] = len(records) - len(fields[name])
    return {
        **fields,
        "cause": strategy.cause[:_MAX_TEXT],
        "trace": strategy.trace[-_MAX_TEXT:],
        "left_out": left_out,
        "equity_curve": thinned(_to_the_end(curve, strategy.metrics), points),
    }


def _to_the_end(curve: Curve, metrics: Mapping[str, Any] | None) -> Curve:
    """Return a curve, which is sampled, with its last value."""
    if not curve or metrics is None or curve[-1][0] >= metrics["last_update"]:
        return curve
    return [*curve, (metrics["last_update"], metrics["equity"])]


def thinned(curve: Curve, points: int) -> list[tuple[int, float]]:
    """Return a curve with at most so many points, the last one among them, evenly spaced.

    >>> thinned([(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0)], 3)
    [(1, 1.0), (3, 3.0), (5, 5.0)]
    """
    if points == 0:
        return []
    stride = -(-len(curve) // points)
    return list(curve[::-1][:: max(stride, 1)][::-1])
