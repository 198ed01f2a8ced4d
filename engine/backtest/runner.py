"""Runs a configuration in one process, slice by slice: the reference for every other way."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import start_failure
from engine.instance import Instance, build
from engine.money import instruments_by_symbol
from engine.report import (
    EngineExtract,
    RunReport,
    StrategyOutcome,
    build_report,
    extract_of,
    outcome_of,
    outcome_without_instance,
    status_of,
)
from engine.status import EngineStatus, StrategyStatus, idle_status
from engine.trading import Ledger, OrderManager, Registration

if TYPE_CHECKING:
    from engine.catalog import Catalog
    from engine.config import RunConfig, StrategyConfig
    from engine.market import Market
    from engine.types import Decision, OrderEvent

__all__ = ["Backtest", "run_backtest"]

STATUS_EVERY_SLICES = 4096


class Backtest:
    """One run of a configuration over a market, without actors.

    The four steps per slice are the contract every transport has to reproduce: match, deliver
    events, let the instances decide, decide. See `engine.sequencing` for the distributed form.
    """

    def __init__(self, config: RunConfig, catalog: Catalog, market: Market) -> None:
        self._config = config
        self._market = market
        self._missing = frozenset(market.missing)
        self.manager = OrderManager(config, base_streams=market.base_streams, ledger=Ledger())
        self.instances: dict[str, Instance] = {}
        self._failures: dict[str, str] = {}
        self._routes: dict[str, list[Callable[[Any], Decision | None]]] = {}
        self._base = frozenset(market.base_streams.values())
        self.candles = 0
        self.slice_number = -1
        for strategy in config.strategies:
            if strategy.enabled and not self._lacks(strategy):
                self._add(strategy, catalog)

    def _lacks(self, strategy: StrategyConfig) -> list[str]:
        return [stream for stream in strategy.streams if stream in self._missing]

    def _add(self, strategy: StrategyConfig, catalog: Catalog) -> None:
        """Build a strategy; one that cannot be built is withdrawn and the others play on."""
        loaded, capital = catalog.types[strategy.type], self._config.capital_of(strategy)
        instruments = instruments_by_symbol(self._config.instruments)
        self.manager.register(Registration(strategy))
        try:
            instance = build(strategy, loaded, instruments=instruments, capital=capital)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - strategy code, contained
            cause = self._failures[strategy.id] = start_failure(error)
            self.manager.withdraw(strategy.id, cause)
            return
        self.instances[strategy.id] = instance
        for stream in strategy.streams:
            self._routes.setdefault(stream, []).append(instance.on_candle)

    def run(self, *, every: int, watch: Callable[[], bool]) -> bool:
        """Play the market to its end.

        Args:
            every: Slices between two calls of `watch`.
            watch: Returns False to stop early.

        Returns:
            True if the end was reached.
        """
        match, decide = self.manager.match, self.manager.decide
        routes, base = self._routes, self._base
        none: tuple[Any, ...] = ()
        countdown = every
        for market_slice in self._market.slices():
            events = match(market_slice)
            if events:
                self._deliver(events)
            decisions = []
            for candle in market_slice.candles:
                stream = candle.stream
                if stream in base:
                    self.candles += 1
                for on_candle in routes.get(stream, none):
                    decision = on_candle(candle)
                    if decision is not None:
                        decisions.append(decision)
            events = decide(market_slice, decisions)
            if events:
                self._deliver(events)
            countdown -= 1
            if countdown == 0:
                countdown = every
                self.slice_number = market_slice.number
                if not watch():
                    return False
        self.slice_number = self._market.total_slices - 1
        return True

    def _deliver(self, events: Iterable[OrderEvent]) -> None:
        instances = self.instances
        for event in events:
            instances[event.instance].on_event(event)

    def statuses(self) -> list[StrategyStatus]:
        """Return the live line of every strategy of the configuration."""
        return [
            status_of(instance)
            if (instance := self.instances.get(strategy.id)) is not None
            else self._status_without_instance(strategy)
            for strategy in self._config.strategies
        ]

    def _status_without_instance(self, strategy: StrategyConfig) -> StrategyStatus:
        status = idle_status(strategy, self._lacks(strategy))
        cause = self._failures.get(strategy.id)
        if cause is None:
            return status
        return msgspec.structs.replace(status, status="error", cause=cause)

    def outcomes(self) -> dict[str, StrategyOutcome]:
        """Return the final state of every strategy of the configuration."""
        return {
            strategy.id: outcome_of(instance)
            if (instance := self.instances.get(strategy.id)) is not None
            else outcome_without_instance(self._status_without_instance(strategy))
            for strategy in self._config.strategies
        }


def _never() -> bool:
    return False


def run_backtest(
    config: RunConfig,
    catalog: Catalog,
    market: Market,
    *,
    on_status: Callable[[EngineStatus], None] | None = None,
    stop: Callable[[], bool] = _never,
    on_end: Callable[[Backtest], None] | None = None,
) -> RunReport:
    """Play a market through every strategy of a configuration in this process.

    Args:
        config: What to run.
        catalog: The strategy types found.
        market: The candles.
        on_status: Called every few thousand slices and at the end.
        stop: Asked as often; True ends the run early, the report then covers what was played.
        on_end: Called at the end, for what is in no report: the equity curves of the instances.

    Returns:
        The report; its ledger hash equals that of the actors on the same candles.
    """
    backtest = Backtest(config, catalog, market)
    started = time.perf_counter()

    def watch(phase: str = "running") -> bool:
        if on_status is not None:
            elapsed_s = time.perf_counter() - started
            on_status(
                EngineStatus(
                    phase=phase,
                    slice_number=backtest.slice_number,
                    candles=backtest.candles,
                    total_candles=market.total_candles,
                    candles_per_s=backtest.candles / elapsed_s,
                    elapsed_s=elapsed_s,
                    strategies=backtest.statuses(),
                    latency_ms={},
                )
            )
        return not stop()

    # What exists by now lives until the end. Left to itself, the collector looks through all of it
    # again whenever the ledger has grown, for a fifth of a short run's time.
    has_others = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        finished = backtest.run(every=STATUS_EVERY_SLICES, watch=watch)
    finally:
        if not has_others:  # what others want left alone cannot be told from ours
            gc.unfreeze()
    elapsed_s = time.perf_counter() - started
    watch("done")
    if on_end is not None:
        on_end(backtest)
    extract = EngineExtract(
        strategies=list(config.strategies),
        outcomes=backtest.outcomes(),
        ledger=extract_of(backtest.manager),
        candles=backtest.candles,
        elapsed_s=elapsed_s,
        latency_ms={},
    )
    return build_report(
        config,
        extract,
        mode="backtest",
        market=[msgspec.to_builtins(report) for report in market.reports],
        notices=market.notices,
        stopped_early=not finished,
    )
