"""What an observer sees of a run while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from engine.config import StrategyConfig

__all__ = ["EngineHealth", "EngineStatus", "ProcessStatus", "StrategyStatus", "idle_status"]


class StrategyStatus(msgspec.Struct, frozen=True):
    """One line of the live table.

    Attributes:
        status: Lifecycle state, or ``no data`` where the market does not serve the streams.
        position: Signed quantity, base currency.
        pnl: Realised and unrealised profit, quote currency.
        return_pct: `pnl` in percent of the strategy's capital.
        trades: Closed round trips.
        open_orders: Orders working at the gateway.
        last_signal: Action and time of the newest signal; empty before the first.
        candles: Candles processed.
        lag: Candles behind the head of its stream.
        cpu_s: Seconds it has worked in its present process, to a tenth: the thread's own time where
            it has an actor of its own, the clock's during its turns where it shares one.
        step_us: Of that on average for each candle, microseconds.
        errors: Exceptions contained so far.
        cause: Why it is in `error`; empty otherwise.
    """

    id: str
    name: str
    type: str
    symbol: str
    timeframe: str
    account: str
    status: str
    position: float = 0.0
    pnl: float = 0.0
    return_pct: float = 0.0
    trades: int = 0
    open_orders: int = 0
    last_signal: str = ""
    candles: int = 0
    lag: int = 0
    cpu_s: float = 0.0
    step_us: int = 0
    errors: int = 0
    cause: str = ""


def idle_status(config: StrategyConfig, missing: Sequence[str] = ()) -> StrategyStatus:
    """Return the line of a strategy that has no instance.

    Args:
        config: The strategy.
        missing: Streams it wants that the market does not serve.
    """
    return StrategyStatus(
        id=config.id,
        name=config.name,
        type=config.type,
        symbol=config.symbol,
        timeframe=config.timeframe,
        account=config.account,
        status="no data" if missing else "created",
        cause=f"no data for {', '.join(missing)}" if missing else "",
    )


class EngineStatus(msgspec.Struct, frozen=True):
    """The whole engine at one moment.

    Attributes:
        phase: ``starting``, ``running``, ``draining`` or ``done``.
        slice_number: Last slice the order manager has decided; -1 before the first.
        candles: Base candles of the feed that are decided.
        total_candles: Base candles of the whole feed; 0 where unknown.
        latency_ms: Percentiles (``p50``, ``p90``, ``p99``, ``max``), candle published until
            decision received; empty where there is no transport.
    """

    phase: str
    slice_number: int
    candles: int
    total_candles: int
    candles_per_s: float
    elapsed_s: float
    strategies: list[StrategyStatus]
    latency_ms: dict[str, float]


class ProcessStatus(msgspec.Struct, frozen=True):
    """One process of an engine.

    Attributes:
        id: ``manager``, ``market-data``, ``order-manager``, or a host's id.
        kind: What it does.
        state: ``starting``, ``running`` or ``ended``; one that has ended is about to be started
            again, or waits until that is tried.
        process: Its process id; 0 if not known.
        strategies: How many it carries.
        memory_bytes: Unique memory: what would be free if it alone ended; 0 if not known.
        cpu_s: Processor time it has used, seconds.
        restarts: How often it was started again, although nobody wanted that, while this manager
            has lived.
        cause: Why it has ended; empty otherwise.
    """

    id: str
    kind: Literal["manager", "market-data", "order-manager", "pooled", "dedicated"]
    state: Literal["starting", "running", "ended"]
    process: int = 0
    strategies: int = 0
    memory_bytes: int = 0
    cpu_s: float = 0.0
    restarts: int = 0
    cause: str = ""


class EngineHealth(msgspec.Struct, frozen=True):
    """How an engine is, apart from what its strategies do.

    Attributes:
        processes: All of them, services first.
        published: Last slice market data has published; -1 before the first.
        decided: Last slice the order manager has decided; -1 before the first.
        is_feed_over: There are no more candles.
        failure: Why the engine cannot go on; empty while it does.
    """

    processes: list[ProcessStatus]
    published: int
    decided: int
    is_feed_over: bool = False
    failure: str = ""
