"""What the process of a dedicated strategy carries: hundreds of them run on one machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NEVER_NEEDED = {
    "api",
    "engine.backtest",
    "engine.config.load",
    "engine.config.run",
    "engine.market.files",
    "engine.vectorised",
    "matplotlib",
    "pandas",
    "polars",
    "pydantic_settings",
    "rich",
    "structlog",
    "typer",
}
"""Either large, or made for whoever starts the engine and reads its report."""


def modules_after(code: str) -> set[str]:
    """Return what a fresh interpreter has imported after running some code."""
    done = subprocess.run(  # noqa: S603 - the test's own code
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


# Ray loads the class of every actor whose handle a strategy is given, and with it the module.
IMPORTS = "import actors.strategy, actors.market_data"
BUILT_IN = "from engine.catalog import default_folders, discover; discover(default_folders())"


def test_a_dedicated_strategy_imports_nothing_it_does_not_need() -> None:
    found = modules_after(f"{IMPORTS}\n{BUILT_IN}")
    assert {"ray", "zmq", "talib", "engine.instance", "strategies"} <= found
    assert found & NEVER_NEEDED == set()


def test_only_strategies_with_rules_bring_the_parser() -> None:
    assert "lark" not in modules_after(IMPORTS)


def test_a_candle_file_brings_polars_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "BTC-USDT_1m.csv"
    file.write_text("open_time,open,high,low,close,volume\n2024-01-01T00:00:00Z,1,2,1,2,5\n")
    code = f"""
from engine.config import MarketConfig
from engine.market import open_market
market = open_market(MarketConfig(), ["paper:BTC/USDT:1m"], ["BTC/USDT:1m={file}"])
assert market.total_slices == 1, market.total_slices
"""
    assert "polars" in modules_after(f"{IMPORTS}\n{code}")


def test_what_is_imported_before_the_actors_is_not_searched_for_garbage() -> None:
    code = "import ray, gc, actors; assert gc.get_freeze_count() > 10_000, gc.get_freeze_count()"
    assert "actors" in modules_after(code)
