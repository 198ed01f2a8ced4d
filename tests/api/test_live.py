from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from api.cli.live import LiveView, PlainView, amount, screen, view_for
from engine.status import EngineStatus, StrategyStatus


def strategy(name: str = "a", **changes: Any) -> StrategyStatus:
    facts: dict[str, Any] = {
        "id": name,
        "name": name,
        "type": "RULES",
        "symbol": "BTC/USDT",
        "timeframe": "1m",
        "account": "",
        "status": "running",
    }
    return StrategyStatus(**{**facts, **changes})


def status(*strategies: StrategyStatus, **changes: Any) -> EngineStatus:
    facts: dict[str, Any] = {
        "phase": "running",
        "slice_number": 7,
        "candles": 1500,
        "total_candles": 6000,
        "candles_per_s": 2500.4,
        "elapsed_s": 0.6,
        "strategies": list(strategies),
        "latency_ms": {"p50": 0.4, "p99": 3.0},
    }
    return EngineStatus(**{**facts, **changes})


def shown(renderable: Any, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, height=50)
    console.print(renderable)
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_table_shows_status_position_profit_signal_and_lag() -> None:
    text = shown(
        screen(
            status(
                strategy(
                    position=-1.25,
                    pnl=-4683.0,
                    return_pct=-4.683,
                    trades=1755,
                    last_signal="SELL 12:05",
                    lag=3,
                    cpu_s=12.3,
                )
            ),
            "demo",
            rows=10,
            width=160,
        )
    )
    for part in (
        "demo",
        "running",
        "-1.2500",
        "-4,683.00",
        "-4.68 %",
        "1,755",
        "12.3 s",
        "SELL 12:05",
    ):
        assert part in text
    assert "1,500/6,000" in text
    assert "2,500 candles/s" in text
    assert "p99 3.00 ms" in text


def test_a_flat_strategy_says_so_and_an_error_shows_its_cause() -> None:
    text = shown(
        screen(
            status(strategy(status="error", cause="ValueError: [x]")), "demo", rows=10, width=160
        )
    )
    assert "flat" in text
    assert "ValueError: [x]" in text


def test_an_unknown_total_shows_a_count_without_a_bar() -> None:
    text = shown(screen(status(strategy(), total_candles=0), "demo", rows=10, width=160))
    assert "1,500 candles" in text
    assert "1,500/" not in text


def test_when_rows_are_short_those_in_trouble_come_first() -> None:
    many = [strategy(f"calm{n}") for n in range(40)] + [strategy("hurt", status="error")]
    text = shown(screen(status(*many), "demo", rows=5, width=160))
    assert "hurt" in text
    assert "and 36 more" in text
    assert text.count("calm") == 4


def test_plain_lines_come_every_few_seconds_only() -> None:
    lines: list[str] = []
    clock = Clock()
    with PlainView(lines.append, "demo", clock=clock) as view:
        for _ in range(20):
            view(status(strategy(), strategy("b", status="warming")))
            clock.now += 0.5
    assert lines.pop(0) == "demo: starting"
    assert len(lines) == 4
    words = " ".join(lines[0].split())
    assert words == "0.6 s running 1,500/6,000 candles 2,500/s 1 running, 1 warming"


def test_a_strategy_that_fails_is_announced_once_and_at_once() -> None:
    lines: list[str] = []
    view = PlainView(lines.append, "demo", clock=Clock())
    view(status(strategy()))
    for _ in range(3):
        view(status(strategy(status="error", cause="boom")))
    assert lines[1:] == ["strategy 'a' ended in error: boom"]


def test_the_view_follows_the_terminal() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True)
    pipe = Console(file=io.StringIO(), force_terminal=False)
    assert isinstance(view_for(terminal, "x", quiet=False), LiveView)
    assert isinstance(view_for(pipe, "x", quiet=False), PlainView)
    assert isinstance(view_for(terminal, "x", quiet=True), PlainView)


def test_a_quiet_view_writes_nothing() -> None:
    out = io.StringIO()
    with view_for(Console(file=out, force_terminal=True), "x", quiet=True) as view:
        view(status(strategy(status="error", cause="boom")))
    assert out.getvalue() == ""


def test_plain_lines_are_not_read_as_markup() -> None:
    out = io.StringIO()
    with view_for(Console(file=out, width=40), "x", quiet=False) as view:
        view(status(strategy(status="error", cause="[bold]" + "x" * 60)))
    assert "[bold]" + "x" * 60 in out.getvalue()


def test_the_live_view_redraws_four_times_a_second_and_at_the_end() -> None:
    out = io.StringIO()
    clock = Clock()
    console = Console(file=out, force_terminal=True, width=140, height=40)
    with LiveView(console, "demo", clock=clock) as view:
        view(status(strategy(), candles=1))
        clock.now += 0.1
        view(status(strategy(), candles=2222))
        clock.now += 0.2
        view(status(strategy(), candles=3))
        view(status(strategy(), candles=5999, phase="done"))
    text = out.getvalue()
    assert "2,222/6,000" not in text
    assert "3/6,000" in text
    assert "5,999/6,000" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (0.00001234, "1.234e-05"),
        (0.1, "0.10"),
        (1234.567, "1,234.57"),
        (-4683.0, "-4,683.00"),
    ],
)
def test_amounts_keep_small_figures_readable(value: float, text: str) -> None:
    assert amount(value) == text


def test_on_a_narrow_terminal_the_least_important_columns_go() -> None:
    line = strategy("quite_a_long_name", pnl=-4683.0, last_signal="SELL 12:05", lag=7)
    text = shown(screen(status(line), "demo", rows=10, width=80), width=80)
    assert "type" not in text
    assert "trades" not in text
    for part in ("quite_a_long_name", "running", "-4,683.00", "7", "lag"):
        assert part in text
    assert max(len(row.rstrip()) for row in text.split("\n")) <= 80
