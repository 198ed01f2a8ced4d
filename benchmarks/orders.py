"""B-ORDERS: signals per second through the order manager, one core, no actors.

Twenty strategies of one account want something about one symbol at the same time; limits of
strategy and account are on, entries get a stop and a target. What is counted goes from the signal
through risk, arbitration and sizing to the order, its fill and the ledger's hash.

With a journal every slice is waited for until it is on the disk: `decisions` writes what is asked
for before it is acted upon, `ledger` writes the lines that say what became of it. The file lies in
the folder for temporary files; where that is no disk (tmpfs), set TMPDIR to one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from benchmarks.harness import Measure, Scenario, Trial
from benchmarks.results import Metric, Mode
from benchmarks.workloads import SYMBOL, macd_rsi
from engine.config import RunConfig
from engine.errors import ChorusError
from engine.journal import Decided, JournalFile, OrderJournal
from engine.market import open_market
from engine.trading import Ledger, LedgerSink, OrderManager
from engine.types import Action, Decision, MarketSlice, Signal

__all__ = ["SCENARIO"]

STRATEGIES = 20
SLICES = 2000
DURABLE_SLICES = 300
"""With a journal: the disk takes milliseconds for each."""
WANTS = 0.5
"""Probability that a strategy wants something after a candle."""

POLICIES = ("independent", "net", "priority", "first")
JOURNALS = ("decisions", "ledger")
"""Short mode takes the first half of either."""


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


def _prepare(policy: str, journal: str, count: int) -> Measure:
    run = workload(policy, count)
    stream = run.strategies[0].main_stream
    market = open_market(run.market, [stream])
    slices = list(market.slices())
    wanted = wishes(slices, stream)
    signals = sum(map(len, wanted))

    def measure() -> Mapping[str, float]:
        with _open_journal(journal) as kept:
            ledger = Ledger(sink=kept.sink)
            manager = OrderManager(run, base_streams=market.base_streams, ledger=ledger)
            for strategy in run.strategies:
                manager.register(strategy)
            began = time.perf_counter()
            for market_slice, decisions in zip(slices, wanted, strict=True):
                manager.match(market_slice)
                kept.before(market_slice, decisions)
                manager.decide(market_slice, decisions)
                kept.after()
            ledger.sha256()
            elapsed_s = time.perf_counter() - began
        if not any(ledger.fills(strategy.id) for strategy in run.strategies):
            raise ChorusError(f"B-ORDERS: none of {signals} signals led to a fill")
        return {"Chorus": signals / elapsed_s}

    return measure


class _Unkept:
    """No journal."""

    sink: LedgerSink | None = None

    def before(self, market_slice: MarketSlice, decisions: list[Decision]) -> None:
        """Keep what is about to be decided."""

    def after(self) -> None:
        """Keep what was decided."""


class _KeptDecisions(_Unkept):
    """Writes decisions ahead, as a restart needs them."""

    def __init__(self, file: JournalFile) -> None:
        self._journal = OrderJournal(file)

    def before(self, market_slice: MarketSlice, decisions: list[Decision]) -> None:
        """Write the decisions of a slice and wait for the disk."""
        if decisions:
            self._journal.append(Decided(market_slice.number, decisions))
            self._journal.commit()


class _KeptLedger(_Unkept):
    """Takes the ledger's lines; its own sink."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self.sink = self

    def append(self, record: bytes) -> None:
        """Take one line."""
        self._file.append(record)

    def after(self) -> None:
        """Write the lines of a slice and wait for the disk."""
        self._file.commit()


@contextmanager
def _open_journal(kind: str) -> Iterator[_Unkept]:
    if kind == "none":
        yield _Unkept()
        return
    with (
        TemporaryDirectory(prefix="chorus-bench-") as folder,
        JournalFile(Path(folder) / kind, kind=OrderJournal.KIND) as file,
    ):
        yield _KeptDecisions(file) if kind == "decisions" else _KeptLedger(file)


def _trials(mode: Mode) -> list[Trial]:
    runs = 3 if mode == "short" else 7
    kept = 1 if mode == "short" else 2
    cases = [(policy, "none", SLICES) for policy in POLICIES[: 2 * kept]]
    cases += [("independent", journal, DURABLE_SLICES) for journal in JOURNALS[:kept]]
    return [
        Trial(
            {"policy": policy, "journal": journal, "slices": slices},
            partial(_prepare, policy, journal, slices),
            runs,
        )
        for policy, journal, slices in cases
    ]


SCENARIO = Scenario(
    "B-ORDERS",
    "order manager: signals through risk, arbitration and ledger, one core",
    {"Chorus": Metric("signals/s", "higher")},
    _trials,
)
