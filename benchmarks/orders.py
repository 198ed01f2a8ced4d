"""B-ORDERS: signals per second through the order manager, one core, no actors.

Twenty strategies of one account want something about one symbol at the same time; limits of
strategy and account are on, entries get a stop and a target. What is counted goes from the signal
through risk, arbitration and sizing to the order, its fill and the ledger's hash.

Without a journal the order manager is driven alone. With one it is the coordinator that drives it:
every strategy is a participant of its own and answers every candle, what it asks for is recorded
before it is acted upon, and each slice waits for the disk (one commit with fdatasync) before
anybody is told of it. The file lies in the folder for temporary files; where that is no disk
(tmpfs), set TMPDIR to one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from benchmarks.harness import Measure, Scenario, Trial
from benchmarks.results import Metric, Mode
from benchmarks.workloads import SYMBOL, macd_rsi
from engine.config import RunConfig
from engine.errors import ChorusError
from engine.journal import JournalFile
from engine.journal.orders import OrderJournal
from engine.market import open_market
from engine.sequencing import Answer, SliceDecision
from engine.sequencing.coordinator import Coordinator
from engine.trading import Ledger, OrderManager, Registration
from engine.types import Action, Decision, MarketSlice, Signal

__all__ = ["SCENARIO"]

STRATEGIES = 20
SLICES = 2000
RECORDED_SLICES = 500
"""With a journal: some disks take milliseconds for each."""
WANTS = 0.5
"""Probability that a strategy wants something after a candle."""

POLICIES = ("independent", "net", "priority", "first")
"""Short mode takes the first half, and the first with a journal."""

Step = Callable[[MarketSlice, Sequence[Decision]], None]
"""Carries out one slice with what is asked for after it."""

Driven = Callable[[OrderManager, RunConfig, Sequence[MarketSlice]], AbstractContextManager[Step]]


def workload(policy: str, slices: int) -> RunConfig:
    """Return the run whose order manager is measured; its strategies are never evaluated."""
    risk = {"maxPositionSize": 0.5, "stopLoss": 0.02, "takeProfit": 0.04, "maxDrawdown": 0.9}
    return RunConfig.model_validate(
        {
            "market": {
                "synthetic": {"symbols": [{"symbol": SYMBOL}], "candles": slices, "seed": 11}
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


@contextmanager
def _alone(manager: OrderManager, run: RunConfig, _slices: Sequence[MarketSlice]) -> Iterator[Step]:
    """Drive an order manager without anything around it."""
    for strategy in run.strategies:
        manager.register(Registration(strategy))

    def step(market_slice: MarketSlice, decisions: Sequence[Decision]) -> None:
        manager.match(market_slice)
        manager.decide(market_slice, decisions)

    yield step


@contextmanager
def _recorded(
    manager: OrderManager, run: RunConfig, slices: Sequence[MarketSlice]
) -> Iterator[Step]:
    """Drive an order manager by a coordinator that records on the disk.

    A slice is decided and the next one matched by the same call, as in a replay.
    """
    with (
        TemporaryDirectory(prefix="chorus-bench-") as folder,
        OrderJournal(JournalFile(Path(folder) / "orders", kind=OrderJournal.KIND)) as journal,
    ):
        coordinator = Coordinator(manager, journal)
        coordinator.register(map(Registration, run.strategies))
        hosts = [strategy.id for strategy in run.strategies]
        for strategy in run.strategies:
            coordinator.join(strategy.id, epoch=1, instances={strategy.id: [strategy.main_stream]})
        coordinator.add_slices(slices)
        coordinator.advance()

        def step(market_slice: MarketSlice, decisions: Sequence[Decision]) -> None:
            number = market_slice.number
            asked = {decision.instance: [SliceDecision(number, decision)] for decision in decisions}
            for host in hosts:
                wanted = asked.get(host, [])
                waiting = number + 1 if wanted else -1
                coordinator.on_answer(Answer(host, 1, number, waiting, 0, wanted))
            coordinator.advance()
            if coordinator.decided != number:
                raise ChorusError(f"B-ORDERS: slice {number} is not decided")

        yield step


def _prepare(policy: str, slice_count: int, driven: Driven) -> Measure:
    run = workload(policy, slice_count)
    stream = run.strategies[0].main_stream
    market = open_market(run.market, [stream])
    slices = list(market.slices())
    wanted = wishes(slices, stream)
    signals = sum(map(len, wanted))

    def measure() -> Mapping[str, float]:
        ledger = Ledger()
        manager = OrderManager(run, base_streams=market.base_streams, ledger=ledger)
        with driven(manager, run, slices) as step:
            began = time.perf_counter()
            for market_slice, decisions in zip(slices, wanted, strict=True):
                step(market_slice, decisions)
            ledger.sha256()
            elapsed_s = time.perf_counter() - began
        if not any(ledger.fills(strategy.id) for strategy in run.strategies):
            raise ChorusError(f"B-ORDERS: none of {signals} signals led to a fill")
        return {"Chorus": signals / elapsed_s}

    return measure


def _trials(mode: Mode) -> list[Trial]:
    runs, alone, recorded = (3, 2, 1) if mode == "short" else (7, len(POLICIES), len(POLICIES))
    cases: list[tuple[str, str, int, Driven]] = [
        (policy, "none", SLICES, _alone) for policy in POLICIES[:alone]
    ]
    cases += [(policy, "records", RECORDED_SLICES, _recorded) for policy in POLICIES[:recorded]]
    return [
        Trial(
            {"policy": policy, "journal": journal, "slices": count},
            partial(_prepare, policy, count, driven),
            runs,
        )
        for policy, journal, count, driven in cases
    ]


SCENARIO = Scenario(
    "B-ORDERS",
    "order manager: signals through risk, arbitration and ledger, one core",
    {"Chorus": Metric("signals/s", "higher")},
    _trials,
)
