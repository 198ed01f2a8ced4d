"""Results that may not change unnoticed; `make golden` rewrites them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"


def essence(report: dict[str, Any]) -> dict[str, Any]:
    """Return what must stay: counts, money and hashes; neither speed nor latency."""
    return {
        "candles": report["candles"],
        "ledger_sha256": report["ledger_sha256"],
        "strategies": {
            strategy["id"]: {
                "trades": strategy["metrics"]["total_trades"],
                "realised": strategy["metrics"]["realised"],
                "fees": strategy["metrics"]["fees"],
                "signals": len(strategy["signals"]),
                "orders": len(strategy["orders"]),
                "fills": len(strategy["fills"]),
                "ledger_sha256": strategy["ledger_sha256"],
            }
            for strategy in report["strategies"]
        },
    }


@pytest.mark.parametrize("name", ["demo", "macd_rsi"])
def test_golden_backtest(chorus: Callable[..., Result], name: str) -> None:
    result = chorus("backtest", ROOT / "configs" / f"{name}.yaml", "--json")
    assert result.exit_code == 0, result.stderr
    found = essence(json.loads(result.stdout))
    file = GOLDEN / f"{name}.json"
    if os.environ.get("CHORUS_WRITE_GOLDEN"):
        file.write_text(json.dumps(found, indent=2) + "\n")
    assert found == json.loads(file.read_text()), "changed on purpose? make golden, and say why"
