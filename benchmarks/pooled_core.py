"""B-POOLED-CORE: many MACD + RSI instances in one host, without actors, transport or encoding.

Three cases, all on one core:

- idle: nobody ever trades, candles come in batches of 128 slices;
- trading: the rule of `configs/macd_rsi.yaml`, an order on about 8 % of candles, with coordinator
  and order manager in the same process; either all instances want the same at the same time, or
  each has indicators of its own length and somebody waits nearly all the time;
- paced: one candle of each of 300 symbols in one slice, from the first offer to the answer.

The clock starts when everybody is warm: a first batch compiles rules and opens indicators. Figures
per CPU second do not depend on what else the machine does.

Run: ``python -m benchmarks.pooled_core [--only idle|trading|paced] [--instances N]``
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.harness import machine_line, percentiles, repeat
from benchmarks.workloads import one_of_many, run_of
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.instance import Instance, build
from engine.market import Market, open_market
from engine.sequencing import CandleBatch
from engine.sequencing.coordinator import Coordinator
from engine.sequencing.host import HostRunner
from engine.trading import Ledger, OrderManager, Registration
from engine.types import MarketSlice

__all__ = ["idle", "main", "paced", "trading"]

BATCH_SLICES = 128
SYMBOLS = 300
WARM_SLICES = 60
"""Candles before the clock starts: every indicator is ready after 34."""


def instances_of(config: RunConfig) -> list[Instance]:
    """Build every instance of a run."""
    catalog = discover(default_folders())
    return [
        build(strategy, catalog.types[strategy.type], capital=config.capital_of(strategy))
        for strategy in config.strategies
    ]


def a_host(config: RunConfig) -> HostRunner[Instance]:
    """Return a host of all instances of a run."""
    host: HostRunner[Instance] = HostRunner("pool", 1)
    for instance in instances_of(config):
        host.add(instance, instance.config.streams)
    return host


def batches(slices: list[MarketSlice]) -> Iterator[CandleBatch]:
    """Yield the candles of some slices, stream by stream."""
    found: dict[str, CandleBatch] = {}
    for market_slice in slices:
        for candle in market_slice.candles:
            batch = found.get(candle.stream)
            if batch is None:
                batch = found[candle.stream] = CandleBatch(candle.stream, 0, [], [], [])
            batch.slices.append(market_slice.number)
            batch.times.append(market_slice.time)
            batch.candles.append(candle)
    yield from found.values()


def in_parts(market: Market) -> list[list[MarketSlice]]:
    """Return the slices of a market in batches."""
    slices = list(market.slices())
    return [slices[n : n + BATCH_SLICES] for n in range(0, len(slices), BATCH_SLICES)]


def idle(instances: int, slices: int) -> Mapping[str, float]:
    """Measure instances of one stream that never want anything, from offer to answer."""
    names = [f"s{n:05d}" for n in range(instances)]
    strategies = [one_of_many(name, "BTC/USDT", idle=True) for name in names]
    config = run_of(strategies, ["BTC/USDT"], BATCH_SLICES + slices)
    host = a_host(config)
    warm, *parts = (
        list(batches(part)) for part in in_parts(open_market(config.market, host.streams))
    )
    for batch in warm:
        host.offer(batch)
    host.run()
    gc.collect()
    gc.freeze()
    began = time.perf_counter(), time.process_time()
    answered = -1
    for part in parts:
        for batch in part:
            host.offer(batch)
        host.run()
        answer = host.answer()
        if answer is not None:
            answered = answer.through
    wall_s, cpu_s = time.perf_counter() - began[0], time.process_time() - began[1]
    gc.unfreeze()
    last = BATCH_SLICES + slices - 1
    if answered != last or host.failed:
        raise RuntimeError(f"answered through {answered} of {last}, failed: {host.failed}")
    work = instances * slices
    return {"per_s": work / wall_s, "per_cpu_s": work / cpu_s}


def trading(instances: int, slices: int, *, same: bool) -> Mapping[str, float]:
    """Measure host, coordinator and order manager together."""
    strategies = [
        one_of_many(f"s{n:05d}", "BTC/USDT", idle=False, stretch=0 if same else n % 50)
        for n in range(instances)
    ]
    config = run_of(strategies, ["BTC/USDT"], BATCH_SLICES + slices)
    host = a_host(config)
    market = open_market(config.market, host.streams)
    parts = [(list(batches(part)), part) for part in in_parts(market)]
    ledger = Ledger()
    manager = OrderManager(config, base_streams=market.base_streams, ledger=ledger)
    coordinator = Coordinator(manager)
    for strategy in config.strategies:
        manager.register(Registration(strategy))
    wanted = {strategy.id: strategy.streams for strategy in config.strategies}
    coordinator.join("pool", epoch=1, instances=wanted)
    host_s = 0.0
    rounds = 0

    def play(messages: list[CandleBatch], part: list[MarketSlice]) -> None:
        nonlocal host_s, rounds
        for batch in messages:
            host.offer(batch)
        coordinator.add_slices(part)
        while coordinator.decided < part[-1].number:
            rounds += 1
            entered = time.process_time()
            host.run()
            answer = host.answer()
            host_s += time.process_time() - entered
            if answer is not None:
                coordinator.on_answer(answer)
            releases = coordinator.advance()
            entered = time.process_time()
            for _, release in releases:
                host.release(release)
            host_s += time.process_time() - entered

    play(*parts[0])
    fills = _fills(ledger, host)
    host_s, rounds = 0.0, 0
    gc.collect()
    gc.freeze()
    began = time.perf_counter(), time.process_time()
    for messages, part in parts[1:]:
        play(messages, part)
    ledger.sha256()
    wall_s, cpu_s = time.perf_counter() - began[0], time.process_time() - began[1]
    gc.unfreeze()
    if host.failed:
        raise RuntimeError(f"failed: {host.failed}")
    work = instances * slices
    return {
        "per_s": work / wall_s,
        "per_cpu_s": work / cpu_s,
        "host_share": host_s / cpu_s,
        "fills_per_candle": (_fills(ledger, host) - fills) / work,
        "rounds_per_slice": rounds / slices,
    }


def _fills(ledger: Ledger, host: HostRunner[Instance]) -> int:
    return sum(len(ledger.fills(name)) for name in host.instances)


def paced(instances: int, slices: int) -> Mapping[str, float]:
    """Measure one candle of every symbol at once, ms from the first offer to the answer."""
    symbols = [f"S{n:03d}/USDT" for n in range(SYMBOLS)]
    strategies = [
        one_of_many(f"s{n:05d}", symbols[n % SYMBOLS], idle=True) for n in range(instances)
    ]
    config = run_of(strategies, symbols, WARM_SLICES + slices)
    host = a_host(config)
    market = open_market(config.market, host.streams)
    gc.collect()
    gc.freeze()
    elapsed_ms, cpu_ms = [], []
    for market_slice in market.slices():
        messages = list(batches([market_slice]))
        began, cpu_began = time.perf_counter(), time.process_time()
        for batch in messages:
            host.offer(batch)
        host.mark(market_slice.number)
        host.run()
        answer = host.answer()
        cpu_ms.append((time.process_time() - cpu_began) * 1e3)
        elapsed_ms.append((time.perf_counter() - began) * 1e3)
        if answer is None or answer.through != market_slice.number:
            raise RuntimeError(f"slice {market_slice.number}: answered {answer}")
    gc.unfreeze()
    cpu = percentiles(cpu_ms[WARM_SLICES:])
    return percentiles(elapsed_ms[WARM_SLICES:]) | {f"cpu_{k}": v for k, v in cpu.items()}


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("idle", "trading", "paced"))
    parser.add_argument("--instances", type=int, default=0, help="instead of the usual numbers")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None, help="write the results here")
    arguments = parser.parse_args()
    results = []
    print(machine_line())

    def show(case: str, figures: Mapping[str, float]) -> None:
        results.append({"id": "B-POOLED-CORE", "case": case, **figures})
        print(f"{case}: " + ", ".join(f"{name} {value:,.2f}" for name, value in figures.items()))

    only, given = arguments.only, arguments.instances
    if only in (None, "idle"):
        for count in [given] if given else [100, 1000]:
            slices = 512_000 // count // BATCH_SLICES * BATCH_SLICES
            show(f"idle, N = {count}", repeat(partial(idle, count, slices), arguments.runs))
    if only in (None, "trading"):
        for same in (True, False):
            count = given or 100
            show(
                f"trading, N = {count}, {'same' if same else 'own'} indicators",
                repeat(partial(trading, count, 2048, same=same), arguments.runs),
            )
    if only in (None, "paced"):
        count = given or 10_000
        show(f"paced, N = {count}, ms", repeat(partial(paced, count, 60), arguments.runs))
    if arguments.json is not None:
        document = {"machine": machine_line(), "results": results}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
