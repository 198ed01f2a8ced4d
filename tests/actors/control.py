"""What tests ask of a running engine, and how they wait for it."""

from __future__ import annotations

import pytest

from actors.engine import RunningEngine

__all__ = ["Control"]


class Control:
    """An engine and the questions the tests ask about one strategy."""

    def __init__(self, engine: RunningEngine) -> None:
        self.engine = engine
        self.client = engine.client

    def until(self, strategy_id: str, status: str, candles: int = 0) -> None:
        for _ in range(200):
            line = {s.id: s for s in self.client.status().strategies}[strategy_id]
            if line.status == status and line.candles >= candles:
                return
            assert not self.engine.wait(0.1), "the feed ended too early"
        pytest.fail(f"{strategy_id} is {line}, not {status} after {candles} candles")

    def until_it_trades_after(self, strategy_id: str, slice_number: int) -> None:
        for _ in range(200):
            signals = self.client.extract().ledger.strategies[strategy_id].signals
            if any(s["slice"] > slice_number and s["code"] == "accepted" for s in signals):
                return
            assert not self.engine.wait(0.1), "the feed ended too early"
        pytest.fail(f"{strategy_id} does not trade after slice {slice_number}")
