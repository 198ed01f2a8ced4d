"""Two services on one PostgreSQL, one Redis and one data folder, one killed again and again.

By hand, with a report: ``python -m tests.chaos.two_engines --kills 4``.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
import psycopg

from actors.state import open_run_folder
from api.service.plan import ServicePlan, engine_config
from engine.catalog import Catalog
from engine.config import RunConfig, load_run_with_places
from engine.journal.orders import OrderJournal
from engine.market import open_market
from engine.recording import Attendance
from engine.recording.lines import FillLine, parse_line
from engine.sequencing.coordinator import Coordinator
from engine.timeframes import timeframe_ms
from engine.trading import Ledger, OrderManager
from tests.redis_server import redis_server
from tests.servers import postgres_server
from tests.service_process import ServiceProcess
from tests.waiting import until

__all__ = ["Outcome", "play"]

CONFIG = """
name: two
market:
  synthetic:
    symbols: [{symbol: BTC/USDT}, {symbol: ETH/USDT}]
placement: {isolation: pooled, hosts: 1}
accounts:
  - {id: paper, balances: {USDT: 1000000}}
strategies:
"""
STRATEGIES = {
    "first": ("BTC/USDT", "1m", 3, 8),
    "second": ("ETH/USDT", "1m", 2, 5),
    "third": ("BTC/USDT", "5m", 2, 4),
    "fourth": ("ETH/USDT", "1m", 5, 13),
    "fifth": ("BTC/USDT", "1m", 2, 6),
}
STRATEGY = """\
  - {{id: {id}, type: EMA_CROSS, symbol: {symbol}, timeframe: {timeframe}, account: paper,
     capital: 1000, parameters: {{fast_period: {fast}, slow_period: {slow}}}}}
