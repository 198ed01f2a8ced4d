"""What one sees while a run goes on: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from api.cli.columns import Column, fitted_table
from engine.status import EngineStatus, StrategyStatus

__all__ = ["STATUS_STYLES", "LiveView", "PlainView", "amount", "quote", "signal_text", "view_for"]

STATUS_STYLES = {
    "running": "green",
    "warming": "cyan",
    "created": "dim",
    "paused": "yellow",
    "stopped": "dim",
    "error": "bold red",
    "no data": "magenta",
}

_REFRESH_S = 0.25
_LINE_EVERY_S = 3.0
_LAST = 40
"""Longest last signal or cause in the table; the report has all of it."""

_FRAME_LINES = 9
"""Lines of a screen that are not rows: borders, heading, progress, latency, prompt."""


def amount(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """Write an amount for people: thousands separated, tiny ones not rounded away to zero.

    >>> amount(-4683.0), amount(0.000123456), amount(0), amount(12.5, signed=True)
    ('-4,683.00', '0.0001235', '0.00', '+12.50')
    """
    sign = "+" if signed else ""
    if value == 0:
        return f"{0:.{digits}f}"
    if abs(value) < 10 ** (1 - digits):
        return f"{value:{sign}.4g}"
    return f"{value:{sign},.{digits}f}"


def quote(symbol: str) -> str:
    """Return the currency a symbol is paid in, for people; empty for what is no symbol.

    >>> quote("BTC/USDT-PERP")
    'USDT'
    """
    return symbol.partition("/")[2].partition("-")[0]


class PlainView:
    """Writes one line every few seconds, for logs and pipes. Use as context manager."""

    def __init__(
        self,
        write: Callable[[str], None],
        title: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._title = title
        self._clock = clock
        self._next = clock()
        self._errors: set[str] = set()

    def __enter__(self) -> Self:
        # Starting takes seconds with many actors; silence would look like a hang.
        self._write(f"{self._title}: starting")
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to restore."""

    def __call__(self, status: EngineStatus) -> None:
        """Take a status; called by the engine as often as it likes, does not block."""
        for strategy in status.strategies:
            if strategy.status == "error" and strategy.id not in self._errors:
                self._errors.add(strategy.id)
                self._write(f"strategy {strategy.id!r} ended in error: {strategy.cause}")
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _LINE_EVERY_S
        self._write(progress_line(status))


