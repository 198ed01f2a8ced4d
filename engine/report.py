"""The report of a run: the same for a backtest and for the actors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from engine.config import StrategyConfig
from engine.status import StrategyStatus

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.instance import Instance
    from engine.trading import OrderManager

__all__ = [
    "EngineExtract",
    "LedgerExtract",
    "RunReport",
    "StrategyOutcome",
    "StrategyRecord",
    "StrategyReport",
    "build_report",
    "extract_of",
    "outcome_of",
    "outcome_without_instance",
    "status_of",
]


class StrategyOutcome(msgspec.Struct, frozen=True):
    """State of one instance at the end, as it knows it itself.

    `metrics` is None where the instance is gone (its process ended or did not answer);
    `trace` is the newest exception's, empty without one. `last` is the newest line of the live
    table.
    """

    id: str
    status: str
    candles: int
    errors: int
    cause: str
    trace: str
    metrics: dict[str, Any] | None
    last: StrategyStatus


class StrategyRecord(msgspec.Struct, frozen=True):
    """What the ledger holds of one strategy."""

    ledger_sha256: str
    signals: list[Any]
    orders: list[Any]
    fills: list[Any]
    positions: list[Any]


class LedgerExtract(msgspec.Struct, frozen=True):
    """What the order manager contributes to the report."""

    sha256: str
    strategies: dict[str, StrategyRecord]
    accounts: list[Any]


class EngineExtract(msgspec.Struct, frozen=True):
    """Everything a report is built from; `strategies` in the order they are reported.

    `continued_after` are the candles decided before the run was continued; `elapsed_s` counts from
    then. `notices`: what is to be said of the engine itself.
    """

    strategies: list[StrategyConfig]
    outcomes: dict[str, StrategyOutcome]
    ledger: LedgerExtract
    candles: int
    elapsed_s: float
    latency_ms: dict[str, float]
    continued_after: int = 0
    notices: list[str] = []


class StrategyReport(msgspec.Struct, frozen=True):
    """One strategy's part of the report.

    `positions` are the open ones as the order manager holds them; they stay when a strategy ends
    in `error`, with their protective orders.
    """

    id: str
    name: str
    type: str
    symbol: str
    timeframe: str
    account: str
    status: str
    candles: int
    errors: int
    cause: str
    trace: str
    metrics: dict[str, Any] | None
    signals: list[Any]
    orders: list[Any]
    fills: list[Any]
    positions: list[Any]
    ledger_sha256: str


class RunReport(msgspec.Struct, frozen=True):
    """A whole run.

    Attributes:
        mode: ``run`` (actors) or ``backtest`` (one process).
        totals: Counts over all strategies and the state of each account and currency.
        latency: Percentiles in ms, candle published until decision received; empty in a backtest.
        candles: Base candles of the feed.
        ledger_sha256: Hash over every signal, order and fill in order; equal for equal runs.
        market: One entry per file: rows, rejections, gaps.
    """

    name: str
    mode: str
    strategies: list[StrategyReport]
    totals: dict[str, Any]
    latency: dict[str, float]
    candles: int
    candles_per_s: float
    elapsed_s: float
    ledger_sha256: str
    market: list[Any]
    notices: list[str]
    stopped_early: bool = False

    def to_json(self) -> bytes:
        """Return the report as indented JSON; decimals are strings, times ms UTC."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=2)


def status_of(instance: Instance, *, lag: int = 0, cpu_s: float = 0.0) -> StrategyStatus:
    """Return the live line of an instance; `lag` and `cpu_s` are known to its host."""
    config = instance.config
    view = instance.view()
    return StrategyStatus(
        id=config.id,
        name=config.name,
        type=config.type,
        symbol=config.symbol,
        timeframe=config.timeframe,
        account=config.account,
        status=view.status,
        position=view.position,
        pnl=view.pnl,
        return_pct=view.return_pct,
        trades=view.trades,
        open_orders=view.open_orders,
        last_signal=view.last_signal,
        candles=view.candles,
        lag=lag,
        cpu_s=round(cpu_s, 1),
        step_us=round(cpu_s * 1e6 / view.candles) if view.candles else 0,
        errors=view.errors,
        cause=view.cause,
    )


