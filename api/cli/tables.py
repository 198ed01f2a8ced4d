"""The report as people read it at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.cli.live import STATUS_STYLES, amount
from engine.config import RunConfig

if TYPE_CHECKING:
    from engine.report import RunReport, StrategyReport

__all__ = ["print_report"]

_NONE = "-"
"""Shown where a figure does not exist, e.g. the win rate without a trade."""


def print_report(console: Console, report: RunReport, config: RunConfig) -> None:
    """Print results per strategy, what went wrong, accounts and totals."""
    console.print(results_table(report))
    _print_troubles(console, report)
    accounts = report.totals.get("accounts", [])
    if accounts:
        console.print(accounts_table(accounts))
    for notice in report.notices:
        console.print(Text(f"note: {notice}", style="yellow"), soft_wrap=True)
    for line in _rejections(report.market):
        console.print(Text(line, style="yellow"), soft_wrap=True)
    for line in summary_lines(report, config):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def results_table(report: RunReport) -> Table:
    """Return one row per strategy."""
    mode = {"run": "actors", "backtest": "one process"}.get(report.mode, report.mode)
    table = Table(
        title=f"{report.name} ({mode})",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        expand=False,
    )
    for heading in ("strategy", "type", "stream", "status"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for heading in ("trades", "win rate", "return", "P&L", "max drawdown", "Sharpe"):
        table.add_column(heading, justify="right", no_wrap=True)
    for strategy in report.strategies:
        table.add_row(*_row(strategy))
    return table


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
        _coloured(pnl, _NONE if pnl is None else amount(pnl, signed=True)),
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
        console.print(
            Text(f"  {strategy.id}: {strategy.cause or 'unknown cause'}", style="red"),
            soft_wrap=True,
        )
    survived = [s for s in report.strategies if s.errors and s.status != "error"]
    for strategy in survived:
        console.print(
            Text(f"  {strategy.id}: {strategy.errors} exceptions contained", style="yellow"),
            soft_wrap=True,
        )
    idle = [s.id for s in report.strategies if s.status == "no data"]
    if idle:
        console.print(
            Text(f"no candles for: {', '.join(idle)} (not run)", style="magenta"), soft_wrap=True
        )


def accounts_table(accounts: list[Any]) -> Table:
    """Return one row per account and currency."""
    table = Table(title="accounts", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    names = list(dict.fromkeys(key for account in accounts for key in account))
    for name in names:
        text = name in {"account", "currency"}
        table.add_column(name.replace("_", " "), justify="left" if text else "right", no_wrap=True)
    for account in accounts:
        table.add_row(*(_cell(account.get(name)) for name in names))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return _NONE
    try:
        return amount(float(value), 4)
    except (TypeError, ValueError):
        return str(value)


def _rejections(market: list[Any]) -> list[str]:
    """Say which files had rows that could not be used, and which have gaps."""
    lines = []
    for entry in market:
        facts: Any = entry if isinstance(entry, Mapping) else _fields(entry)
        rejected = {k: v for k, v in dict(facts.get("rejected") or {}).items() if v}
        if rejected:
            counts = ", ".join(f"{count:,} {reason}" for reason, count in rejected.items())
            lines.append(f"{facts.get('source')}: rows left out: {counts}")
        if facts.get("gaps"):
            lines.append(
                f"{facts.get('source')}: {facts['gaps']:,} gaps, "
                f"{facts.get('missing', 0):,} candles missing"
            )
    return lines


def _fields(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}


def summary_lines(report: RunReport, config: RunConfig) -> list[str]:
    """Return the closing lines: totals, speed, latency, hash."""
    totals = report.totals
    states = ", ".join(f"{n} {state}" for state, n in sorted(totals["by_status"].items()))
    lines = [
        (
            f"{totals['strategies']} strategies ({states}), {totals['signals']:,} signals, "
            f"{totals['orders']:,} orders, {totals['fills']:,} fills; "
            f"arbitration {config.arbitration.policy}"
        ),
        (
            f"{report.candles:,} candles in {report.elapsed_s:,.1f} s: "
            f"{report.candles_per_s:,.0f} candles/s"
        ),
    ]
    if report.latency:
        figures = ", ".join(f"{name} {value:.2f} ms" for name, value in report.latency.items())
        lines.append(f"candle to decision: {figures}")
    lines.append(f"ledger sha256 {report.ledger_sha256}")
    return lines


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
