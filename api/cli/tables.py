"""The report as people read it at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.cli.columns import Column, fitted_table
from api.cli.live import STATUS_STYLES, amount, quote
from engine.config import RunConfig

if TYPE_CHECKING:
    from engine.report import RunReport, StrategyReport

__all__ = ["print_report"]

_NONE = "-"
"""Shown where a figure does not exist, e.g. the win rate without a trade."""


def print_report(console: Console, report: RunReport, config: RunConfig) -> None:
    """Print results per strategy, what went wrong, accounts and totals."""
    console.print(results_table(report, width=console.width))
    _print_troubles(console, report)
    accounts = report.totals.get("accounts", [])
    if accounts:
        console.print(accounts_table(accounts, width=console.width))
    for notice in report.notices:
        console.print(Text(f"note: {notice}", style="yellow"), soft_wrap=True)
    for line in summary_lines(report, config):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


_RESULT_COLUMNS = (
    Column("strategy"),
    Column("type", rank=3),
    Column("stream", rank=2),
    Column("status"),
    Column("trades", right=True),
    Column("win rate", right=True, rank=4),
    Column("return", right=True),
    Column("P&L", right=True, rank=1),
    Column("max drawdown", right=True, rank=5),
    Column("Sharpe", right=True, rank=6),
)


def results_table(report: RunReport, *, width: int) -> Table:
    """Return one row per strategy."""
    mode = {"run": "actors", "backtest": "one process"}.get(report.mode, report.mode)
    rows = [_row(strategy) for strategy in report.strategies]
    return fitted_table(f"{report.name} ({mode})", _RESULT_COLUMNS, rows, width=width)


def _row(strategy: StrategyReport) -> list[Text]:
    metrics: Mapping[str, Any] = strategy.metrics or {}
    total_return, pnl = metrics.get("total_return"), _pnl(metrics)
    return [
        Text(strategy.id),
        Text(strategy.type, style="dim"),
        Text(f"{strategy.symbol} {strategy.timeframe}"),
        Text(strategy.status, style=STATUS_STYLES.get(strategy.status, "")),
        Text(_count(metrics.get("total_trades"))),
        Text(_percent(metrics.get("win_rate"), digits=1)),
        _coloured(total_return, _percent(total_return, signed=True)),
        _coloured(
            pnl, _NONE if pnl is None else f"{amount(pnl, signed=True)} {quote(strategy.symbol)}"
        ),
        Text(_percent(metrics.get("max_drawdown"))),
        Text(_ratio(metrics.get("sharpe"))),
    ]


def _pnl(metrics: Mapping[str, Any]) -> float | None:
    if not metrics:
        return None
    return float(metrics["equity"]) - float(metrics["capital"])


def _print_troubles(console: Console, report: RunReport) -> None:
    failed = [s for s in report.strategies if s.status == "error"]
    if failed:
        console.print(Text(f"{len(failed)} ended in error:", style="bold red"))
    for strategy in failed:
        cause = strategy.cause or "unknown cause"
        console.print(
            Text(f"  {strategy.id}: {cause}{_left(strategy)}", style="red"), soft_wrap=True
        )
    survived = [s for s in report.strategies if s.errors and s.status != "error"]
    for strategy in survived:
        console.print(
            Text(
                f"  {strategy.id}: {_number(strategy.errors, 'exception')} contained",
                style="yellow",
            ),
            soft_wrap=True,
        )
    idle = [s.id for s in report.strategies if s.status == "no data"]
    if idle:
        console.print(
            Text(f"no candles for: {', '.join(idle)} (not run)", style="magenta"), soft_wrap=True
        )


_NAMES_OF_ACCOUNT = ("account", "currency")


def accounts_table(accounts: list[Any], *, width: int) -> Table:
    """Return one row per account and currency."""
    names = list(dict.fromkeys(key for account in accounts for key in account))
    columns = [
        Column(name.replace("_", " "), right=name not in _NAMES_OF_ACCOUNT, rank=max(0, n - 3))
        for n, name in enumerate(names)
    ]
    rows = [[Text(_cell(account.get(name))) for name in names] for account in accounts]
    return fitted_table("accounts", columns, rows, width=width)


def _cell(value: Any) -> str:
    if value is None:
        return _NONE
    try:
        return amount(float(value), 4)
    except (TypeError, ValueError):
        return str(value)


def summary_lines(report: RunReport, config: RunConfig) -> list[str]:
    """Return the closing lines: totals, speed, latency, hash."""
    totals = report.totals
    states = ", ".join(f"{n} {state}" for state, n in sorted(totals["by_status"].items()))
    lines = [
        (
            f"{_number(totals['strategies'], 'strategy')} ({states}), "
            f"{_number(totals['signals'], 'signal')}, {_number(totals['orders'], 'order')}, "
            f"{_number(totals['fills'], 'fill')}; "
            f"arbitration {config.arbitration.policy}"
        ),
        (
            f"{_number(report.candles, 'candle')} in {report.elapsed_s:,.1f} s: "
            f"{report.candles_per_s:,.0f} candles/s"
        ),
    ]
    if report.latency:
        figures = ", ".join(f"{name} {value:.2f} ms" for name, value in report.latency.items())
        lines.append(f"candle to decision: {figures}")
    lines.append(f"ledger sha256 {report.ledger_sha256}")
    return lines


def _number(count: int, noun: str) -> str:
    """Write a count with its noun.

    >>> _number(1, "strategy"), _number(2, "strategy"), _number(1200, "fill")
    ('1 strategy', '2 strategies', '1,200 fills')
    """
    if count != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun}"


def _count(value: Any) -> str:
    return _NONE if value is None else f"{value:,}"


def _percent(value: Any, *, digits: int = 2, signed: bool = False) -> str:
    if value is None:
        return _NONE
    return f"{float(value) * 100:{'+' if signed else ''}.{digits}f} %"


def _ratio(value: Any) -> str:
    return _NONE if value is None else f"{float(value):.2f}"


def _coloured(value: float | None, text: str) -> Text:
    if not value:
        return Text(text)
    return Text(text, style="green" if value > 0 else "red")


def _left(strategy: StrategyReport) -> str:
    """Say what a strategy that ended in error still holds."""
    held = [
        f"{Decimal(position['quantity']).normalize():f} {position['symbol']}"
        for position in strategy.positions
    ]
    return f"; it still holds {', '.join(held)}" if held else ""