"""

SPEED = 600
"""Ten candles of a minute per second."""

LEASE_S = 8
_GROWS_WITHIN_S = 120.0
_STANDS_BY = re.compile("standing by")
_RUNS = re.compile(r"Chorus runs at (http://\S+)")

_EXECUTIONS = (
    "SELECT strategy_id, interval_ms, result, subscribers, trades FROM strategy_executions"
)
_FILLS = "SELECT strategy_id, at_ms, quantity, price, fee FROM fills"


class Outcome(msgspec.Struct):
    """What came of it.

    Attributes:
        executions: On record: strategy, interval, result, followers, orders.
        replayed: The same, of the run's journal played in one go.
        fills: On record: strategy, time, quantity, price, fee.
        replayed_fills: The same, of the journal.
        workers: Executions of each process.
        takeovers_s: How long nobody led, by kill.
    """

    executions: list[tuple[str, int, str, int, int]]
    replayed: list[tuple[str, int, str, int, int]]
    fills: list[tuple[object, ...]]
    replayed_fills: list[tuple[object, ...]]
    workers: dict[str, int]
    takeovers_s: list[float]

    def gaps(self) -> list[str]:
        """Return what is missing between the first and the last interval of each strategy."""
        found = []
        for name, (_, timeframe, *_) in STRATEGIES.items():
            times = sorted(row[1] for row in self.executions if row[0] == name)
            step = timeframe_ms(timeframe)
            wanted = list(range(times[0], times[-1] + 1, step)) if times else ["any"]
            if times != wanted:
                found.append(f"{name}: {len(times)} rows, {len(wanted)} intervals")
        return found


def play(folder: Path, *, kills: int, between: int = 120) -> Outcome:
    """Kill the leader some times.

    Args:
        folder: Empty.
        kills: How often.
        between: Executions there have to be from one kill to the next.
    """
    config = folder / "two.yaml"
    config.write_text(
        CONFIG
        + "".join(
            STRATEGY.format(id=name, symbol=symbol, timeframe=timeframe, fast=fast, slow=slow)
            for name, (symbol, timeframe, fast, slow) in STRATEGIES.items()
        )
    )
    with postgres_server() as store, redis_server() as redis:
        shared = {
            "CHORUS_STORE": store,
            "CHORUS_REDIS_URL": redis.address,
            "CHORUS_LEADER_LEASE_S": str(LEASE_S),
        }
        data = folder / "data"
        services = [ServiceProcess(config, data, "--speed", str(SPEED)) for _ in "ab"]
        takeovers = []
        try:
            leader, standby = services
            leader.start(**shared)
            _stand_by(standby, shared)
            for _ in range(kills):
                _await_more(store, between)
                began = time.monotonic()
                leader.kill()
                standby.await_line(_RUNS)
                takeovers.append(time.monotonic() - began)
                _stand_by(leader, shared)  # started sooner it might be the one that leads
                leader, standby = standby, leader
            _await_more(store, between)
            assert standby.stop() == 0
            assert leader.stop() == 0
        finally:
            for service in services:
                service.__exit__()
        with psycopg.connect(store) as connection:
            [on_record] = connection.execute("SELECT lines, executions FROM recordings").fetchall()
            rows = connection.execute(_EXECUTIONS).fetchall()
            workers = connection.execute("SELECT worker FROM strategy_executions").fetchall()
            fills = [
                (name, at_ms, *map(Decimal, numbers))
                for name, at_ms, *numbers in connection.execute(_FILLS)
            ]
    executions, replayed_fills = _replayed(config, data, *on_record)
    return Outcome(
        executions=sorted(rows),
        replayed=sorted(executions),
        fills=sorted(fills),
        replayed_fills=sorted(replayed_fills),
        workers=dict(Counter(row[0] for row in workers)),
        takeovers_s=takeovers,
    )


def _stand_by(service: ServiceProcess, shared: dict[str, str]) -> None:
    service.launch(**shared)
    service.await_line(_STANDS_BY)


def _await_more(store: str, more: int) -> None:
    """Wait until there are so many more executions of the strategies."""
    with psycopg.connect(store, autocommit=True) as connection:

        def count() -> int:
            row = connection.execute("SELECT count(*) FROM strategy_executions").fetchone()
            assert row is not None
            return int(row[0])

        wanted = count() + more
        until(
            lambda: count() >= wanted,
            lambda: f"{count()} of {wanted} executions",
            within_s=_GROWS_WITHIN_S,
            every_s=0.1,
        )


def _replayed(
    config: Path, data: Path, lines: int, executions: int
) -> tuple[list[tuple[str, int, str, int, int]], list[tuple[object, ...]]]:
    """Play the journal of a run in one go; returns its executions and fills.

    What the engine did after it was last asked is in the journal, and will be on record: only so
    many lines of both kinds are looked at.
    """
    plan = ServicePlan(config=load_run_with_places(config).config, folder=data, speed=float(SPEED))
    run: RunConfig = engine_config(plan)
    market = open_market(run.market, run.wanted_streams)
    ledger = Ledger(tail=True)
    manager = OrderManager(run, base_streams=market.base_streams, ledger=ledger)
    coordinator = Coordinator(manager)
    with open_run_folder(data / "run", run, Catalog({}, []), (), resume=True) as folder:
        journal = OrderJournal(folder.journal("orders", OrderJournal.KIND))
        coordinator.restore(market.slices(), journal.records())
        journal.close()
    attendance = Attendance("replay", lambda name: 0)
    attendance.begin([])
    page = coordinator.executions_from(0, executions, with_roster=False)
    rows = [row for line in page.lines for row in attendance.rows_of(line)]
    fills = [
        (line.instance, line.time, line.quantity, line.price, line.fee)
        for line in map(parse_line, ledger.lines_from(0, lines))
        if isinstance(line, FillLine)
    ]
    return [
        (row.strategy_id, row.interval_ms, row.result, row.subscribers, row.trades) for row in rows
    ], fills


def main() -> None:
    """Play, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--between", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chorus-two-") as name:
        outcome = play(Path(name), kills=options.kills, between=options.between)
    results = dict(Counter(row[2] for row in outcome.executions))
    lines = [
        f"executions {len(outcome.executions)} {results}, fills {len(outcome.fills)}",
        f"by process {outcome.workers}",
        f"gaps {outcome.gaps() or 'none'}",
        f"as the journal: executions {outcome.executions == outcome.replayed}",
        f"as the journal: fills {outcome.fills == outcome.replayed_fills}",
        "nobody led for " + ", ".join(f"{each:.1f} s" for each in outcome.takeovers_s),
    ]
    print("\n".join(lines))  # noqa: T201 - the report asked for


if __name__ == "__main__":
    main()
