"""B-ORDERS: signals per second through the order manager, one core, no actors.

Twenty strategies of one account want something about one symbol at the same time; limits of
strategy and account are on, entries get a stop and a target. What is counted goes from the signal
through risk, arbitration and sizing to the order, its fill and the ledger's hash.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from random import Random

from benchmarks.harness import Measure, Scenario, Trial
from benchmarks.results import Metric, Mode
from benchmarks.workloads import SYMBOL, macd_rsi
from engine.config import RunConfig
from engine.errors import ChorusError
from engine.market import open_market
from engine.trading import Ledger, OrderManager
from engine.types import Action, Decision, MarketSlice, Signal

__all__ = ["SCENARIO"]

STRATEGIES = 20
SLICES = 2000
WANTS = 0.5
"""Probability that a strategy wants something after a candle."""

POLICIES = ("independent", "net", "priority", "first")


def workload(policy: str) -> RunConfig:
    """Return the run whose order manager is measured; its strategies are never evaluated."""
    risk = {"maxPositionSize": 0.5, "stopLoss": 0.02, "takeProfit": 0.04, "maxDrawdown": 0.9}
    return RunConfig.model_validate(
        {
            "market": {
                "synthetic": {"symbols": [{"symbol": SYMBOL}], "candles": SLICES, "seed": 11}
            },
            "execution": {"takerFeeBps": 4, "slippageBps": 1},
            "arbitration": {"policy": policy},
            "instruments": [{"symbol": SYMBOL, "tickSize": "0.01", "lotSize": "0.0001"}],
            "accounts": [
                {
                    "id": "paper",
                    "balances": {"USDT": 10_000_000},
                    "maxOpenPositions": STRATEGIES,
                    "maxDrawdown": 0.9,
                }
            ],
            "strategies": [
                macd_rsi(
                    f"s{n:02d}",
                    risk=risk,
                    sizing={"mode": "fixed_quantity", "value": 1},
                    capital=100_000,
                    priority=n % 3,
                )
                for n in range(STRATEGIES)
            ],
        }
    )


def wishes(slices: list[MarketSlice], stream: str) -> list[list[Decision]]:
    """Return what the strategies want after each slice: alternately in and out."""
    random = Random(5)  # noqa: S311 - a seeded workload, not cryptography
    is_in = [False] * STRATEGIES
    wanted = []
    for market_slice in slices:
        decisions = []
        for n in range(STRATEGIES):
            if random.random() >= WANTS:
                continue
            action = Action.CLOSE if is_in[n] else Action.BUY
            is_in[n] = not is_in[n]
            signal = Signal(action, SYMBOL, round(random.random(), 2), "benchmark")
            seq = market_slice.candles[0].seq
            decisions.append(Decision(f"s{n:02d}", stream, seq, market_slice.time, (signal,)))
        wanted.append(decisions)
    return wanted


def _prepare(policy: str) -> Measure:
    run = workload(policy)
    stream = run.strategies[0].main_stream
    market = open_market(run.market, [stream])
    slices = list(market.slices())
    wanted = wishes(slices, stream)
    signals = sum(map(len, wanted))

    def measure() -> Mapping[str, float]:
        ledger = Ledger()
        manager = OrderManager(run, base_streams=market.base_streams, ledger=ledger)
        for strategy in run.strategies:
            manager.register(strategy)
        began = time.perf_counter()
        for market_slice, decisions in zip(slices, wanted, strict=True):
            manager.match(market_slice)
            manager.decide(market_slice, decisions)
        ledger.sha256()
        elapsed_s = time.perf_counter() - began
        orders = sum(len(ledger.orders(strategy.id)) for strategy in run.strategies)
        if not orders:
            raise ChorusError(f"B-ORDERS: none of {signals} signals became an order")
        return {"Chorus": signals / elapsed_s}

    return measure


def _trials(mode: Mode) -> list[Trial]:
    runs = 5 if mode == "short" else 7
    return [
        Trial({"policy": policy, "journal": "none"}, partial(_prepare, policy), runs)
        for policy in POLICIES
    ]


SCENARIO = Scenario(
    "B-ORDERS",
    "order manager: signals through risk, arbitration and ledger, one core",
    {"Chorus": Metric("signals/s", "higher")},
    _trials,
)