def outcome_of(instance: Instance) -> StrategyOutcome:
    """Return the state and metrics of an instance, metrics as plain JSON values."""
    return StrategyOutcome(
        id=instance.config.id,
        status=str(instance.status),
        candles=instance.candles,
        errors=instance.errors,
        cause=instance.cause,
        trace=instance.trace,
        metrics=msgspec.json.decode(msgspec.json.encode(instance.metrics())),
        last=status_of(instance),
    )


def outcome_without_instance(status: StrategyStatus) -> StrategyOutcome:
    """Return the outcome of a strategy whose instance can no longer be asked."""
    return StrategyOutcome(
        id=status.id,
        status=status.status,
        candles=status.candles,
        errors=status.errors,
        cause=status.cause,
        trace="",
        metrics=None,
        last=status,
    )


def extract_of(manager: OrderManager) -> LedgerExtract:
    """Return what the report needs of the order manager."""
    ledger = manager.ledger
    return LedgerExtract(
        sha256=ledger.sha256(),
        strategies={
            name: StrategyRecord(
                ledger_sha256=ledger.sha256_of(name),
                signals=[_flat(record, "intent") for record in ledger.signals(name)],
                orders=[_flat(record, "order") for record in ledger.orders(name)],
                fills=[_flat(record, "fill") for record in ledger.fills(name)],
                positions=[
                    msgspec.to_builtins(position)
                    for position in manager.positions(name)
                    if position.quantity
                ],
            )
            for name in manager.strategies
        },
        accounts=msgspec.to_builtins(manager.account_states()),
    )


def _flat(record: msgspec.Struct, part: str) -> dict[str, Any]:
    """Return a ledger record as one level of fields, its message's own ones included."""
    outer: dict[str, Any] = msgspec.to_builtins(record)
    inner: dict[str, Any] = outer.pop(part)
    return {**inner, **outer}


_NO_RECORD = StrategyRecord(ledger_sha256="", signals=[], orders=[], fills=[], positions=[])


def build_report(
    config: RunConfig,
    extract: EngineExtract,
    *,
    mode: str,
    market: Sequence[Any],
    notices: Sequence[str],
    stopped_early: bool,
) -> RunReport:
    """Put the parts of a run together."""
    strategies = [
        _strategy_report(
            strategy, extract.outcomes[strategy.id], extract.ledger.strategies.get(strategy.id)
        )
        for strategy in extract.strategies
    ]
    told = [*notices, *extract.notices]
    if extract.continued_after:
        told.append(
            f"{extract.continued_after:,} candles had been decided before the run was continued; "
            "time and speed are those since then"
        )
    played = extract.candles - extract.continued_after
    return RunReport(
        name=config.name,
        mode=mode,
        strategies=strategies,
        totals=_totals(strategies, extract.ledger.accounts),
        latency=extract.latency_ms,
        candles=extract.candles,
        candles_per_s=round(played / extract.elapsed_s, 1) if extract.elapsed_s else 0.0,
        elapsed_s=round(extract.elapsed_s, 3),
        ledger_sha256=extract.ledger.sha256,
        market=list(market),
        notices=told,
        stopped_early=stopped_early,
    )


def _strategy_report(
    strategy: Any, outcome: StrategyOutcome, record: StrategyRecord | None
) -> StrategyReport:
    record = record or _NO_RECORD
    return StrategyReport(
        id=strategy.id,
        name=strategy.name,
        type=strategy.type,
        symbol=strategy.symbol,
        timeframe=strategy.timeframe,
        account=strategy.account,
        status=outcome.status,
        candles=outcome.candles,
        errors=outcome.errors,
        cause=outcome.cause,
        trace=outcome.trace,
        metrics=outcome.metrics,
        signals=record.signals,
        orders=record.orders,
        fills=record.fills,
        positions=record.positions,
        ledger_sha256=record.ledger_sha256,
    )


def _totals(strategies: Sequence[StrategyReport], accounts: Sequence[Any]) -> dict[str, Any]:
    by_status: dict[str, int] = {}
    for strategy in strategies:
        by_status[strategy.status] = by_status.get(strategy.status, 0) + 1
    counted: Mapping[str, Any] = {
        "strategies": len(strategies),
        "by_status": by_status,
        "signals": sum(len(strategy.signals) for strategy in strategies),
        "orders": sum(len(strategy.orders) for strategy in strategies),
        "fills": sum(len(strategy.fills) for strategy in strategies),
        "errors": sum(strategy.errors for strategy in strategies),
        "accounts": list(accounts),
    }
    return dict(counted)
