"""Executions: each strategy at each interval once, whoever reports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from sqlalchemy.orm import Session

from engine.store import Execution
from engine.store.upserts import tell_new

__all__ = ["ExecutionResult", "ExecutionRow", "record_executions"]

ExecutionResult = Literal["success", "failed", "skipped", "no_signal"]


class ExecutionRow(msgspec.Struct, frozen=True):
    """One strategy at one interval.

    Attributes:
        strategy_id: Who.
        interval_ms: Close of the candle, milliseconds UTC.
        worker: Engine that executed it, at most 64 characters.
        duration_us: How long it takes for a candle, microseconds: the mean so far.
        result: It wanted something; it raised; it was left out; it wanted nothing.
        subscribers: Accounts that followed.
        trades: Orders that came of it.
    """

    strategy_id: str
    interval_ms: int
    worker: str
    duration_us: int
    result: ExecutionResult
    subscribers: int = 0
    trades: int = 0


def record_executions(
    session: Session, batch: Sequence[ExecutionRow], *, now_ms: int
) -> list[ExecutionRow]:
    """Record executions; of those that are on record already, nothing changes.

    The first one to report an interval wins: that is what tells that one engine executed it.

    Args:
        session: In a transaction that writes.
        batch: In any order; of two for one strategy and interval the first counts.
        now_ms: Milliseconds UTC.

    Returns:
        Those that were new, in the order of `batch`.
    """
    first: dict[tuple[str, int], ExecutionRow] = {}
    for each in batch:
        first.setdefault((each.strategy_id, each.interval_ms), each)
    rows = [{**msgspec.structs.asdict(each), "recorded_ms": now_ms} for each in first.values()]
    new = set(tell_new(session, Execution, rows))
    return [each for key, each in first.items() if key in new]