class LiveView:
    """Redraws a table of all strategies in place. Use as context manager."""

    def __init__(
        self, console: Console, title: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._title = title
        self._clock = clock
        self._next = 0.0
        self._live = Live(
            Text("starting …"), console=console, auto_refresh=False, vertical_overflow="crop"
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last table on the screen and give the cursor back."""
        self._live.stop()

    def __call__(self, status: EngineStatus) -> None:
        """Take a status; called by the engine as often as it likes, redraws four times a second."""
        now = self._clock()
        if now < self._next and status.phase != "done":
            return
        self._next = now + _REFRESH_S
        size = self._console.size
        rows = max(3, size.height - _FRAME_LINES)
        self._live.update(screen(status, self._title, rows=rows, width=size.width), refresh=True)


def view_for(console: Console, title: str, *, quiet: bool) -> LiveView | PlainView:
    """Choose the view: live on a terminal, lines elsewhere, silent if quiet."""
    if quiet:
        return PlainView(lambda _line: None, title)
    if console.is_terminal:
        return LiveView(console, title)
    return PlainView(lambda line: console.out(line, highlight=False), title)


def progress_line(status: EngineStatus) -> str:
    """Return the state of a run in one line."""
    counts: dict[str, int] = {}
    for strategy in status.strategies:
        counts[strategy.status] = counts.get(strategy.status, 0) + 1
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    total = f"/{status.total_candles:,}" if status.total_candles else ""
    parts = [
        f"{status.elapsed_s:7.1f} s",
        status.phase,
        f"{status.candles:,}{total} candles",
        f"{status.candles_per_s:,.0f}/s",
        states,
    ]
    return "  ".join(part for part in parts if part)


def screen(status: EngineStatus, title: str, *, rows: int, width: int) -> RenderableType:
    """Return everything the live view shows.

    Args:
        status: The state to show.
        title: Name of the run.
        rows: Most strategies that fit; beyond that those in trouble come first.
        width: Cells of a line.
    """
    parts: list[RenderableType] = [
        strategy_table(status, title, rows=rows, width=width),
        _progress(status, width=width),
    ]
    if status.latency_ms:
        figures = "   ".join(f"{k} {v:.2f} ms" for k, v in status.latency_ms.items())
        parts.append(Text(f"candle to decision: {figures}", style="dim"))
    return Group(*parts)


_COLUMNS = (
    Column("strategy"),
    Column("type", rank=5),
    Column("stream", rank=3),
    Column("status"),
    Column("position", right=True, rank=1),
    Column("P&L", right=True),
    Column("return", right=True, rank=4),
    Column("trades", right=True, rank=6),
    Column("last signal", rank=2),
    Column("lag", right=True),
    Column("cpu", right=True, rank=7),
)


def strategy_table(status: EngineStatus, title: str, *, rows: int, width: int) -> Table:
    """Return the table of strategies, one row each."""
    shown = _shown(status.strategies, rows)
    table = fitted_table(title, _COLUMNS, [_row(strategy) for strategy in shown], width=width)
    hidden = len(status.strategies) - len(shown)
    if hidden:
        table.caption = f"and {hidden} more; a taller window shows all"
        table.caption_justify = "left"
    return table


def _shown(strategies: list[StrategyStatus], rows: int) -> list[StrategyStatus]:
    if len(strategies) <= rows:
        return strategies
    calm = {"running", "warming", "created", "stopped"}
    return sorted(strategies, key=lambda s: s.status in calm)[:rows]


def signal_text(last_signal: str) -> str:
    """Write the newest signal with its time for people, in UTC.

    >>> signal_text("BUY @ 1704425400000"), signal_text("")
    ('BUY 01-05 03:30', '')
    """
    action, at, time_ms = last_signal.partition(" @ ")
    if not (at and time_ms.isdigit()):
        return last_signal
    when = datetime.fromtimestamp(int(time_ms) / 1000, UTC)
    return f"{action} {when:%m-%d %H:%M}"


def _row(strategy: StrategyStatus) -> list[Text]:
    last = strategy.cause or signal_text(strategy.last_signal)
    return [
        Text(strategy.id),
        Text(strategy.type, style="dim"),
        Text(f"{strategy.symbol} {strategy.timeframe}"),
        Text(strategy.status, style=STATUS_STYLES.get(strategy.status, "")),
        Text(amount(strategy.position, 4) if strategy.position else "flat"),
        _coloured(strategy.pnl, f"{amount(strategy.pnl, signed=True)} {quote(strategy.symbol)}"),
        _coloured(strategy.return_pct, f"{strategy.return_pct:+.2f} %"),
        Text(f"{strategy.trades:,}"),
        Text(last if len(last) <= _LAST else f"{last[: _LAST - 1]}…", style=_cause_style(strategy)),
        Text(f"{strategy.lag:,}"),
        Text(f"{strategy.cpu_s:,.1f} s"),
    ]


def _cause_style(strategy: StrategyStatus) -> str:
    return "red" if strategy.cause else ""


def _coloured(value: float, text: str) -> Text:
    return Text(text, style="green" if value > 0 else "red" if value < 0 else "")


def _progress(status: EngineStatus, *, width: int) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    speed = Text(f"{status.candles_per_s:,.0f} candles/s", style="bold")
    elapsed = Text(f"{status.elapsed_s:.1f} s", style="dim")
    phase = Text(status.phase, style="cyan")
    if status.total_candles:
        done = Text(f"{status.candles:,}/{status.total_candles:,}")
        bar = ProgressBar(
            total=status.total_candles, completed=status.candles, width=max(10, width // 3)
        )
        grid.add_row(phase, bar, done, speed, elapsed)
    else:
        grid.add_row(phase, Text(f"{status.candles:,} candles"), speed, elapsed)
    return grid
